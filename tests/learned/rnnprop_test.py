"""RNNprop against the original program's numbers and against Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from support.cells import feed, vector_layout
from support.features import numpy_moments
from support.small_problem import (
    FIXTURE,
    RNNPROP_ARRAYS,
    flat_weights,
    relative_error,
)

from l2o_tf.learned.lstm import LSTMState
from l2o_tf.learned.rnnprop import RNNprop, RNNpropState
from l2o_tf.optimizers.adam import AdamState


def run_network(cell, averages, presents):
    """Apply what follows the moments to recorded m~ and g~ `[T, N]`."""
    states = cell.network.initial_states(averages.shape[1])
    updates = []
    for pair in zip(averages, presents, strict=True):
        hidden = tf.nn.elu(cell.projection.call(tf.stack(pair)))
        output, states = cell.network.call(hidden, states)
        updates.append(cell.output_scale * tf.tanh(output))
    return tf.stack(updates), states


def cell_with(weights):
    cell = RNNprop()
    cell.assign_meta_params(weights)
    return cell


def test_weight_count_names_and_order():
    meta = RNNprop().meta_layout
    assert meta.size == 6641
    assert meta.names == RNNPROP_ARRAYS
    assert meta.shapes == (
        (2, 20),
        (20,),
        (40, 80),
        (80,),
        (40, 80),
        (80,),
        (20, 1),
        (1,),
    )


def assert_network_is_recorded(cell, golden):
    updates, states = run_network(
        cell, golden["rp_net_in_m"], golden["rp_net_in_g"]
    )
    assert relative_error(updates, golden["rp_net_out"]) < 1e-5
    for name, state in zip(
        ("h1", "c1", "h2", "c2"), tf.nest.flatten(states), strict=True
    ):
        expected = golden[f"rp_net_{name}"]
        assert relative_error(tf.transpose(state), expected) < 1e-5, name


def test_outputs_and_states_equal_the_original():
    golden = np.load(FIXTURE)
    weights = flat_weights(golden, "rp_weights", RNNPROP_ARRAYS)
    assert_network_is_recorded(cell_with(weights), golden)


def test_released_weights_equal_the_original(shared_dir):
    golden = np.load(shared_dir / "golden" / "golden_tf114.npz")
    released = np.load(shared_dir / "weights" / "rnnprop_cl_il.npz")
    weights = np.concatenate([released[k].ravel() for k in RNNPROP_ARRAYS])
    assert_network_is_recorded(cell_with(weights), golden)


def test_a_step_is_the_network_on_the_normalized_moments():
    golden = np.load(FIXTURE)
    cell = cell_with(flat_weights(golden, "rp_weights", RNNPROP_ARRAYS))
    gradients = np.random.RandomState(3).randn(8, 5).astype("f4")
    updates, states = feed(cell, gradients)
    features = numpy_moments(gradients).astype("f4")
    expected, layers = run_network(cell, features[:, 0], features[:, 1])
    assert relative_error(updates, expected) < 1e-5
    for a, b in zip(
        tf.nest.flatten(states.layers), tf.nest.flatten(layers), strict=True
    ):
        assert relative_error(a, b) < 1e-5


def test_gradient_first_swaps_the_features():
    weights = RNNprop(seed=4).meta_params()
    swapped = RNNprop(gradient_first=True)
    parts = [t.numpy() for t in swapped.meta_layout.split(weights)]
    parts[0] = parts[0][::-1]
    swapped.assign_meta_params(swapped.meta_layout.flatten(parts))
    gradients = np.random.RandomState(3).randn(4, 3).astype("f4")
    expected, _ = feed(cell_with(weights), gradients)
    np.testing.assert_allclose(
        feed(swapped, gradients)[0], expected, rtol=1e-5, atol=1e-9
    )


def test_keras_rnn_over_the_core_gives_the_same_updates():
    cell = RNNprop(seed=2)
    gradients = np.random.RandomState(0).randn(6, 4).astype("f4")
    updates, _ = feed(cell, gradients)
    features = tf.constant(numpy_moments(gradients), tf.float32)
    dense = keras.layers.Dense(20, activation="elu")
    core = keras.layers.RNN(
        keras.layers.StackedRNNCells(cell.network.cells), return_sequences=True
    )
    sequences = tf.transpose(features, [2, 0, 1])  # [N, T, 2]
    dense.build(sequences.shape)
    dense.set_weights([cell.projection.w.numpy(), cell.projection.b.numpy()])
    hidden = core(dense(sequences))
    readout = cell.network.readout
    expected = 0.01 * tf.tanh(tf.matmul(hidden, readout.w) + readout.b)
    np.testing.assert_allclose(
        updates, tf.transpose(expected[..., 0]), rtol=1e-4, atol=1e-8
    )


@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_no_update_exceeds_the_output_scale(gradient):
    cell = RNNprop(units=(3,), projection_units=3, output_scale=0.25, seed=1)
    updates, _ = feed(cell, np.array([[gradient], [-gradient]], "f4"))
    assert np.all(np.abs(updates) <= 0.25)


def test_the_kept_memory_is_the_lstm_states_alone():
    cell = RNNprop(units=(2,))
    fresh = cell.get_initial_state(vector_layout(3))
    ones = tf.ones([3])
    old = RNNpropState(
        AdamState(ones, ones), (LSTMState(tf.ones([2, 3]), tf.ones([2, 3])),)
    )
    kept = cell.keep_memory(fresh, old)
    assert not np.any(kept.moments.first_moment)
    assert not np.any(kept.moments.second_moment)
    assert np.all(kept.layers[0].hidden == 1)
    assert np.all(kept.layers[0].memory == 1)


def values_of_seeds(**arguments):
    """Return each weight's numbers over 12 seeds."""
    meta = RNNprop().meta_layout
    cells = [RNNprop(seed=s, **arguments) for s in range(12)]
    splits = [meta.split(c.meta_params()) for c in cells]
    return {
        name: np.concatenate([s[i].numpy().ravel() for s in splits])
        for i, name in enumerate(meta.names)
    }


def assert_spread(values, sigma):
    # 5 standard errors of a standard deviation, of a normal distribution.
    tolerance = 5 / np.sqrt(2 * values.size)
    assert values.std() == pytest.approx(sigma, rel=tolerance)


def test_initial_weights_have_the_specified_spread():
    values = values_of_seeds()
    for name, fan_in in (
        ("input_projection/w", 2),
        ("lstm_1/w_gates", 40),
        ("lstm_1/b_gates", 40),
        ("lstm_2/w_gates", 40),
        ("lstm_2/b_gates", 40),
        ("linear/w", 20),
    ):
        sigma = fan_in**-0.5
        assert np.abs(values[name]).max() <= 2 * sigma
        assert_spread(values[name], 0.87963 * sigma)
    for name in ("input_projection/b", "linear/b"):
        assert not np.any(values[name])


def test_lv_weights_have_the_spread_of_the_original_rnnprop():
    values = values_of_seeds(initial_weights="lv")
    for name in ("input_projection/w", "linear/w"):
        assert np.abs(values[name]).max() <= 0.2
        assert_spread(values[name], 0.087963)
    for name in ("lstm_1/w_gates", "lstm_2/w_gates"):
        bound = (3 / 40) ** 0.5
        assert 0.99 * bound < np.abs(values[name]).max() < bound
        assert_spread(values[name], 40**-0.5)
    for name in RNNPROP_ARRAYS:
        if "/b" in name:
            assert not np.any(values[name])


def test_seeds_decide_the_initial_weights():
    a, b, c = RNNprop(seed=0), RNNprop(seed=0), RNNprop(seed=1)
    np.testing.assert_array_equal(a.meta_params(), b.meta_params())
    assert (a.meta_params() != c.meta_params()).numpy().mean() > 0.98


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("projection_units", 0),
        ("beta_1", 1.0),
        ("beta_2", -0.1),
        ("epsilon", 0.0),
        ("output_scale", float("inf")),
        ("initial_weights", "keras"),
        ("gradient_first", "False"),
        ("units", (0,)),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}="):
        RNNprop(**{argument: value})
