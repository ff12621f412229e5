"""A cell on recorded inputs against the cell stepped by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.cells import vector_layout
from support.closed_form import DiagonalQuadratic, NoisyQuadratic
from support.execution import assert_same_everywhere, count_traces
from support.toy_cells import LearnableMomentum, WeightDecay

from l2o_tf.core import seeds
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.rnnprop import RNNprop, normalized_moments
from l2o_tf.optimizers.base import OptimizerInputs
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import unroll
from l2o_tf.unroll.replay import replay

LENGTH, SIZE = 5, 4
CELLS = {
    "dm": lambda: DMLSTM(units=(3, 2), output_scale=0.3),
    "rnnprop": lambda: RNNprop((3,), projection_units=2, output_scale=0.3),
    "learnable_sgd": LearnableSGD,
    "momentum": LearnableMomentum,
    "weight_decay": WeightDecay,
}
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


def recorded(cell, first=1, dtype="float32"):
    """Return inputs that no trajectory of the cell's own has."""
    rng = np.random.RandomState(0)

    def draw(*shape):
        return tf.constant(rng.randn(*shape).astype(dtype))

    return OptimizerInputs(
        gradient=draw(LENGTH, SIZE),
        params=draw(LENGTH, SIZE) if cell.reads_params else (),
        loss=draw(LENGTH),
        step=first + tf.range(LENGTH),
    )


def by_hand(cell, weights, inputs, states):
    updates, before = [], []
    for t in range(LENGTH):
        now = tf.nest.map_structure(lambda stack, t=t: stack[t], inputs)
        before.append(states)
        update, states = cell.stateless_update(weights, now, states)
        updates.append(update)
    stacked = tf.nest.map_structure(lambda *s: tf.stack(s), *before)
    return tf.stack(updates), stacked, states


def assert_nests_close(actual, expected, rtol):
    tf.nest.assert_same_structure(actual, expected)
    for a, b in zip(
        tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-7)


@each_cell
def test_updates_and_states_are_those_of_stepping_the_cell(cell):
    cell = cell()
    inputs = recorded(cell, first=7)
    weights = cell.meta_layout.split(1.5 * cell.meta_params())
    # Not the initial states: those after some other steps.
    *_, states = by_hand(
        cell, weights, inputs, cell.get_initial_state(vector_layout(SIZE))
    )
    result = assert_same_everywhere(
        lambda w, i, s: replay(cell, w, i, s, LENGTH),
        weights,
        inputs,
        states,
        rtol=1e-5,
        atol=1e-5,
    )
    expected = by_hand(cell, weights, inputs, states)
    assert_nests_close(result, expected, rtol=1e-6)
    assert result[0].shape == (LENGTH, SIZE)
    assert np.abs(result[0]).min() > 0.0


def test_without_given_weights_the_cells_own_are_used():
    cell = LearnableSGD(0.25)
    inputs = recorded(cell)
    updates, before, last = replay(cell, None, inputs, (), LENGTH)
    np.testing.assert_array_equal(updates, -0.25 * inputs.gradient.numpy())
    assert before == last == ()


@each_cell
def test_on_its_own_inputs_a_cell_does_what_it_did(cell):
    cell = cell()
    problem = NoisyQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7], "float32")
    carry = start_episode(cell, problem, seeds.make_seed(2))
    end, (inputs, states, updates) = unroll(
        cell,
        problem,
        carry,
        LENGTH,
        collect=lambda s: (s.inputs, s.states, s.update),
    )
    again, before, last = replay(cell, None, inputs, carry.states, LENGTH)
    assert_nests_close(again, updates, rtol=1e-6)
    assert_nests_close(before, states, rtol=1e-6)
    assert_nests_close(last, end.states, rtol=1e-6)


def test_the_cell_follows_and_does_not_steer():
    # The same recorded gradients whatever the learning rate is.
    problem = DiagonalQuadratic([1.0, 2.0], [1.0, 3.0])
    cell = LearnableSGD(0.1, dtype="float64")
    carry = start_episode(cell, problem, seeds.make_seed(0))
    _, inputs = unroll(cell, problem, carry, LENGTH, collect=lambda s: s.inputs)
    for eta in (0.0, 0.5, 100.0):
        weights = (tf.constant(eta, tf.float64),)
        updates, *_ = replay(cell, weights, inputs, (), LENGTH)
        gradients = np.stack(
            [problem.h * problem.at(0.1, t) for t in range(LENGTH)]
        )
        np.testing.assert_allclose(updates, -eta * gradients, rtol=1e-12)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_it_is_traced_once(jit_compile):
    cell = CELLS["rnnprop"]()
    states = cell.get_initial_state(vector_layout(SIZE))
    weights = cell.meta_layout.split(cell.meta_params())
    traces = count_traces(
        lambda w, i, s: replay(cell, w, i, s, LENGTH),
        (weights, recorded(cell), states),
        (weights, recorded(cell, first=61), states),
        jit_compile=jit_compile,
    )
    assert traces == 1


def dm_core(cell, inputs):
    features = [cell.features(g) for g in inputs.gradient]
    return features, lambda output: cell.output_scale * output


def rnnprop_core(cell, inputs):
    moments = cell.get_initial_state(vector_layout(SIZE)).moments
    features = []
    for t in range(LENGTH):
        average, present, moments = normalized_moments(
            inputs.gradient[t],
            moments,
            cell.beta_1,
            cell.beta_2,
            cell.epsilon,
            inputs.step[t],
        )
        z = cell.projection.call(tf.stack([average, present]))
        features.append(tf.nn.elu(z))
    return features, lambda output: cell.output_scale * tf.tanh(output)


@pytest.mark.parametrize(
    ("cell", "core"), [("dm", dm_core), ("rnnprop", rnnprop_core)]
)
def test_keras_rnn_over_the_recorded_features_gives_the_same(cell, core):
    cell = CELLS[cell]()
    inputs = recorded(cell)
    states = cell.get_initial_state(vector_layout(SIZE))
    updates, *_ = replay(cell, None, inputs, states, LENGTH)
    features, head = core(cell, inputs)
    rnn = keras.layers.RNN(
        keras.layers.StackedRNNCells(cell.network.cells), return_sequences=True
    )
    hidden = rnn(tf.transpose(tf.stack(features), [2, 0, 1]))  # [N, T, H]
    readout = cell.network.readout
    output = tf.matmul(hidden, readout.w) + readout.b  # [N, T, 1]
    np.testing.assert_allclose(
        updates, head(tf.transpose(output[..., 0])), rtol=1e-5, atol=1e-8
    )
