"""Adam+Reg+Decay: its rule in NumPy, its decay, its regularisation."""

import json
import math

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cells import feed, make_inputs, vector_layout
from support.execution import assert_same_everywhere

from l2o_tf.optimizers.adam import Adam, AdamState
from l2o_tf.optimizers.decayed_adam import (
    DecayedAdam,
    decay_multiplier,
    regularised_gradient,
)

EVERYTHING = {
    "learning_rate": 0.25,
    "beta_1": 0.5,
    "beta_2": 0.75,
    "epsilon": 1e-3,
    "exponential_decay": 2e-4,
    "linear_decay": 5e-5,
    "l1": 0.01,
    "l2": 0.1,
    "num_steps": 8,
}


def gradients_of(steps, size, seed=0):
    rng = np.random.RandomState(seed)
    return rng.randn(steps, size) * 10.0 ** rng.uniform(-3, 1, (1, size))


def run(cell, gradients, params):
    """Feed gradients to the cell; params follow its updates, `[T + 1, N]`."""
    states, path = cell.get_initial_state(vector_layout(len(params))), [params]
    for t, gradient in enumerate(gradients, start=1):
        inputs = make_inputs(gradient, t, tf.constant(path[-1]))
        update, states = cell.call(inputs, states)
        path.append(path[-1] + update.numpy())
    return np.stack(path)


def in_numpy(gradients, params, c):
    """Restate the rule, term by term, with moments as explicit sums."""
    path, seen = [params], []
    for t, gradient in enumerate(gradients, start=1):
        x = path[-1]
        seen.append(gradient + c["l1"] * np.sign(x) + c["l2"] * (x + x))
        ages = np.arange(t)[::-1, np.newaxis]
        moments = []
        for beta, power in ((c["beta_1"], 1), (c["beta_2"], 2)):
            weights = beta**ages / np.sum(beta**ages)
            moments.append(np.sum(weights * np.array(seen) ** power, axis=0))
        time = (t - 1) * 10_000 / c["num_steps"]
        rate = c["learning_rate"] * np.exp(-c["exponential_decay"] * time)
        rate *= max(1.0 - c["linear_decay"] * time, 0.0)
        m, v = moments
        path.append(x - rate * m / (np.sqrt(v + 1e-10) + c["epsilon"]))
    return np.stack(path)


@settings(deadline=None, max_examples=20)
@given(
    st.fixed_dictionaries(
        {
            "learning_rate": st.floats(1e-3, 1.0),
            "beta_1": st.floats(0.0, 0.99),
            "beta_2": st.floats(0.0, 0.999),
            "epsilon": st.floats(0.0, 10.0),
            "exponential_decay": st.floats(0.0, 1e-3),
            "linear_decay": st.floats(0.0, 3e-4),
            "l1": st.floats(0.0, 1.0),
            "l2": st.floats(0.0, 1.0),
            "num_steps": st.integers(1, 20),
        }
    ),
    st.integers(0, 2**31 - 1),
)
def test_a_trajectory_is_that_of_the_rule_written_in_numpy(config, seed):
    gradients = gradients_of(6, 3, seed)
    params = np.array([0.5, -2.0, 0.0])
    path = run(DecayedAdam(**config, dtype="float64"), gradients, params)
    np.testing.assert_allclose(
        path, in_numpy(gradients, params, config), rtol=1e-9, atol=1e-9
    )


def test_float32_follows_the_rule_too():
    gradients, params = gradients_of(8, 4), np.float32([1.0, -1.0, 0.5, 3.0])
    path = run(DecayedAdam(**EVERYTHING), gradients.astype("f4"), params)
    assert path.dtype == np.float32
    np.testing.assert_allclose(
        path, in_numpy(gradients, params, EVERYTHING), rtol=1e-5, atol=1e-5
    )


def test_without_extras_it_is_adam():
    gradients = np.random.RandomState(0).randn(50, 4)
    gradients += np.sign(gradients)  # 1e-10 inside the root is then 1e-10 of it
    updates, states = feed(
        DecayedAdam(0.1, 0.8, 0.9, 0.0, dtype="float64"), gradients
    )
    expected, adams = feed(Adam(0.1, 0.8, 0.9, 0.0, dtype="float64"), gradients)
    np.testing.assert_allclose(updates, expected, rtol=1e-6)
    for a, b in zip(states, adams, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("step", [1, 7, 5000])
def test_epsilon_is_added_to_the_corrected_root(step):
    # From fresh moments at a late step: m = 0.1 g, v = 0.001 g^2.
    cell = DecayedAdam(1.0, epsilon=0.5, dtype="float64")
    updates, _ = feed(cell, np.array([[2.0]]), first_step=step)
    m = 0.2 / (1.0 - 0.9**step)
    v = 0.004 / (1.0 - 0.999**step)
    expected = -m / (math.sqrt(v + 1e-10) + 0.5)
    np.testing.assert_allclose(updates, [[expected]], rtol=1e-9)


def test_inside_the_root_stands_1e_10():
    # The first update for a gradient of 1e-5: sqrt(2e-10) under it.
    updates, _ = feed(
        DecayedAdam(1.0, epsilon=0.0, dtype="float64"), np.array([[1e-5]])
    )
    np.testing.assert_allclose(updates, [[-1.0 / math.sqrt(2.0)]], rtol=1e-9)


def multiplier(step, num_steps, exponential=0.0, linear=0.0):
    return float(
        decay_multiplier(
            tf.constant(step), num_steps, exponential, linear, tf.float64
        )
    )


@pytest.mark.parametrize("num_steps", [100, 10_000, 40_000])
def test_the_first_update_is_not_decayed(num_steps):
    assert multiplier(1, num_steps, 1e-3, 1e-4) == 1.0


@pytest.mark.parametrize("num_steps", [100, 10_000, 40_000])
def test_linear_decay_is_a_half_in_the_middle_and_none_at_the_end(num_steps):
    middle, end = num_steps // 2 + 1, num_steps + 1
    assert multiplier(middle, num_steps, linear=1e-4) == pytest.approx(0.5)
    assert multiplier(end, num_steps, linear=1e-4) == pytest.approx(0.0)
    assert multiplier(end, num_steps, linear=2.5e-5) == pytest.approx(0.75)
    assert multiplier(num_steps, num_steps, linear=1e-4) == pytest.approx(
        1.0 / num_steps
    )


@pytest.mark.parametrize("num_steps", [100, 10_000, 40_000])
def test_exponential_decay_halves_where_it_should(num_steps):
    rate = math.log(2.0) / 5_000
    middle, end = num_steps // 2 + 1, num_steps + 1
    assert multiplier(middle, num_steps, rate) == pytest.approx(0.5)
    assert multiplier(end, num_steps, rate) == pytest.approx(0.25)


def test_both_decays_are_multiplied():
    both = multiplier(51, 100, math.log(2.0) / 5_000, 1e-4)
    assert both == pytest.approx(0.25)


def test_beyond_the_end_of_the_linear_decay_nothing_moves():
    assert multiplier(2_000, 100, linear=1e-4) == 0.0
    updates, _ = feed(
        DecayedAdam(0.5, linear_decay=1e-4, num_steps=3), np.ones((6, 2), "f4")
    )
    assert (updates[:3].numpy() < 0.0).all()
    np.testing.assert_array_equal(updates[3:], np.zeros((3, 2)))


def test_regularisation_adds_the_slope_of_l1_and_of_l2_times_x_squared():
    params = tf.constant([2.0, -3.0, 0.0])
    with tf.GradientTape() as tape:
        tape.watch(params)
        loss = 0.5 * tf.reduce_sum(tf.abs(params))
        loss += 0.25 * tf.reduce_sum(tf.square(params)) + params[0]
    expected = tape.gradient(loss, params)
    found = regularised_gradient(tf.constant([1.0, 0, 0]), params, 0.5, 0.25)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found, [2.5, -2.0, 0.0], rtol=1e-6)


def test_regularisation_goes_through_the_moments():
    # A gradient that it cancels: no update, but for the other coordinate.
    cell = DecayedAdam(0.1, l2=0.5)
    inputs = make_inputs(np.float32([-2.0, 1.0]), 1, tf.constant([2.0, 0.0]))
    updates, states = cell.call(
        inputs, cell.get_initial_state(vector_layout(2))
    )
    np.testing.assert_allclose(updates, [0.0, -0.1], rtol=1e-5)
    np.testing.assert_allclose(states.first_moment, [0.0, 0.1], rtol=1e-6)


def test_params_are_read_only_for_regularisation():
    assert not DecayedAdam().reads_params
    assert not DecayedAdam(linear_decay=1e-4).reads_params
    assert DecayedAdam(l1=1e-8).reads_params
    assert DecayedAdam(l2=1e-8).reads_params


def test_eager_graph_and_xla_agree():
    cell = DecayedAdam(**EVERYTHING)
    zeros = tf.zeros([5])

    def two_steps(gradients, params):
        states, updates = AdamState(zeros, zeros), []
        for t in (0, 1):
            inputs = make_inputs(gradients[t], t + 1, params)
            update, states = cell.call(inputs, states)
            updates.append(update)
        return tf.stack(updates), states

    gradients = gradients_of(2, 5).astype("f4")
    assert_same_everywhere(
        two_steps, gradients, gradients[1], rtol=1e-5, atol=1e-6
    )


def test_zero_gradients_give_zero_updates():
    updates, _ = feed(DecayedAdam(epsilon=0.0), np.zeros((3, 2), "f4"))
    np.testing.assert_array_equal(updates, np.zeros((3, 2)))


def test_it_comes_back_from_its_configuration():
    cell = DecayedAdam(**EVERYTHING, dtype="float64", name="decayed")
    assert cell.get_config() == {
        **EVERYTHING,
        "dtype": "float64",
        "name": "decayed",
    }
    record = keras.saving.serialize_keras_object(cell)
    assert record["registered_name"] == "l2o_tf>DecayedAdam"
    twin = keras.saving.deserialize_keras_object(json.loads(json.dumps(record)))
    assert twin.get_config() == cell.get_config()
    gradients, params = gradients_of(3, 2), np.array([1.0, -1.0])
    np.testing.assert_array_equal(
        run(twin, gradients, params), run(cell, gradients, params)
    )


def test_gin_builds_it():
    gin.parse_config("l2o_tf.optimizers.DecayedAdam.l2 = 0.125")
    kind = gin.get_configurable("l2o_tf.optimizers.DecayedAdam")
    assert kind().l2 == 0.125


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", -1.0),
        ("beta_1", 1.0),
        ("beta_1", -0.1),
        ("beta_2", 1.0),
        ("epsilon", -1e-8),
        ("exponential_decay", -1e-6),
        ("linear_decay", math.nan),
        ("l1", -1.0),
        ("l2", math.inf),
        ("num_steps", 0),
        ("num_steps", 1e4),
    ],
)
def test_an_argument_out_of_range_is_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        DecayedAdam(**{argument: value})
