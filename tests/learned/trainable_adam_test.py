"""The learned Adam against NumPy, against Adam, and its original's slip."""

import numpy as np
import pytest
import tensorflow as tf
from support.cells import feed, make_inputs, vector_layout

from l2o_tf.learned.trainable_adam import TrainableAdam
from l2o_tf.optimizers.adam import Adam, AdamState

GRADIENTS = np.random.RandomState(0).randn(6, 5).astype("f4") * np.array(
    [1e-6, 1e-3, 0.3, 1.0, 50.0], "f4"
)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def numpy_adam(weights, gradients, released=False):
    """Return updates, m and v after the gradients, in float64."""
    log_rate, logit_1, logit_2, log_epsilon = np.asarray(weights, np.float64)
    b_1, b_2 = sigmoid(logit_1), sigmoid(logit_2)
    m = v = np.zeros(gradients.shape[1])
    updates = []
    for t, g in enumerate(gradients.astype(np.float64), start=1):
        m = b_1 * m + (1 - b_1) * g
        if released:
            v = v / (1 - (g**2) ** b_2)
        else:
            v = b_2 * v + (1 - b_2) * g**2
        m_hat, v_hat = m / (1 - b_1**t), v / (1 - b_2**t)
        scale = np.sqrt(v_hat + 1e-10) + np.exp(log_epsilon) + 1e-10
        updates.append(-np.exp(log_rate) * m_hat / scale)
    return np.stack(updates), m, v


def cell_with(weights, **arguments):
    cell = TrainableAdam(**arguments)
    cell.assign_meta_params(np.asarray(weights, cell.compute_dtype))
    return cell


def test_it_has_four_weights_with_adams_values():
    cell = TrainableAdam()
    assert cell.meta_layout.names == tuple(
        f"{cell.name}/{name}"
        for name in (
            "log_learning_rate",
            "beta_1_logit",
            "beta_2_logit",
            "log_epsilon",
        )
    )
    log_rate, logit_1, logit_2, log_epsilon = cell.meta_params().numpy()
    np.testing.assert_allclose(np.exp(log_rate), 1e-3, rtol=1e-6)
    np.testing.assert_allclose(sigmoid(logit_1), 0.9, rtol=1e-6)
    np.testing.assert_allclose(sigmoid(logit_2), 0.999, rtol=1e-6)
    np.testing.assert_allclose(np.exp(log_epsilon), 1e-8, rtol=2e-6)


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("weights", [None, (-2.0, 0.5, 1.5, -3.0)])
@pytest.mark.parametrize(
    ("dtype", "rtol"), [("float32", 3e-6), ("float64", 1e-12)]
)
def test_updates_and_moments_are_the_formula(weights, released, dtype, rtol):
    cell = TrainableAdam(released_second_moment=released, dtype=dtype)
    if weights is not None:
        cell.assign_meta_params(np.array(weights, dtype))
    gradients = GRADIENTS.astype(dtype)
    updates, states = feed(cell, gradients)
    expected, m, v = numpy_adam(cell.meta_params(), gradients, released)
    np.testing.assert_allclose(updates, expected, rtol)
    np.testing.assert_allclose(states.first_moment, m, rtol, 1e-12)
    np.testing.assert_allclose(states.second_moment, v, rtol)


def test_it_is_adam_but_for_the_place_of_the_epsilons():
    gradients = GRADIENTS.astype("f8")
    updates, states = feed(TrainableAdam(0.05, dtype="float64"), gradients)
    adams, adam_states = feed(Adam(0.05, dtype="float64"), gradients)
    for a, b in zip(states, adam_states, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-20)
    # Of a step: lr_t m / (sqrt(v) + 1e-8), with v before its correction,
    # against lr m^ / (sqrt(v^ + 1e-10) + 1e-8 + 1e-10).
    v = np.zeros(5)
    for t, g in enumerate(gradients, start=1):
        v = 0.999 * v + 0.001 * g**2
        corrected = np.sqrt(v / (1 - 0.999**t))
        adams_scale = corrected + 1e-8 / np.sqrt(1 - 0.999**t)
        scale = np.sqrt(corrected**2 + 1e-10) + 1.01e-8
        np.testing.assert_allclose(
            updates[t - 1] * scale, adams[t - 1] * adams_scale, rtol=1e-10
        )
    # At ordinary gradients that is all the same.
    np.testing.assert_allclose(updates[:, 2:], adams[:, 2:], rtol=1e-4)


def test_the_released_second_moment_makes_it_momentum():
    cell = TrainableAdam(released_second_moment=True)
    updates, states = feed(cell, GRADIENTS)
    np.testing.assert_array_equal(states.second_moment, 0.0)
    m, expected = np.zeros(5), []
    for t, g in enumerate(GRADIENTS, start=1):
        m = 0.9 * m + 0.1 * g
        expected.append(-1e-3 / (1e-5 + 1.01e-8) * m / (1 - 0.9**t))
    np.testing.assert_allclose(updates, expected, rtol=1e-5)


def test_a_gradient_of_one_breaks_the_released_second_moment_for_good():
    gradients = np.array([[1.0, -1.0, 2.0, 0.0], [0.5] * 4], "f4")
    cell = TrainableAdam(released_second_moment=True)
    updates, states = feed(cell, gradients)
    for values in (*updates.numpy(), states.second_moment):
        np.testing.assert_array_equal(np.isnan(values), [1, 1, 0, 0])
    sound, states = feed(TrainableAdam(), gradients)
    assert np.isfinite(sound).all()
    assert np.isfinite(states.second_moment).all()


def meta_gradient(cell, gradients):
    """Differentiate a weighted sum of the updates by the four weights."""
    weights = tuple(tf.convert_to_tensor(w) for w in cell.trainable_variables)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        states = cell.get_initial_state(vector_layout(gradients.shape[1]))
        total = 0.0
        for t, gradient in enumerate(gradients, start=1):
            update, states = cell.stateless_update(
                weights, make_inputs(gradient, t), states
            )
            total += tf.reduce_sum(t * update)
    return np.array([g.numpy() for g in tape.gradient(total, weights)])


@pytest.mark.parametrize("released", [False, True])
def test_the_meta_gradient_is_the_formulas_slope(released):
    start = np.array([-2.0, 0.5, 1.5, -3.0])
    gradients = GRADIENTS[:, 1:4].astype("f8")
    cell = cell_with(start, dtype="float64", released_second_moment=released)

    def total(weights):
        updates, _, _ = numpy_adam(weights, gradients, released)
        return np.sum(np.arange(1, 7)[:, np.newaxis] * updates)

    step = 1e-5
    expected = [
        (total(start + step * e) - total(start - step * e)) / (2 * step)
        for e in np.eye(4)
    ]
    gradient = meta_gradient(cell, gradients)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-12)
    # The released program's second decay decides nothing.
    np.testing.assert_array_equal(gradient == 0.0, [0, 0, released, 0])


def test_the_meta_gradient_is_finite_at_a_gradient_of_zero():
    gradients = np.zeros([3, 2], "f4")
    np.testing.assert_array_equal(
        meta_gradient(TrainableAdam(), gradients), 0.0
    )


def test_a_kept_memory_is_a_fresh_one():
    cell = TrainableAdam()
    fresh = cell.get_initial_state(vector_layout(2))
    old = AdamState(tf.ones([2]), tf.ones([2]))
    for tensor in cell.keep_memory(fresh, old):
        np.testing.assert_array_equal(tensor, 0.0)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("learning_rate", 0.0),
        ("beta_1", 0.0),
        ("beta_1", 1.0),
        ("beta_2", 1.5),
        ("epsilon", 0.0),
        ("released_second_moment", "False"),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        TrainableAdam(**{argument: value})
