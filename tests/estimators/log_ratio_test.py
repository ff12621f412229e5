"""A meta-loss that leaves f after the last update alone."""

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizees.synthetic import SyntheticOptimizee
from l2o_tf.unroll.meta_losses import LogRatio, SumOfLosses


class Exponential(SyntheticOptimizee):
    """Minimise exp(x) from x = 0."""

    def __init__(self):
        self.layout = Layout.from_shapes({"x": ()})

    def reset(self, seed):
        del seed
        return tf.zeros([1]), ()

    def loss(self, params, constants, batch):
        del constants, batch
        return tf.exp(params[0])


@pytest.mark.parametrize("objective", ["minibatch", "window"])
@pytest.mark.parametrize("backward", ["adjoint", "tape"])
def test_a_last_loss_that_overflows_does_not_spoil_the_gradient(
    backward, objective
):
    problem = Exponential()

    def run(meta_loss, length):
        cell = LearnableSGD(-200.0)  # up the hill, to exp(200)
        estimator = TruncatedBackpropagation(
            length, meta_loss, backward=backward, objective=objective
        )
        context = EpisodeContext(tf.constant(0), ())
        seed = seeds.make_seed(0)
        carry = estimator.start(cell, problem, seed, context)
        return estimator.estimate(cell, problem, cell.meta_params(), carry)[0]

    ratio = run(LogRatio(), 1)
    assert np.isinf(ratio.last_loss)
    assert ratio.meta_loss.numpy() == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_array_equal(ratio.meta_gradient, [0.0])
    # It is f after the last update that overflows: whoever needs it is told.
    assert not np.isfinite(run(SumOfLosses(), 1).meta_gradient).any()
    assert not np.isfinite(run(LogRatio(), 2).meta_gradient).any()
