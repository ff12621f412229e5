"""L2O-DM against the original program's numbers and against Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.small_problem import (
    DM_ARRAYS,
    FIXTURE,
    flat_weights,
    relative_error,
)

from l2o_tf.core.layout import Layout
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.lstm import FORGET_BIAS
from l2o_tf.optimizers.base import OptimizerInputs


def run(cell, gradients):
    """Apply the cell to gradients `[T, N]`; return updates and the states."""
    states = cell.get_initial_state(Layout(("x",), ((gradients.shape[1],),)))
    updates = []
    for t, gradient in enumerate(gradients):
        inputs = OptimizerInputs(
            tf.constant(gradient), (), tf.constant(0.0), tf.constant(t + 1)
        )
        update, states = cell.call(inputs, states)
        updates.append(update)
    return tf.stack(updates), states


def golden_cell():
    golden = np.load(FIXTURE)
    cell = DMLSTM()
    cell.assign_meta_params(flat_weights(golden, "dm_weights"))
    return golden, cell


def test_weight_count_names_and_order():
    layout = DMLSTM().meta_layout
    assert layout.size == 5141
    assert layout.names == DM_ARRAYS
    assert layout.shapes == ((22, 80), (80,), (40, 80), (80,), (20, 1), (1,))


def test_outputs_and_states_equal_the_original():
    golden, cell = golden_cell()
    updates, states = run(cell, golden["dm_net_in_g"])
    assert relative_error(updates, golden["dm_net_out"]) < 1e-5
    for name, state in zip(
        ("h1", "c1", "h2", "c2"), tf.nest.flatten(states), strict=True
    ):
        expected = golden[f"dm_net_{name}"]
        assert relative_error(tf.transpose(state), expected) < 1e-5, name


def test_released_weights_equal_the_original(shared_dir):
    golden = np.load(shared_dir / "golden" / "golden_tf114.npz")
    released = np.load(shared_dir / "weights" / "dm_cl_il.npz")
    cell = DMLSTM()
    cell.assign_meta_params(
        np.concatenate([released[name].ravel() for name in DM_ARRAYS])
    )
    updates, states = run(cell, golden["dm_net_in_g"])
    assert relative_error(updates, golden["dm_net_out"]) < 1e-5
    hidden = tf.transpose(states[1].hidden)
    assert relative_error(hidden, golden["dm_net_h2"]) < 1e-5


def test_keras_rnn_over_the_core_gives_the_same_updates():
    golden, cell = golden_cell()
    gradients = golden["dm_net_in_g"]
    updates, _ = run(cell, gradients)
    features = tf.stack([cell.features(tf.constant(g)) for g in gradients])
    core = keras.layers.RNN(
        keras.layers.StackedRNNCells(cell.network.cells), return_sequences=True
    )
    hidden = core(tf.transpose(features, [2, 0, 1]))  # [N, T, 20]
    readout = cell.network.readout
    expected = 0.01 * (tf.matmul(hidden, readout.w) + readout.b)
    np.testing.assert_allclose(
        updates, tf.transpose(expected[..., 0]), rtol=1e-5, atol=1e-8
    )


def test_keras_lstm_with_converted_weights_gives_the_same_hidden_states():
    _, cell = golden_cell()
    first = cell.network.cells[0]
    order = np.r_[0:20, 40:60, 20:40, 60:80]  # i, j, f, o -> i, f, j, o
    kernel = first.w_gates.numpy()[:, order]
    bias = first.b_gates.numpy()
    bias = bias + np.repeat([0.0, 0.0, FORGET_BIAS, 0.0], 20)
    reference = keras.layers.LSTM(20, return_sequences=True)
    features = np.random.RandomState(1).randn(3, 6, 2).astype("f4")
    reference.build(features.shape)
    reference.set_weights([kernel[:2], kernel[2:], bias[order]])
    ours = keras.layers.RNN(first, return_sequences=True)
    np.testing.assert_allclose(
        ours(features), reference(features), rtol=1e-5, atol=1e-6
    )


def test_initial_weights_have_the_specified_spread():
    weights = [
        cell.meta_params().numpy()
        for cell in (DMLSTM(seed=s) for s in range(12))
    ]
    parts = [DMLSTM().meta_layout.split(tf.constant(w)) for w in weights]
    for i, sigma in enumerate((22, 22, 40, 40, 20)):
        values = np.concatenate([p[i].numpy().ravel() for p in parts])
        sigma = sigma**-0.5
        assert np.abs(values).max() <= 2 * sigma
        # 5 standard errors of a standard deviation.
        tolerance = 5 / np.sqrt(2 * values.size)
        assert values.std() == pytest.approx(0.87963 * sigma, rel=tolerance)
    assert all(p[5].numpy() == [0.0] for p in parts)


def test_seeds_decide_the_initial_weights():
    a, b, c = DMLSTM(seed=0), DMLSTM(seed=0), DMLSTM(seed=1)
    np.testing.assert_array_equal(a.meta_params(), b.meta_params())
    assert (a.meta_params() != c.meta_params()).numpy().mean() > 0.99


def test_identity_preprocessing_has_one_feature():
    cell = DMLSTM(preprocessing="identity", output_scale=1.0)
    assert cell.meta_layout.size == 5061  # spec 1.1, `quadratic`
    np.testing.assert_array_equal(
        cell.features(tf.constant([3.0, -4.0])), [[3.0, -4.0]]
    )


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("preprocessing", "log"),
        ("log_scale", 0.0),
        ("log_scale", float("nan")),
        ("output_scale", float("inf")),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}="):
        DMLSTM(**{argument: value})


@pytest.mark.parametrize("units", [(0,), (20, -1), (2.5,)])
def test_bad_units_are_refused(units):
    with pytest.raises(ValueError, match="Received: units="):
        DMLSTM(units=units)
