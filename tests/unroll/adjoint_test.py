"""The backward pass of a cell alone against the tape through the unroll."""

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic, NoisyQuadratic, Slope
from support.execution import assert_same_everywhere
from support.numerical import central_gradient
from support.small_problem import FIXTURE, SmallProblem, relative_error
from support.toy_cells import LearnableMomentum, LearnedStart, WeightDecay

from l2o_tf.core import seeds
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.unroll.adjoint import (
    Recorded,
    cell_adjoint,
    initial_state_gradient,
    with_initial_gradient,
)
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import unroll

LENGTH = 6
SEED = seeds.make_seed(1)
CELLS = {
    "dm": lambda: DMLSTM(units=(3, 2), output_scale=0.3),
    "identity": lambda: DMLSTM(
        units=(3,), preprocessing="identity", output_scale=0.5
    ),
    "learnable_sgd": lambda: LearnableSGD(0.1),
    "momentum": LearnableMomentum,
    "weight_decay": WeightDecay,
}
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


def recorded_window(cell, problem):
    """Run a window; return its inputs and states, stacked."""
    carry = start_episode(cell, problem, SEED)
    _, (inputs, states) = unroll(
        cell, problem, carry, LENGTH, collect=lambda s: (s.inputs, s.states)
    )
    return inputs, states


def weights_of(cell):
    return cell.meta_layout.split(cell.meta_params())


def imitation_loss(cell, weights, inputs, states, targets):
    """Sum over steps of 1/2 ||u_t - target_t||^2, the inputs constant."""
    state = tf.nest.map_structure(lambda stack: stack[0], states)
    total = 0.0
    for t in range(LENGTH):
        now = tf.nest.map_structure(lambda stack, t=t: stack[t], inputs)
        update, state = cell.stateless_update(weights, now, state)
        total += 0.5 * tf.reduce_sum((update - targets[t]) ** 2)
    return total


@each_cell
def test_a_cotangent_that_depends_on_the_update_gives_the_tapes_gradient(
    cell,
):
    cell, problem = cell(), SmallProblem(np.load(FIXTURE))
    inputs, states = recorded_window(cell, problem)
    targets = 0.01 * np.random.RandomState(0).randn(LENGTH, 15).astype("f4")
    weights = weights_of(cell)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = imitation_loss(cell, weights, inputs, states, targets)
    expected = tape.gradient(loss, weights)

    def cotangent(t, inputs, update, accumulator):
        return update - tf.constant(targets)[t], accumulator

    gradient = assert_same_everywhere(
        lambda w, i, s: cell_adjoint(
            cell, w, Recorded(i, s, LENGTH), cotangent, ()
        )[0],
        weights,
        inputs,
        states,
        rtol=1e-5,
        atol=1e-5,
    )
    for a, b in zip(gradient, expected, strict=True):
        assert relative_error(a, b) < 1e-5
        assert np.abs(b).max() > 0.0


@each_cell
def test_the_estimators_adjoint_equals_its_tape(cell):
    cell, problem = cell(), SmallProblem(np.load(FIXTURE))
    carry = start_episode(cell, problem, SEED)
    fast, general = (
        TruncatedBackpropagation(LENGTH, backward=backward).estimate(
            cell, problem, cell.meta_params(), carry
        )[0]
        for backward in ("adjoint", "tape")
    )
    assert relative_error(fast.meta_gradient, general.meta_gradient) < 1e-5


def test_cotangents_are_asked_for_from_the_last_step_to_the_first():
    cell = LearnableSGD(0.1, dtype="float64")
    problem = DiagonalQuadratic([1.0, 2.0], [1.0, 3.0])
    inputs, states = recorded_window(cell, problem)
    asked = []

    def cotangent(t, inputs, update, accumulator):
        asked.append((int(t), int(inputs.step), float(accumulator)))
        np.testing.assert_allclose(update, -0.1 * inputs.gradient, 1e-15)
        return tf.zeros_like(update), accumulator + 1.0

    gradient, _ = cell_adjoint(
        cell,
        weights_of(cell),
        Recorded(inputs, states, LENGTH),
        cotangent,
        tf.constant(0.0),
    )
    assert asked == [
        (t, t + 1, float(LENGTH - 1 - t)) for t in reversed(range(LENGTH))
    ]
    assert gradient[0].numpy() == 0.0


def test_the_derivative_is_taken_at_the_given_weights():
    # u_t = -eta a_t with cotangent u_t: d(1/2 u^2)/d eta = eta a_t^2.
    cell = LearnableSGD(0.1, dtype="float64")
    problem = DiagonalQuadratic([1.0, 2.0], [1.0, 3.0])
    inputs, states = recorded_window(cell, problem)
    (gradient,), _ = cell_adjoint(
        cell,
        (tf.constant(0.7, tf.float64),),
        Recorded(inputs, states, LENGTH),
        lambda t, inputs, update, accumulator: (update, accumulator),
        (),
    )
    expected = 0.7 * np.sum(inputs.gradient.numpy() ** 2)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_the_gradient_flows_through_the_state_between_steps():
    # Only the last step has a cotangent: everything comes through a_t.
    cell = LearnableMomentum(0.1, 0.5, dtype="float64")
    problem = DiagonalQuadratic([1.0], [1.0])
    inputs, states = recorded_window(cell, problem)

    def cotangent(t, inputs, update, accumulator):
        last = tf.cast(tf.equal(t, LENGTH - 1), update.dtype)
        return last * tf.ones_like(update), accumulator

    (gradient,), _ = cell_adjoint(
        cell, weights_of(cell), Recorded(inputs, states, LENGTH), cotangent, ()
    )
    g = inputs.gradient.numpy()[:, 0]
    age = LENGTH - 1 - np.arange(LENGTH)
    a = np.sum(0.5**age * g)
    slope = np.sum(age[:-1] * 0.5 ** (age[:-1] - 1.0) * g[:-1])
    np.testing.assert_allclose(gradient, [-a, -0.1 * slope], rtol=1e-12)


# Initial states that are learned

CURVATURE, START = [0.5, 1.0, 3.0], [1.0, -2.0, 0.7]
NOISY = NoisyQuadratic(CURVATURE, START)
both_backwards = pytest.mark.parametrize("backward", ["adjoint", "tape"])


def learned_start():
    return LearnedStart(0.1, 0.5, 0.3, dtype="float64")


def window(estimator, problem, weights=None, count=1, memory=()):
    """Run windows of an episode from given weights; return the last one's."""
    cell = learned_start()
    weights = cell.meta_params() if weights is None else tf.constant(weights)
    context = EpisodeContext(tf.constant(0), memory)
    carry = estimator.start(cell, problem, SEED, context, weights)
    for _ in range(count):
        estimate, carry = estimator.estimate(cell, problem, weights, carry)
    return estimate


def test_in_a_first_window_a_learned_state_has_the_same_gradient_both_ways():
    adjoint, tape = (
        window(TruncatedBackpropagation(LENGTH, backward=b), NOISY)
        for b in ("adjoint", "tape")
    )
    np.testing.assert_allclose(
        adjoint.meta_gradient, tape.meta_gradient, rtol=1e-12
    )
    assert abs(adjoint.meta_gradient[2]) > 0.1


@both_backwards
def test_in_a_first_window_a_learned_state_has_the_slopes_gradient(backward):
    # No gradient of this problem depends on x: the first order is exact.
    problem = Slope(CURVATURE, START)
    estimator = TruncatedBackpropagation(LENGTH, backward=backward)
    expected = central_gradient(
        lambda w: window(estimator, problem, w).meta_loss,
        learned_start().meta_params().numpy(),
    )
    actual = window(estimator, problem).meta_gradient
    np.testing.assert_allclose(actual, expected, rtol=1e-8)
    assert abs(expected[2]) > 0.01


def test_with_second_derivatives_it_has_the_slopes_gradient_anywhere():
    estimator = TruncatedBackpropagation(LENGTH, second_derivatives=True)
    expected = central_gradient(
        lambda w: window(estimator, NOISY, w).meta_loss,
        learned_start().meta_params().numpy(),
    )
    actual = window(estimator, NOISY).meta_gradient
    np.testing.assert_allclose(actual, expected, rtol=1e-8)
    assert abs(expected[2]) > 0.01


@both_backwards
def test_in_a_second_window_a_learned_state_has_no_gradient(backward):
    estimator = TruncatedBackpropagation(LENGTH, backward=backward)
    gradient = window(estimator, NOISY, count=2).meta_gradient.numpy()
    assert gradient[2] == 0.0
    assert np.abs(gradient[:2]).min() > 1e-3


@both_backwards
def test_a_memory_in_place_of_a_learned_state_gives_it_no_gradient(backward):
    estimator = TruncatedBackpropagation(
        LENGTH, backward=backward, keep_memory=True
    )
    memory = learned_start().get_initial_state(NOISY.layout)
    kept = window(estimator, NOISY, memory=memory)
    plain = window(TruncatedBackpropagation(LENGTH, backward=backward), NOISY)
    np.testing.assert_array_equal(kept.meta_loss, plain.meta_loss)
    np.testing.assert_allclose(
        kept.meta_gradient[:2], plain.meta_gradient[:2], rtol=1e-12
    )
    assert kept.meta_gradient[2].numpy() == 0.0
    assert abs(plain.meta_gradient[2]) > 0.1


def test_the_states_cotangents_are_those_of_the_velocity():
    # u_t = -eta a_t, cotangent 1 per step: d L / d a_0 = -eta sum_t mu^(t+1).
    cell = learned_start()
    inputs, states = recorded_window(cell, NOISY)
    _, d_states = cell_adjoint(
        cell,
        weights_of(cell),
        Recorded(inputs, states, LENGTH),
        lambda t, inputs, update, none: (tf.ones_like(update), none),
        (),
    )
    (velocity,) = d_states  # the count is an int: nothing passes through it
    expected = -0.1 * np.sum(0.5 ** np.arange(1, LENGTH + 1))
    np.testing.assert_allclose(velocity, np.full(3, expected), rtol=1e-12)


@pytest.mark.parametrize("step", [0, 1, LENGTH])
def test_cotangents_reach_the_weights_at_the_episodes_start_only(step):
    cell = learned_start()
    carry = start_episode(cell, NOISY, SEED)._replace(step=tf.constant(step))
    d_velocity = tf.constant([1.0, 2.0, 4.0], tf.float64)
    rule, start = initial_state_gradient(
        cell, NOISY, weights_of(cell), carry, [d_velocity]
    )
    np.testing.assert_array_equal(rule, [0.0, 0.0])
    assert start.numpy() == (7.0 if step == 0 else 0.0)


@pytest.mark.parametrize("step", [0, 3])
def test_a_state_that_depends_on_the_weights_has_the_same_numbers(step):
    cell = learned_start()
    carry = start_episode(cell, NOISY, SEED)._replace(step=tf.constant(step))
    # A state that the weights do not give: it has moved on.
    moved = carry._replace(
        states=carry.states._replace(velocity=carry.params * 5.0)
    )
    weights = weights_of(cell)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        attached = with_initial_gradient(cell, NOISY, weights, moved)
        total = tf.reduce_sum(attached.states.velocity)
    for a, b in zip(
        tf.nest.flatten(attached), tf.nest.flatten(moved), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    _, start = tape.gradient(total, weights)
    assert start.numpy() == (3.0 if step == 0 else 0.0)


def test_gradients_of_a_learned_state_agree_everywhere():
    cell = LearnedStart()
    problem = NoisyQuadratic(CURVATURE, START, "float32")
    estimators = [
        TruncatedBackpropagation(3, backward=b) for b in ("adjoint", "tape")
    ]

    def gradients(weights):
        carry = start_episode(
            cell, problem, SEED, cell.meta_layout.split(weights)
        )
        return [
            e.estimate(cell, problem, weights, carry)[0].meta_gradient
            for e in estimators
        ]

    assert_same_everywhere(gradients, cell.meta_params(), rtol=1e-5, atol=1e-6)
