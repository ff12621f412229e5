"""The schedule of learned rates."""

import math

import numpy as np
import pytest
import tensorflow as tf
from support.cells import feed, make_inputs

from l2o_tf.learned.learning_rate_schedule import LearningRateSchedule

RATES = np.array([0.5, -2.0, 0.25], "f4")


def cell_with(rates):
    cell = LearningRateSchedule(len(rates))
    cell.assign_meta_params(rates)
    return cell


def test_step_t_uses_rate_t_and_later_steps_the_last():
    gradients = np.random.RandomState(0).randn(5, 4).astype("f4")
    updates, states = feed(cell_with(RATES), gradients)
    expected = -RATES[[0, 1, 2, 2, 2], np.newaxis] * gradients
    np.testing.assert_array_equal(updates, expected)
    assert states == ()


def test_a_run_that_begins_later_begins_later_in_the_schedule():
    updates, _ = feed(cell_with(RATES), np.ones([2, 1], "f4"), first_step=2)
    np.testing.assert_array_equal(updates[:, 0], [2.0, -0.25])


def test_it_has_a_thousand_weights_that_start_at_zero():
    cell = LearningRateSchedule()
    assert cell.meta_layout.shapes == ((1000,),)
    np.testing.assert_array_equal(cell.meta_params(), 0.0)


def test_every_rate_starts_at_the_given_one():
    cell = LearningRateSchedule(3, initial_learning_rate=0.1)
    np.testing.assert_array_equal(cell.meta_params(), np.full(3, 0.1, "f4"))


def test_the_meta_gradient_of_a_step_is_dense_and_of_its_rate_alone():
    cell = LearningRateSchedule(4)
    weights = (tf.constant([1.0, math.inf, 3.0, math.nan]),)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        update, _ = cell.stateless_update(
            weights, make_inputs(np.array([2.0, 5.0], "f4"), 3), ()
        )
        total = tf.reduce_sum(update)
    assert total.numpy() == -21.0
    gradient = tape.gradient(total, weights[0])
    assert isinstance(gradient, tf.Tensor)
    np.testing.assert_array_equal(gradient, [0.0, 0.0, -7.0, 0.0])


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_steps", 0),
        ("num_steps", 2.0),
        ("initial_learning_rate", math.inf),
        ("initial_learning_rate", "0.1"),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        LearningRateSchedule(**{argument: value})
