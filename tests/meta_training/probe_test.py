"""A probe counts what happens in a rollout, and nothing comes of it."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.training import ensemble_trainer, small_trainer

from l2o_tf.core import seeds
from l2o_tf.learned.coordinatewise_rnn import CoordinatewiseRNN
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.meta_training.probe import (
    MAGNITUDES,
    UPDATES,
    Probe,
    _some_columns,
    bin_counts,
)
from l2o_tf.optimizees.quadratics import Quadratic
from l2o_tf.runtime.histograms import BINS
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import inner_step

SEED = seeds.make_seed(5)
STEPS = 6
GATES = ("input", "candidate", "forget", "output")


class Hole(Quadratic):
    """A quadratic whose gradient is no number in the first coordinate."""

    def loss_and_gradient(self, params, constants, batch):
        loss, gradient = super().loss_and_gradient(params, constants, batch)
        first = tf.range(self.layout.size) == 0
        return loss, tf.where(first, np.nan, gradient)


def make(cell=None, optimizee=None, steps=STEPS, jit_compile=False):
    cell = DMLSTM((3,), output_scale=0.1) if cell is None else cell
    optimizee = Quadratic(2, 3) if optimizee is None else optimizee
    return cell, optimizee, Probe(cell, optimizee, SEED, steps, jit_compile)


def slow_rollout(cell, optimizee):
    """Return updates and gates of every step, one step after the other."""
    carry = start_episode(cell, optimizee, SEED)
    updates, gates = [], []
    for _ in range(STEPS):
        states = carry.states
        carry, step = inner_step(cell, optimizee, carry)
        updates.append(step.update.numpy())
        gates.append(cell.activations(step.inputs, states))
    return np.concatenate(updates), {
        name: np.concatenate([g[name].numpy().ravel() for g in gates])
        for name in gates[0]
    }


def assert_close(histogram, values):
    """Compare with NumPy's counts; a number on an edge may be beside it."""
    expected, _ = np.histogram(
        np.clip(values, histogram.lower, histogram.upper),
        BINS,
        (histogram.lower, histogram.upper),
    )
    assert sum(histogram.counts) == len(values)
    moved = np.cumsum(expected) - np.cumsum(histogram.counts)
    assert np.abs(moved).max() <= 1


@settings(deadline=None, max_examples=40)
@given(
    values=hnp.arrays(
        np.float32,
        st.integers(0, 60),
        elements=st.floats(width=32, allow_subnormal=False),
    )
)
def test_every_number_is_counted_once(values):
    *counts, not_finite = bin_counts(tf.constant(values), -4.0, 4.0).numpy()
    finite = values[np.isfinite(values)]
    assert not_finite == len(values) - len(finite)
    # 80 bins over 8: the products with 10 and the edges are exact enough for
    # these to be the same.
    with np.errstate(over="ignore"):  # infinite is beyond, too
        place = np.floor((finite + np.float32(4)) * np.float32(10))
    place = np.clip(place, 0, BINS - 1)
    expected = np.bincount(place.astype(int), minlength=BINS)
    np.testing.assert_array_equal(counts, expected)


def test_bins_hold_their_lower_edge_and_the_outermost_what_is_beyond():
    values = [0.0, 1.0, 1.5, 79.0, 80.0, 1e30, -1e30, np.inf, np.nan]
    counts = bin_counts(tf.constant([values]), 0.0, float(BINS)).numpy()
    expected = np.zeros(BINS + 1, int)
    expected[[0, 1, BINS - 1, BINS]] = [2, 2, 3, 2]
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_probe_counts_the_updates_and_gates_of_its_rollout(jit_compile):
    cell, optimizee, probe = make(jit_compile=jit_compile)
    found = probe(cell.meta_params())
    updates, gates = slow_rollout(cell, optimizee)
    assert set(found) == {
        UPDATES,
        MAGNITUDES,
        *(f"gates/lstm_1/{gate}" for gate in GATES),
    }
    largest = np.abs(updates).max()
    np.testing.assert_allclose(found[UPDATES].upper, largest, rtol=1e-5)
    assert found[UPDATES].lower == -found[UPDATES].upper
    assert_close(found[UPDATES], updates)
    assert_close(found[MAGNITUDES], np.log10(np.abs(updates)))
    for name, values in gates.items():
        histogram = found[f"gates/{name}"]
        assert (histogram.lower, histogram.upper) == (-1.0, 1.0)
        assert_close(histogram, values)
    assert {histogram.not_finite for histogram in found.values()} == {0}


def test_a_probe_depends_on_the_weights_alone_and_leaves_them():
    cell, _, probe = make()
    before = cell.meta_params().numpy()
    other = DMLSTM((3,), output_scale=0.1, seed=1).meta_params()
    first, second, third = probe(before), probe(other), probe(before)
    assert first == third
    assert first != second
    np.testing.assert_array_equal(cell.meta_params(), before)
    assert make()[2](before) == first


def test_what_is_kept_does_not_grow_with_the_number_of_coordinates():
    cell, _, probe = make(optimizee=Quadratic(20, 30))
    weights = cell.meta_params()
    graph = probe._run.get_concrete_function(weights, tf.constant(1.0)).graph
    kept = [
        tf.get_static_value(operation.inputs[0])
        for operation in graph.get_operations()
        if operation.type == "TensorListReserve"
    ]
    assert len(kept) == 7  # two of updates, four gates, the largest update
    assert max(np.prod(shape) for shape in kept) == BINS + 1


@pytest.mark.parametrize(
    ("cell", "layers", "gates"),
    [
        (RNNprop((3, 2), projection_units=3), ("lstm_1", "lstm_2"), GATES),
        (CoordinatewiseRNN((3,)), ("lstm_1",), GATES),
        (
            HierarchicalRNN((2, 3, 3)),
            ("level_0", "level_1", "level_2"),
            ("reset", "update", "candidate"),
        ),
    ],
    ids=["rnnprop", "coordinatewise_rnn", "hierarchical"],
)
def test_every_cell_with_gates_shows_all_of_them(cell, layers, gates):
    found = make(cell, steps=2)[2](cell.meta_params())
    expected = {f"gates/{layer}/{g}" for layer in layers for g in gates}
    assert set(found) == {UPDATES, MAGNITUDES} | expected
    for name in expected:
        assert sum(found[name].counts) > 0


def test_numbers_that_are_not_finite_are_counted_apart():
    cell, _, probe = make(LearnableSGD(0.1), Hole(2, 3))
    found = probe(cell.meta_params())
    assert set(found) == {UPDATES, MAGNITUDES}
    # From the second step on every loss, so every gradient, is NaN.
    for histogram in found.values():
        assert histogram.not_finite > 0
        assert histogram.not_finite + sum(histogram.counts) == 6 * STEPS
    assert np.isfinite(found[UPDATES].upper)


def test_updates_of_nothing_are_in_the_middle_and_at_the_lower_end():
    cell, _, probe = make(LearnableSGD(0.0))
    found = probe(cell.meta_params())
    (only,) = found[UPDATES].buckets()
    assert only[0] <= 0.0 < only[1]
    assert only[2] == 6 * STEPS
    assert (found[UPDATES].lower, found[UPDATES].upper) == (-1.0, 1.0)
    assert found[MAGNITUDES].counts[0] == 6 * STEPS


@pytest.mark.parametrize(
    ("columns", "left"), [(5, 5), (1024, 1024), (1025, 513), (5000, 1000)]
)
def test_gates_of_at_most_1024_columns_are_counted(columns, left):
    values = tf.reshape(tf.range(2.0 * columns), [2, columns])
    kept = _some_columns(values)
    assert kept.shape == (2, left)
    np.testing.assert_array_equal(kept[:, 0], values[:, 0])
    assert len(np.unique(np.diff(kept[0]))) == 1


def test_a_trainer_probes_the_problem_it_trains_on():
    trainer = small_trainer(
        cell=LearnableSGD(0.1),
        optimizee=Quadratic(2, 3),
        validation_optimizee=Quadratic(2, 4),
    )
    found = trainer.probe()(trainer.cell.meta_params())
    assert sum(found[UPDATES].counts) == 100 * 6


def test_a_trainer_on_an_ensemble_probes_what_it_validates_on():
    trainer = ensemble_trainer()
    found = trainer.probe()(trainer.cell.meta_params())
    assert sum(found[UPDATES].counts) == 100 * 1


def test_a_probe_without_steps_is_refused():
    with pytest.raises(ValueError, match="Received: steps=0"):
        make(steps=0)
