"""Meta-losses: the sum, and derivatives of any of them."""

import gin
import numpy as np
import tensorflow as tf
from support.execution import assert_same_everywhere

from l2o_tf.unroll.meta_losses import MetaLoss, SumOfLosses


class MeanLog(MetaLoss):
    """A meta-loss whose weights depend on the losses."""

    def __call__(self, losses):
        return tf.reduce_mean(tf.math.log(losses))


def test_the_sum_has_every_term_once():
    losses = tf.constant([1.0, 2.0, 4.5])
    value, weights = SumOfLosses().value_and_weights(losses)
    assert value.numpy() == 7.5
    assert SumOfLosses()(losses).numpy() == 7.5
    np.testing.assert_array_equal(weights, [1.0, 1.0, 1.0])


def test_the_weights_are_the_derivatives():
    losses = np.array([1.0, 2.0, 4.0])
    value, weights = MeanLog().value_and_weights(tf.constant(losses))
    np.testing.assert_allclose(value, np.log(8.0) / 3, rtol=1e-12)
    np.testing.assert_allclose(weights, 1 / (3 * losses), rtol=1e-12)


def test_value_and_weights_agree_everywhere():
    losses = np.array([0.5, 2.0, 4.0], "f4")
    for meta_loss in (SumOfLosses(), MeanLog()):
        assert_same_everywhere(meta_loss.value_and_weights, losses)


def test_gin_builds_the_sum():
    kind = gin.get_configurable("l2o_tf.unroll.SumOfLosses")
    assert isinstance(kind(), SumOfLosses)
