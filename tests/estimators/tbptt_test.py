"""Truncated backpropagation against algebra and finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic
from support.small_problem import FIXTURE, SmallProblem, relative_error

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.meta_losses import LossAt, MetaLoss

QUADRATIC = DiagonalQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])


def estimate(cell, optimizee, estimator, meta_params=None, windows=1):
    carry = start_episode(cell, optimizee, seeds.make_seed(3))
    params = cell.meta_params() if meta_params is None else meta_params
    for _ in range(windows):
        result, carry = estimator.estimate(cell, optimizee, params, carry)
    return result, carry


@pytest.mark.parametrize("length", [1, 2, 7, 20])
@pytest.mark.parametrize("backward", ["adjoint", "tape"])
def test_first_order_gradient_is_the_closed_form(length, backward):
    eta = 0.11
    cell = LearnableSGD(eta, dtype="float64")
    estimator = TruncatedBackpropagation(length, backward=backward)
    result, _ = estimate(cell, QUADRATIC, estimator)
    np.testing.assert_allclose(
        result.meta_loss, QUADRATIC.total_loss(eta, length), rtol=1e-12
    )
    np.testing.assert_allclose(
        result.meta_gradient,
        [QUADRATIC.first_order_gradient(eta, length)],
        rtol=1e-12,
    )


@pytest.mark.parametrize("length", [1, 2, 7, 20])
def test_second_derivatives_give_the_exact_closed_form(length):
    eta = 0.11
    cell = LearnableSGD(eta, dtype="float64")
    estimator = TruncatedBackpropagation(length, second_derivatives=True)
    result, _ = estimate(cell, QUADRATIC, estimator)
    np.testing.assert_allclose(
        result.meta_gradient,
        [QUADRATIC.exact_gradient(eta, length)],
        rtol=1e-12,
    )


def test_second_derivatives_equal_finite_differences():
    golden = np.load(FIXTURE)
    problem = SmallProblem(
        {
            k: golden[k].astype("f8")
            for k in ("prob_A", "prob_Y", "prob_a0", "prob_b0")
        }
    )
    cell = DMLSTM(units=(3,), output_scale=0.3, dtype="float64")
    estimator = TruncatedBackpropagation(6, second_derivatives=True)
    meta = cell.meta_params()
    gradient = estimate(cell, problem, estimator)[0].meta_gradient
    run = compiled(
        lambda w: estimate(cell, problem, estimator, w)[0].meta_loss, False
    )
    step = 1e-6
    directions = np.random.RandomState(0).randn(8, *meta.shape)
    for direction in directions:
        slope = (
            run(meta + step * direction) - run(meta - step * direction)
        ) / (2 * step)
        np.testing.assert_allclose(
            np.dot(gradient, direction), slope, rtol=2e-7
        )


def test_first_order_differs_from_second_order():
    golden = np.load(FIXTURE)
    problem = SmallProblem(golden)
    cell = DMLSTM(output_scale=0.3)
    first, _ = estimate(cell, problem, TruncatedBackpropagation(20))
    second, _ = estimate(
        cell, problem, TruncatedBackpropagation(20, second_derivatives=True)
    )
    assert relative_error(first.meta_loss, second.meta_loss) < 1e-6
    assert relative_error(first.meta_gradient, second.meta_gradient) > 1e-3


class LogRatio(MetaLoss):
    """A meta-loss that is not linear in the losses."""

    def __call__(self, losses, initial=None, length=None):
        return tf.reduce_mean(tf.math.log(losses / losses[0] + 1e-3))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("meta_loss", [None, LogRatio()])
def test_adjoint_equals_tape(meta_loss, jit_compile):
    problem = SmallProblem(np.load(FIXTURE))
    cell = DMLSTM(output_scale=0.1, seed=4)
    results = []
    for backward in ("adjoint", "tape"):
        estimator = TruncatedBackpropagation(
            20, meta_loss=meta_loss, backward=backward
        )
        run = compiled(
            lambda w, e=estimator: estimate(cell, problem, e, w, windows=2),
            jit_compile,
        )
        results.append(run(cell.meta_params()))
    (fast, fast_carry), (general, general_carry) = results
    assert relative_error(fast.meta_gradient, general.meta_gradient) < 1e-5
    assert relative_error(fast.meta_loss, general.meta_loss) < 1e-6
    for a, b in zip(
        tf.nest.flatten(fast_carry), tf.nest.flatten(general_carry), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_gradient_is_cut_at_the_window_boundary():
    eta, length = 0.11, 4
    cell = LearnableSGD(eta, dtype="float64")
    estimator = TruncatedBackpropagation(length)
    second, _ = estimate(cell, QUADRATIC, estimator, windows=2)
    later = DiagonalQuadratic(QUADRATIC.h, QUADRATIC.at(eta, length))
    np.testing.assert_allclose(
        second.meta_gradient, [later.first_order_gradient(eta, length)], 1e-12
    )


def test_carry_moves_on_by_the_window():
    cell = LearnableSGD(0.11, dtype="float64")
    _, carry = estimate(cell, QUADRATIC, TruncatedBackpropagation(5), windows=3)
    assert carry.step.numpy() == 15
    np.testing.assert_allclose(carry.params, QUADRATIC.at(0.11, 15), 1e-12)


def test_adjoint_refuses_second_derivatives():
    with pytest.raises(ValueError, match="Received: second_derivatives=True"):
        TruncatedBackpropagation(second_derivatives=True, backward="adjoint")


@pytest.mark.parametrize("length", [0, -20, 2.5, True])
def test_a_window_is_a_positive_int(length):
    with pytest.raises(ValueError, match=f"Received: unroll_length={length}"):
        TruncatedBackpropagation(unroll_length=length)


def test_backward_is_one_of_two_words():
    with pytest.raises(ValueError, match="Received: backward='bptt'"):
        TruncatedBackpropagation(backward="bptt")


@pytest.mark.parametrize("index", [4, -5])
def test_a_meta_loss_of_another_window_is_refused_at_once(index):
    with pytest.raises(ValueError, match=f"Received: index={index}"):
        TruncatedBackpropagation(3, meta_loss=LossAt(index))
