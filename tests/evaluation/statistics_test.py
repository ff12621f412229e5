"""Smoothing and spread against hand-worked numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l2o_tf.evaluation.curves import Curve
from l2o_tf.evaluation.statistics import smooth, spread


def make(losses, seed=0):
    losses = np.asarray(losses, np.float32)
    return Curve(losses, "dm", "mlp_orig", "test", seed, 1.0)


def test_smooth_is_the_running_mean():
    np.testing.assert_allclose(
        smooth(np.array([1.0, 3.0, 5.0, 9.0]), 2), [2.0, 4.0, 7.0]
    )


@given(
    hnp.arrays(np.float32, 30, elements=st.floats(0, 1e3, width=32)),
    st.integers(1, 30),
)
def test_smooth_equals_a_convolution(losses, window):
    expected = np.convolve(
        losses.astype(np.float64), np.full(window, 1 / window), "valid"
    )
    np.testing.assert_allclose(
        smooth(losses, window), expected, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("window", [0, -1, 4])
def test_bad_windows_are_refused(window):
    with pytest.raises(ValueError, match=f"Received: window={window}"):
        smooth(np.zeros(3), window)


def test_spread_over_seeds():
    result = spread([make([1, 2, 3]), make([3, 4, 11])], window=1)
    np.testing.assert_array_equal(result.steps, [1, 2, 3])
    np.testing.assert_array_equal(result.mean, [2, 3, 7])
    np.testing.assert_array_equal(result.low, [1, 2, 3])
    np.testing.assert_array_equal(result.high, [3, 4, 11])
    assert (result.runs, result.diverged) == (2, 0)


def test_steps_are_the_ends_of_the_windows():
    result = spread([make([1, 2, 3, 4])], window=3)
    np.testing.assert_array_equal(result.steps, [3, 4])


def test_diverged_runs_are_counted_and_left_out_of_the_mean():
    result = spread([make([1, 2]), make([5, np.inf]), make([np.nan, 1])])
    np.testing.assert_array_equal(result.mean, [1, 2])
    assert (result.runs, result.diverged) == (3, 2)


def test_all_diverged_gives_nan_not_a_number_of_nothing():
    result = spread([make([5, np.inf])])
    assert np.isnan(result.mean).all()
    assert result.diverged == 1


def test_curves_of_two_lengths_are_refused():
    with pytest.raises(ValueError, match=r"Received: steps=\[2, 3\]"):
        spread([make([1, 2]), make([1, 2, 3])])
