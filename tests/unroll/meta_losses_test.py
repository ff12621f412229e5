"""Meta-losses: the sum, one loss, and derivatives of any of them."""

import gin
import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic
from support.execution import assert_same_everywhere

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.meta_losses import LossAt, MetaLoss, SumOfLosses


class MeanLog(MetaLoss):
    """A meta-loss whose weights depend on the losses."""

    def __call__(self, losses, initial=None, length=None):
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
    for meta_loss in (SumOfLosses(), MeanLog(), LossAt(), LossAt(0)):
        assert_same_everywhere(meta_loss.value_and_weights, losses)


def test_gin_builds_the_sum():
    kind = gin.get_configurable("l2o_tf.unroll.SumOfLosses")
    assert isinstance(kind(), SumOfLosses)


LOSSES = np.array([4.0, 2.0, 1.0, 3.0])


@pytest.mark.parametrize("index", [-4, -2, -1, 0, 1, 3])
def test_one_loss_has_the_weight_one_and_no_other_any(index):
    value, weights = LossAt(index).value_and_weights(tf.constant(LOSSES))
    assert value.numpy() == LOSSES[index]
    np.testing.assert_array_equal(weights, np.eye(4)[index])


def test_the_last_loss_is_the_default():
    assert LossAt()(tf.constant(LOSSES)).numpy() == 3.0


@pytest.mark.parametrize("index", [-5, 4, 100])
def test_a_loss_outside_of_the_window_is_refused(index):
    with pytest.raises(ValueError, match="Received: index=") as caught:
        LossAt(index)(tf.constant(LOSSES))
    assert str(caught.value) == (
        f"A window of 3 steps has the losses 0 to 3. Received: index={index}."
    )


@pytest.mark.parametrize("index", [True, 1.0, "last", None])
def test_an_index_that_is_no_int_is_refused(index):
    with pytest.raises(ValueError, match=f"Received: index={index!r}"):
        LossAt(index)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("backward", ["adjoint", "tape"])
@pytest.mark.parametrize("index", [0, 2, -2, -1])
def test_one_loss_of_a_window_has_the_closed_form_derivative(
    index, backward, jit_compile
):
    # With g_t constant: d f(x_s) / d eta = -g_s . sum_{t < s} g_t.
    eta, length = 0.11, 5
    problem = DiagonalQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
    cell = LearnableSGD(eta, dtype="float64")
    estimator = TruncatedBackpropagation(
        length, meta_loss=LossAt(index), backward=backward
    )
    run = compiled(
        lambda w, c: estimator.estimate(cell, problem, w, c), jit_compile
    )
    estimate, _ = run(
        cell.meta_params(), start_episode(cell, problem, seeds.make_seed(0))
    )
    s = index % (length + 1)
    g = [problem.h * problem.at(eta, t) for t in range(s + 1)]
    np.testing.assert_allclose(
        estimate.meta_loss, 0.5 * np.sum(g[s] ** 2 / problem.h), rtol=1e-12
    )
    expected = -sum(np.dot(g[s], g[t]) for t in range(s))
    np.testing.assert_allclose(estimate.meta_gradient, [expected], 1e-12)


def test_gin_builds_one_loss():
    gin.bind_parameter("l2o_tf.unroll.LossAt.index", -2)
    assert gin.get_configurable("l2o_tf.unroll.LossAt")().index == -2
