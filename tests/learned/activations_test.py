"""Gates that are shown are those that the cells step by."""

import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.layout import Layout
from l2o_tf.learned.activations import (
    ShowsActivations,
    stateless_activations,
)
from l2o_tf.learned.coordinatewise_rnn import CoordinatewiseRNN
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.base import OptimizerInputs

LAYOUT = Layout.from_shapes({"w": (3, 4), "b": (4,), "c": (2,)})
LSTM_GATES = ("input", "candidate", "forget", "output")
GRU_GATES = ("reset", "update", "candidate")


def inputs(step=1):
    gradient = seeds.normal(seeds.make_seed(step), [LAYOUT.size], 0.3)
    return OptimizerInputs(gradient, (), tf.constant(0.0), tf.constant(step))


def after_some_steps(cell, count=3):
    """Return a state that is nowhere zero."""
    states = cell.get_initial_state(LAYOUT, seeds.make_seed(9))
    for step in range(1, count + 1):
        _, states = cell.call(inputs(step), states)
    return states


def layers_of(states):
    return states.layers if hasattr(states, "layers") else states


@pytest.mark.parametrize(
    "cell",
    [
        DMLSTM((3, 5)),
        DMLSTM((4,), preprocessing="identity"),
        RNNprop((5, 3), projection_units=4),
        RNNprop((2,), gradient_first=True),
        CoordinatewiseRNN((4, 3)),
    ],
    ids=lambda cell: f"{type(cell).__name__}{cell.units}",
)
def test_the_next_lstm_states_follow_from_the_gates(cell):
    states = after_some_steps(cell)
    _, after = cell.call(inputs(4), states)
    shown = cell.activations(inputs(4), states)
    assert list(shown) == [
        f"lstm_{i + 1}/{gate}"
        for i in range(len(cell.units))
        for gate in LSTM_GATES
    ]
    for i, (old, new) in enumerate(
        zip(layers_of(states), layers_of(after), strict=True)
    ):
        take, candidate, keep, tell = (
            shown[f"lstm_{i + 1}/{gate}"].numpy() for gate in LSTM_GATES
        )
        memory = keep * old.memory + take * candidate
        np.testing.assert_allclose(new.memory, memory, atol=1e-6)
        np.testing.assert_allclose(
            new.hidden, tell * np.tanh(memory), atol=1e-6
        )
        for gate in (take, keep, tell):
            assert gate.shape == (cell.units[i], LAYOUT.size)
            assert 0.0 < gate.min() < gate.max() < 1.0
        assert -1.0 < candidate.min() < candidate.max() < 1.0


@pytest.mark.parametrize("problem_input", ["last", "mean"])
def test_the_next_levels_follow_from_the_gates(problem_input):
    cell = HierarchicalRNN((3, 4, 5), problem_input=problem_input)
    states = after_some_steps(cell)
    _, after = cell.call(inputs(4), states)
    shown = cell.activations(inputs(4), states)
    levels = ("coordinates", "tensors", "problem")
    assert list(shown) == [
        f"level_{i}/{gate}" for i in range(3) for gate in GRU_GATES
    ]
    for i, (name, columns) in enumerate(
        zip(levels, (LAYOUT.size, 3, 1), strict=True)
    ):
        reset, update, candidate = (
            shown[f"level_{i}/{gate}"].numpy() for gate in GRU_GATES
        )
        old, new = getattr(states, name), getattr(after, name)
        expected = update * old + (1.0 - update) * candidate
        np.testing.assert_allclose(new, expected, atol=1e-6)
        assert reset.shape == (cell.units[i], columns)
        assert 0.0 < reset.min() < reset.max() < 1.0


def test_one_gate_by_hand():
    cell = DMLSTM((1,), preprocessing="identity")
    lstm = cell.network.cells[0]
    # Rows: the gradient, then h; columns i, j, f, o.
    lstm.w_gates.assign([[0.5, -1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    lstm.b_gates.assign([0.1, 0.2, 0.3, 0.4])
    layout = Layout.from_shapes({"x": ()})
    told = OptimizerInputs(
        tf.constant([2.0]), (), tf.constant(0.0), tf.constant(1)
    )
    shown = cell.activations(told, cell.get_initial_state(layout))
    by_hand = {
        "input": 1.0 / (1.0 + np.exp(-1.1)),
        "candidate": np.tanh(-1.8),
        "forget": 1.0 / (1.0 + np.exp(-5.3)),
        "output": 1.0 / (1.0 + np.exp(-0.4)),
    }
    for gate, value in by_hand.items():
        np.testing.assert_allclose(
            shown[f"lstm_1/{gate}"], [[value]], rtol=1e-6
        )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_given_tensors_take_the_place_of_the_weights(jit_compile):
    cell, other = RNNprop((3,), seed=0), RNNprop((3,), seed=1)
    states = after_some_steps(cell)
    shown = compiled(
        lambda weights: stateless_activations(
            cell, cell.meta_layout.split(weights), inputs(4), states
        ),
        jit_compile,
    )(other.meta_params())
    expected = other.activations(inputs(4), states)
    own = cell.activations(inputs(4), states)
    assert set(shown) == set(expected)
    for name, values in shown.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6)
        assert np.abs(values - own[name]).max() > 1e-3


@pytest.mark.parametrize("cell", [LearnableSGD(), Adam()])
def test_a_cell_without_gates_shows_none(cell):
    assert not isinstance(cell, ShowsActivations)
    weights = tuple(tf.convert_to_tensor(v) for v in cell.trainable_variables)
    assert stateless_activations(cell, weights, inputs(), ()) == {}
