"""The one-weight cell."""

import math

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizers.base import OptimizerInputs


def test_update_is_minus_eta_times_the_gradient():
    cell = LearnableSGD(0.25)
    inputs = OptimizerInputs(
        tf.constant([1.0, -2.0, 0.0]), (), tf.constant(0.0), tf.constant(1)
    )
    update, states = cell.call(inputs, ())
    np.testing.assert_array_equal(update, [-0.25, 0.5, 0.0])
    assert states == ()


def test_it_has_one_weight():
    assert LearnableSGD().meta_layout.size == 1


@pytest.mark.parametrize("rate", [math.nan, math.inf, "0.1"])
def test_bad_rate_is_refused(rate):
    with pytest.raises(ValueError, match="Received: learning_rate="):
        LearnableSGD(rate)
