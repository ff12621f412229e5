"""The backward pass of a cell alone against the tape through the unroll."""

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic
from support.execution import assert_same_everywhere
from support.small_problem import FIXTURE, SmallProblem, relative_error
from support.toy_cells import LearnableMomentum, WeightDecay

from l2o_tf.core import seeds
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.unroll.adjoint import cell_adjoint
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
        lambda w, i, s: cell_adjoint(cell, w, i, s, LENGTH, cotangent, ())[0],
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
        inputs,
        states,
        LENGTH,
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
        inputs,
        states,
        LENGTH,
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
        cell, weights_of(cell), inputs, states, LENGTH, cotangent, ()
    )
    g = inputs.gradient.numpy()[:, 0]
    age = LENGTH - 1 - np.arange(LENGTH)
    a = np.sum(0.5**age * g)
    slope = np.sum(age[:-1] * 0.5 ** (age[:-1] - 1.0) * g[:-1])
    np.testing.assert_allclose(gradient, [-a, -0.1 * slope], rtol=1e-12)
