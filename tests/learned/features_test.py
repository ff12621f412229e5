"""Gradient features against the original's numbers and the piecewise form."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support.small_problem import FIXTURE

from l2o_tf.learned.features import identity, log_and_sign


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
