"""What every hand-designed optimizer promises, whatever its rule."""

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cells import feed, make_inputs, vector_layout
from support.execution import assert_same_everywhere, count_traces

from l2o_tf.core.layout import Layout
from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD

# Every argument away from its default, so that a lost one shows.
CONFIGS = [
    (SGD, {"learning_rate": 0.25}),
    (Momentum, {"learning_rate": 0.25, "momentum": 0.5, "nesterov": True}),
    (
        Adam,
        {
            "learning_rate": 0.25,
            "beta_1": 0.5,
            "beta_2": 0.75,
            "epsilon": 1e-3,
        },
    ),
    (
        RMSProp,
        {
            "learning_rate": 0.25,
            "decay": 0.5,
            "momentum": 0.75,
            "epsilon": 1e-3,
            "initial_mean_square": 2.0,
        },
    ),
    (
        Adagrad,
        {"learning_rate": 0.25, "initial_accumulator": 2.0, "epsilon": 1e-3},
    ),
]
CELLS = [kind for kind, _ in CONFIGS]
each_cell = pytest.mark.parametrize("kind", CELLS)
each_config = pytest.mark.parametrize(("kind", "config"), CONFIGS)


def random_gradients(steps, size, seed=0):
    rng = np.random.RandomState(seed)
    scale = 10.0 ** rng.uniform(-4, 1, (1, size))
    return (rng.randn(steps, size) * scale).astype("f4")


def trajectory(cell):
    """Return a function of `[T, N]` gradients: a loop over the cell."""

    def run(gradients):
        length, size = gradients.shape

        def step(t, states, updates):
            inputs = make_inputs(gradients[t], t + 1)
            update, states = cell.call(inputs, states)
            return t + 1, states, updates.write(t, update)

        _, states, updates = tf.while_loop(
            lambda t, *_: t < length,
            step,
            (
                tf.constant(0),
                cell.get_initial_state(vector_layout(size)),
                tf.TensorArray(gradients.dtype, length, element_shape=[size]),
            ),
            maximum_iterations=length,
        )
        return updates.stack(), states

    return run


@each_cell
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_structure_shapes_and_dtypes_are_kept(kind, dtype):
    cell = kind(dtype=dtype)
    layout = Layout(("w", "b"), ((2, 3), (3,)))
    before = cell.get_initial_state(layout)
    updates, after = cell.call(make_inputs(np.ones(9, dtype)), before)
    assert (updates.shape, updates.dtype) == ((9,), dtype)
    tf.nest.assert_same_structure(before, after)
    for tensor in tf.nest.flatten([before, after]):
        assert (tensor.shape, tensor.dtype) == ((9,), dtype)


@each_cell
def test_state_is_float32_by_default(kind):
    state = kind().get_initial_state(vector_layout(4))
    assert {t.dtype for t in tf.nest.flatten(state)} <= {tf.float32}


@each_config
def test_eager_graph_and_xla_agree(kind, config):
    gradients = random_gradients(20, 7)
    for cell in (kind(), kind(**config)):
        updates, _ = assert_same_everywhere(
            trajectory(cell), gradients, rtol=1e-5, atol=1e-6
        )
        expected, _ = feed(cell, gradients)
        np.testing.assert_array_equal(updates, expected)


@each_cell
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_later_step_does_not_retrace(kind, jit_compile):
    cell = kind()
    states = cell.get_initial_state(vector_layout(3))
    first, later = (
        (make_inputs(random_gradients(1, 3, t)[0], t), states) for t in (1, 90)
    )
    assert count_traces(cell.call, first, later, jit_compile=jit_compile) == 1


@each_cell
@pytest.mark.parametrize("steps", [1, 500])
def test_zero_gradients_give_zero_updates(kind, steps):
    updates, states = feed(kind(), np.zeros((steps, 2), "f4"))
    np.testing.assert_array_equal(updates, np.zeros((steps, 2)))
    for tensor in tf.nest.flatten(states):
        assert np.isfinite(tensor).all()


@each_cell
@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e12])
def test_extreme_gradients_give_finite_updates_downhill(kind, size):
    updates, states = feed(kind(), np.full((30, 2), size, "f4"))
    assert np.isfinite(updates).all()
    assert (updates.numpy() <= 0.0).all()
    for tensor in tf.nest.flatten(states):
        assert np.isfinite(tensor).all()


@each_cell
def test_opposite_gradients_give_opposite_updates(kind):
    gradients = random_gradients(10, 4)
    updates, _ = feed(kind(), gradients)
    opposite, _ = feed(kind(), -gradients)
    np.testing.assert_array_equal(opposite, -updates)


@each_config
@settings(deadline=None)  # the first call of an operation is slow
@given(order=st.permutations(range(6)), seed=st.integers(0, 1000))
def test_permuting_coordinates_permutes_updates(kind, config, order, seed):
    gradients = random_gradients(4, 6, seed)
    cell = kind(**config)
    updates, states = feed(cell, gradients)
    permuted, permuted_states = feed(cell, gradients[:, order])
    np.testing.assert_array_equal(permuted, updates.numpy()[:, order])
    for a, b in zip(
        tf.nest.flatten(states), tf.nest.flatten(permuted_states), strict=True
    ):
        np.testing.assert_array_equal(b, a.numpy()[order])


@each_config
def test_config_round_trip_keeps_every_argument(kind, config):
    config = {**config, "dtype": "float64", "name": "teacher"}
    cell = kind(**config)
    assert cell.get_config() == config
    assert kind.from_config(cell.get_config()).get_config() == config


@each_config
def test_serialized_cell_comes_back_with_the_same_updates(kind, config):
    cell = kind(**config)
    record = keras.saving.serialize_keras_object(cell)
    assert record["registered_name"] == f"l2o_tf>{kind.__name__}"
    copy = keras.saving.deserialize_keras_object(record)
    assert type(copy) is kind
    gradients = random_gradients(3, 4)
    np.testing.assert_array_equal(
        feed(copy, gradients)[0], feed(cell, gradients)[0]
    )


@each_cell
def test_gin_binds_the_registered_class(kind):
    selector = f"l2o_tf.optimizers.{kind.__name__}"
    gin.parse_config(f"{selector}.learning_rate = 0.125")
    cell = gin.get_configurable(selector)()
    assert isinstance(cell, kind)
    assert cell.learning_rate == 0.125


@each_cell
def test_meta_layout_is_refused_for_want_of_weights(kind):
    cell = kind()
    assert cell.trainable_variables == []
    with pytest.raises(ValueError, match=f"{kind.__name__} has no weight"):
        _ = cell.meta_layout


@each_cell
def test_a_float64_gradient_is_not_mixed_with_a_float32_state(kind):
    # No silent loss of digits: TensorFlow refuses, unless there is no state.
    cell = kind()
    states = cell.get_initial_state(vector_layout(2))
    inputs = make_inputs(np.ones(2))
    if states == ():
        assert cell.call(inputs, states)[0].dtype == tf.float64
        return
    with pytest.raises(tf.errors.InvalidArgumentError, match="double"):
        cell.call(inputs, states)
