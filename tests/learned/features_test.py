"""Gradient features against the original's numbers and the piecewise form."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support.features import numpy_moments
from support.small_problem import FIXTURE

from l2o_tf.learned.features import (
    identity,
    log_and_sign,
    normalized_moments,
)
from l2o_tf.optimizers.adam import AdamState


def test_log_and_sign_equals_the_original():
    golden = np.load(FIXTURE)
    np.testing.assert_allclose(
        tf.transpose(log_and_sign(tf.constant(golden["logsign_in"]), 5.0)),
        golden["logsign_out"],
        rtol=1e-6,
        atol=1e-7,
    )


def test_zero_gradient_gives_minus_one_and_zero():
    np.testing.assert_array_equal(
        log_and_sign(tf.constant([0.0]), 5.0), [[-1.0], [0.0]]
    )


def test_log_part_has_no_upper_clamp():
    log_part, sign_part = log_and_sign(tf.constant([-1000.0]), 5.0).numpy()
    np.testing.assert_allclose(log_part, np.log(1000.0) / 5.0, rtol=1e-6)
    assert sign_part == -1.0


@given(st.floats(-1e6, 1e6, width=32), st.floats(1.0, 10.0))
def test_log_and_sign_is_the_piecewise_form(gradient, k):
    # DeepMind's appendix A, up to the epsilon inside the logarithm.
    size = abs(gradient)
    log_part, sign_part = log_and_sign(tf.constant([gradient]), k).numpy()
    expected = max(np.log(size + 2.0**-23) / k, -1.0)
    np.testing.assert_allclose(log_part, expected, rtol=1e-5, atol=1e-6)
    if size >= np.exp(-k) * (1 + 1e-6):
        assert sign_part == np.sign(gradient)
    else:
        np.testing.assert_allclose(
            sign_part, gradient * np.exp(k), rtol=1e-5, atol=1e-30
        )


def test_identity_adds_the_feature_axis():
    assert identity(tf.zeros([7])).shape == (1, 7)


def moments_at(gradients, **betas):
    """Run `normalized_moments` in float64; return m~, g~ `[T, 2, N]`."""
    zeros = tf.zeros([gradients.shape[1]], tf.float64)
    state, features = AdamState(zeros, zeros), []
    for t, g in enumerate(gradients):
        m, present, state = normalized_moments(
            tf.constant(g, tf.float64),
            state,
            betas.get("beta_1", 0.95),
            betas.get("beta_2", 0.95),
            1e-8,
            tf.constant(t + 1),
        )
        features.append((m, present))
    return np.array(features)


@given(
    seed=st.integers(0, 2**31 - 1),
    beta_1=st.floats(0.0, 0.999),
    beta_2=st.floats(0.0, 0.999),
    magnitude=st.floats(-6, 3),
)
def test_normalized_moments_equal_numpy(seed, beta_1, beta_2, magnitude):
    gradients = np.random.RandomState(seed).randn(5, 3) * 10.0**magnitude
    np.testing.assert_allclose(
        moments_at(gradients, beta_1=beta_1, beta_2=beta_2),
        numpy_moments(gradients, beta_1, beta_2),
        rtol=1e-9,
        atol=1e-12,
    )


def test_the_first_features_are_the_sign():
    features = moments_at(np.array([[3.0, -0.01, 0.0]]))
    np.testing.assert_allclose(
        features[0], [[1.0, -1.0, 0.0]] * 2, rtol=1e-5, atol=0
    )


def test_the_present_gradient_is_bounded_by_the_averages_length():
    gradients = np.zeros([400, 1])
    gradients[-1] = 5.0
    assert moments_at(gradients)[-1, 1, 0] == pytest.approx(20**0.5, rel=1e-6)


def test_a_gradient_of_zero_has_finite_derivatives():
    zero = tf.zeros([2])
    with tf.GradientTape() as tape:
        tape.watch(zero)
        m, g, _ = normalized_moments(
            zero, AdamState(zero, zero), 0.95, 0.95, 1e-8, tf.constant(1)
        )
        total = tf.reduce_sum(m + g)
    assert np.all(np.isfinite(tape.gradient(total, zero)))
    np.testing.assert_array_equal(m, zero)
