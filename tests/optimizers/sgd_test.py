"""Gradient descent: its one line."""

import math

import numpy as np
import pytest
from support.cells import feed

from l2o_tf.optimizers.sgd import SGD


def test_update_is_minus_the_rate_times_the_gradient():
    gradients = np.array([[1.0, -2.0, 0.0], [8.0, 0.5, -1e-6]], "f4")
    updates, states = feed(SGD(learning_rate=0.25), gradients)
    np.testing.assert_array_equal(updates, -0.25 * gradients)
    assert states == ()


def test_default_rate_is_the_teachers():
    assert SGD().learning_rate == 0.01


@pytest.mark.parametrize(
    "rate", [0.0, -0.1, math.nan, math.inf, "0.1", None, True]
)
def test_bad_rate_is_refused(rate):
    with pytest.raises(ValueError, match=f"Received: learning_rate={rate!r}"):
        SGD(learning_rate=rate)
