"""Adagrad against the sum of a constant gradient's squares."""

import math

import numpy as np
import pytest
import tensorflow as tf
from support.cells import feed, make_inputs

from l2o_tf.optimizers.adagrad import Adagrad, AdagradState


@pytest.mark.parametrize("start", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_constant_gradient_shortens_steps_by_the_root_of_their_number(
    start, epsilon
):
    cell = Adagrad(0.1, start, epsilon, dtype="float64")
    gradients = np.tile([2.0, -0.3, 1e-3], (50, 1))
    updates, states = feed(cell, gradients)
    t = np.arange(1, 51)[:, np.newaxis]
    a = start + t * gradients**2
    expected = -0.1 * gradients / np.sqrt(a + epsilon)
    np.testing.assert_allclose(updates, expected, rtol=1e-12)
    np.testing.assert_allclose(states.accumulator, a[-1], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_coordinates_that_have_seen_no_gradient_stay(dtype):
    cell = Adagrad(1.0, initial_accumulator=0.0, dtype=dtype)
    gradients = np.array([[0.0, 3.0], [0.0, 0.0], [2.0, 0.0]], dtype)
    updates, states = feed(cell, gradients)
    np.testing.assert_array_equal(updates, [[0.0, -1.0], [0.0, 0.0], [-1.0, 0]])
    np.testing.assert_array_equal(states.accumulator, [4.0, 9.0])


def test_gradients_too_small_to_square_do_not_blow_up():
    gradient = np.array([[1e-30, -1e-25]], "f4")
    updates, _ = feed(Adagrad(1.0, initial_accumulator=0.0), gradient)
    # The root stops at sqrt(2^-126) = 2^-63.
    np.testing.assert_allclose(updates, -gradient * 2.0**63, rtol=1e-6)


def test_derivatives_at_zero_gradient_are_finite():
    cell = Adagrad(initial_accumulator=0.0)
    gradient = tf.constant([0.0, 1.0])
    with tf.GradientTape() as tape:
        tape.watch(gradient)
        updates, _ = cell.call(
            make_inputs(gradient), AdagradState(tf.zeros([2]))
        )
    assert np.isfinite(tape.gradient(updates, gradient)).all()


def test_defaults_are_the_teachers():
    cell = Adagrad()
    assert cell.learning_rate == 0.01
    assert (cell.initial_accumulator, cell.epsilon) == (0.1, 0.0)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("learning_rate", math.nan),
        ("learning_rate", 0.0),
        ("initial_accumulator", -0.1),
        ("initial_accumulator", math.nan),
        ("epsilon", -1e-7),
        ("epsilon", math.inf),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        Adagrad(**{argument: value})
