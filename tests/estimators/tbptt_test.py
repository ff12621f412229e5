"""Truncated backpropagation against algebra and finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic, NoisyQuadratic
from support.execution import assert_same_everywhere, count_traces
from support.numerical import central_gradient
from support.small_problem import FIXTURE, SmallProblem, relative_error
from support.toy_cells import Ahead, LearnableMomentum, LearnedStart

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizees.wrappers import NoisyGradients
from l2o_tf.optimizers.base import OptimizerInputs
from l2o_tf.unroll.carry import (
    batch_seed,
    objective_seed,
    start_episode,
)
from l2o_tf.unroll.meta_losses import (
    LogRatio,
    LossAt,
    MetaLoss,
    SumOfLosses,
)

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


class MeanLog(MetaLoss):
    """A meta-loss that is not linear in the losses."""

    def of(self, window):
        losses = window.losses
        return tf.reduce_mean(tf.math.log(losses / losses[0] + 1e-3))


@pytest.mark.parametrize(
    ("meta_loss", "jit_compile"),
    [(None, False), (MeanLog(), False), (MeanLog(), True)],
)
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


# A loss that is measured apart

F64 = {"dtype": "float64"}
NOISY = NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
SHOWN = NoisyGradients(NOISY, 0.3)
MOVERS = {
    "momentum": lambda: LearnableMomentum(**F64),
    "learned_start": lambda: LearnedStart(**F64),
    "ahead": lambda: Ahead(**F64),
}
each_mover = pytest.mark.parametrize("mover", MOVERS.values(), ids=MOVERS)
both_backwards = pytest.mark.parametrize("backward", ["adjoint", "tape"])


def begin(cell, problem, estimator, weights=None, memory=()):
    weights = cell.meta_params() if weights is None else weights
    context = EpisodeContext(tf.constant(0), memory)
    return estimator.start(cell, problem, seeds.make_seed(3), context, weights)


def last_window(cell, problem, estimator, weights=None, count=1, length=None):
    """Run windows of an episode; return the last estimate and the carry."""
    weights = cell.meta_params() if weights is None else tf.constant(weights)
    carry = begin(cell, problem, estimator, weights)
    for _ in range(count):
        estimate, carry = estimator.estimate(
            cell, problem, weights, carry, length
        )
    return estimate, carry


def loop_under_a_tape(cell, problem, length):
    """Measure apart, move by noisy gradients: a list, and its tape."""
    carry = start_episode(cell, problem, seeds.make_seed(3))
    apart = problem.sample_objective(objective_seed(carry))
    weights = cell.meta_params()
    with tf.GradientTape() as tape:
        tape.watch(weights)
        parts = cell.meta_layout.split(weights)
        states = cell.stateless_initial_state(
            parts, problem.layout, seeds.make_seed(0)
        )
        x, losses = carry.params, []
        for t in range(length):
            losses.append(problem.loss(x, (), apart))
            batch = problem.sample(
                batch_seed(carry._replace(step=tf.constant(t)))
            )
            _, gradient = problem.loss_and_gradient(
                cell.look_ahead(x, states), (), batch
            )
            inputs = OptimizerInputs(
                tf.stop_gradient(gradient), (), losses[0], tf.constant(t + 1)
            )
            update, states = cell.stateless_update(parts, inputs, states)
            x = x + update
        losses.append(problem.loss(x, (), apart))
        total = tf.add_n(losses)
    return total, tape.gradient(total, weights), x, losses[-1]


@each_mover
@both_backwards
def test_a_window_measured_apart_equals_a_python_loop(mover, backward):
    cell, length = mover(), 6
    estimator = TruncatedBackpropagation(
        length, backward=backward, objective="window"
    )
    result, carry = last_window(cell, SHOWN, estimator)
    total, gradient, x, last = loop_under_a_tape(cell, SHOWN, length)
    np.testing.assert_allclose(result.meta_loss, total, rtol=1e-12)
    np.testing.assert_allclose(result.meta_gradient, gradient, rtol=1e-11)
    np.testing.assert_allclose(result.last_loss, last, rtol=1e-12)
    np.testing.assert_allclose(carry.params, x, rtol=1e-12)
    assert np.abs(gradient).min() > 1e-3


@each_mover
def test_measured_apart_adjoint_equals_tape_in_every_window(mover):
    ratio = LogRatio()
    (fast, fast_carry), (general, general_carry) = (
        last_window(
            mover(),
            SHOWN,
            TruncatedBackpropagation(4, ratio, False, b, "window"),
            count=3,
        )
        for b in ("adjoint", "tape")
    )
    for a, b in zip(
        tf.nest.flatten((fast, fast_carry)),
        tf.nest.flatten((general, general_carry)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-11)


@each_mover
def test_second_derivatives_of_a_loss_apart_are_its_slopes(mover):
    cell = mover()
    estimator = TruncatedBackpropagation(
        5, second_derivatives=True, objective="window"
    )
    expected = central_gradient(
        lambda w: last_window(cell, SHOWN, estimator, w)[0].meta_loss,
        cell.meta_params().numpy(),
    )
    actual = last_window(cell, SHOWN, estimator)[0].meta_gradient
    np.testing.assert_allclose(actual, expected, rtol=1e-7)
    first = TruncatedBackpropagation(5, objective="window")
    first_order = last_window(cell, SHOWN, first)[0].meta_gradient
    assert relative_error(first_order, expected) > 1e-2


def test_without_noise_and_data_measuring_apart_changes_nothing():
    cell = LearnableMomentum(**F64)
    apart, along = (
        last_window(
            cell, QUADRATIC, TruncatedBackpropagation(5, objective=o), count=2
        )
        for o in ("window", "minibatch")
    )
    for a, b in zip(
        tf.nest.flatten(apart), tf.nest.flatten(along), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_measuring_apart_agrees_everywhere():
    cell = Ahead()
    problem = NoisyGradients(
        NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7], "float32"), 0.3
    )
    estimator = TruncatedBackpropagation(3, LogRatio(), objective="window")

    def run(weights, length):
        carry = begin(cell, problem, estimator, weights)
        return estimator.estimate(cell, problem, weights, carry, length)

    assert_same_everywhere(
        run, cell.meta_params(), np.int32(2), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("cell", "problem"),
    [(LearnableMomentum, SHOWN), (Ahead, NOISY), (Ahead, SHOWN)],
)
@both_backwards
def test_a_loss_that_the_gradients_are_not_of_must_be_measured_apart(
    cell, problem, backward
):
    estimator = TruncatedBackpropagation(3, backward=backward)
    with pytest.raises(ValueError, match="must be measured apart") as caught:
        begin(cell(**F64), problem, estimator)
    assert str(caught.value).endswith(
        "Received: objective='minibatch'. Use objective='window' or 'step'."
    )


def test_the_objective_is_one_of_two_words():
    with pytest.raises(ValueError, match="Received: objective='subset'"):
        TruncatedBackpropagation(objective="subset")


# The start of the episode


@both_backwards
@pytest.mark.parametrize("objective", ["minibatch", "window"])
def test_every_window_is_divided_by_the_first_loss_of_the_episode(
    objective, backward
):
    cell = LearnableMomentum(**F64)
    ratio, total = (
        TruncatedBackpropagation(
            2, meta_loss, backward=backward, objective=objective
        )
        for meta_loss in (LogRatio(), SumOfLosses())
    )

    def first_loss(carry):
        if objective == "window":
            batch = NOISY.sample_objective(objective_seed(carry))
        else:
            batch = NOISY.sample(batch_seed(carry))
        return NOISY.loss(carry.params, (), batch)

    carry = begin(cell, NOISY, ratio)
    initial = first_loss(carry)
    for _ in range(3):
        weights, first = cell.meta_params(), first_loss(carry)
        value = ratio.estimate(cell, NOISY, weights, carry)[0].meta_loss
        terms, carry = total.estimate(cell, NOISY, weights, carry)
        second = terms.meta_loss - first - terms.last_loss
        expected = (
            2 * np.log(first / (initial + 1e-6) + 1e-6)
            + np.log(second / (initial + 1e-6) + 1e-6)
        ) / 3
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12)


# Windows of random length


@both_backwards
@pytest.mark.parametrize("objective", ["minibatch", "window"])
@pytest.mark.parametrize(
    "meta_loss", [SumOfLosses(), LogRatio(), LossAt(-1), LossAt(-2)]
)
def test_a_shorter_window_is_the_window_of_that_length(
    meta_loss, objective, backward
):
    cell = LearnedStart(**F64)
    long, short = (
        TruncatedBackpropagation(
            u, meta_loss, backward=backward, objective=objective
        )
        for u in (7, 4)
    )
    shortened = last_window(cell, NOISY, long, count=2, length=tf.constant(4))
    alone = last_window(cell, NOISY, short, count=2)
    for a, b in zip(
        tf.nest.flatten(shortened), tf.nest.flatten(alone), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-14)
    assert shortened[1].step.numpy() == 8
    assert np.abs(alone[0].meta_gradient).max() > 1e-2


@both_backwards
def test_the_longest_window_is_the_plain_one(backward):
    cell = DMLSTM(units=(2,), output_scale=0.3, **F64)
    estimator = TruncatedBackpropagation(5, LogRatio(), backward=backward)
    given = last_window(cell, NOISY, estimator, length=tf.constant(5))
    plain = last_window(cell, NOISY, estimator)
    for a, b in zip(
        tf.nest.flatten(given), tf.nest.flatten(plain), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-11)


def test_with_second_derivatives_a_shorter_window_is_that_window():
    cell = LearnableMomentum(**F64)
    long, short = (
        TruncatedBackpropagation(u, second_derivatives=True) for u in (6, 3)
    )
    shortened = last_window(cell, NOISY, long, length=tf.constant(3))[0]
    alone = last_window(cell, NOISY, short)[0]
    for a, b in zip(shortened, alone, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


@both_backwards
def test_windows_of_all_lengths_are_traced_once(backward):
    cell = LearnableMomentum()
    problem = DiagonalQuadratic([1.0, 2.0], [1.0, 1.0], "float32")
    estimator = TruncatedBackpropagation(6, LogRatio(), backward=backward)
    carry = start_episode(cell, problem, seeds.make_seed(0))
    weights = cell.meta_params()
    traces = count_traces(
        lambda w, c, n: estimator.estimate(cell, problem, w, c, n),
        (weights, carry, np.int32(2)),
        (weights, carry, np.int32(6)),
    )
    assert traces == 1


# Memory


def test_an_episode_keeps_the_memory_it_is_given():
    cell = LearnedStart(**F64)
    estimator = TruncatedBackpropagation(3, keep_memory=True)
    memory = cell.get_initial_state(NOISY.layout)._replace(
        velocity=tf.constant([1.0, 2.0, 3.0], tf.float64)
    )
    carry = begin(cell, NOISY, estimator, memory=memory)
    np.testing.assert_array_equal(carry.states.velocity, [1.0, 2.0, 3.0])
    assert carry.step.numpy() == 0
    plain = begin(cell, NOISY, TruncatedBackpropagation(3), memory=memory)
    np.testing.assert_allclose(plain.states.velocity, np.full(3, 0.3), 1e-7)
    np.testing.assert_array_equal(carry.params, plain.params)


def test_an_episode_that_keeps_a_memory_must_be_given_one():
    estimator = TruncatedBackpropagation(3, keep_memory=True)
    with pytest.raises(ValueError, match="EpisodeContext.memory=\\(\\)"):
        begin(LearnableMomentum(**F64), NOISY, estimator)


def test_a_cell_without_a_state_has_nothing_to_keep():
    cell = LearnableSGD(0.11, **F64)
    estimator = TruncatedBackpropagation(3, keep_memory=True)
    result, _ = last_window(cell, QUADRATIC, estimator)
    np.testing.assert_allclose(
        result.meta_loss, QUADRATIC.total_loss(0.11, 3), rtol=1e-12
    )


def test_keep_memory_is_a_bool():
    with pytest.raises(ValueError, match="Received: keep_memory='last_run'"):
        TruncatedBackpropagation(keep_memory="last_run")
