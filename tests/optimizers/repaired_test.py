"""Repaired gradients: what is left out, what is cut off, what still decays."""

import json
import math

import gin
import keras
import numpy as np
import pytest
import tensorflow as tf
from support.cells import feed, make_inputs, vector_layout
from support.hierarchical import FIXTURE
from support.toy_cells import DecayedDescent

from l2o_tf.core import seeds
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.repaired import RepairedGradients
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD

NAN, INF = math.nan, math.inf


def test_entries_that_are_not_finite_are_left_out_one_by_one():
    updates, _ = feed(
        RepairedGradients(SGD(0.5)),
        np.array([[NAN, 2.0, INF, -4.0, -INF, 0.0]], "f4"),
    )
    np.testing.assert_array_equal(updates, [[0.0, -1.0, 0.0, 2.0, 0.0, 0.0]])


def test_the_others_are_clipped_to_the_bound_one_by_one():
    updates, _ = feed(
        RepairedGradients(SGD(1.0), bound=3.0),
        np.array([[2.5, 3.0, 3.5, -2.5, -1e30, NAN]], "f4"),
    )
    np.testing.assert_array_equal(updates, [[-2.5, -3.0, -3.0, 2.5, 3.0, 0.0]])


def test_the_bound_of_l2o_scale_is_the_default():
    cell = RepairedGradients(SGD(1.0))
    assert cell.bound == 1e4
    updates, _ = feed(cell, np.array([[9.9e3, 1.1e4, -1e20]], "f4"))
    np.testing.assert_array_equal(updates, np.float32([[-9.9e3, -1e4, 1e4]]))


def test_a_gradient_without_a_finite_number_lets_the_mean_square_decay():
    cell = RepairedGradients(RMSProp(0.1))
    states = cell.get_initial_state(vector_layout(3))
    for step in range(1, 4):
        bad = np.array([[NAN, INF, -INF]], "f4")
        updates, states = feed(cell, bad, states, step)
        np.testing.assert_array_equal(updates, [[0.0, 0.0, 0.0]])
        np.testing.assert_allclose(
            states.mean_square, np.full(3, 0.9**step), rtol=1e-6
        )


def test_finite_gradients_within_the_bound_are_the_optimizers_own():
    gradients = np.random.RandomState(0).randn(6, 5).astype("f4")
    for optimizer in (RMSProp(0.1, momentum=0.5), Adam(0.1), SGD(0.1)):
        for ours, its in zip(
            tf.nest.flatten(feed(RepairedGradients(optimizer), gradients)),
            tf.nest.flatten(feed(optimizer, gradients)),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, its)


def test_the_state_is_the_optimizers():
    optimizer, layout = RMSProp(initial_mean_square=0.25), vector_layout(4)
    states = RepairedGradients(optimizer).get_initial_state(
        layout, seeds.make_seed(0)
    )
    tf.nest.assert_same_structure(states, optimizer.get_initial_state(layout))
    np.testing.assert_array_equal(states.mean_square, np.full(4, 0.25))


def test_it_says_that_it_repairs_gradients_and_no_other_does():
    assert RepairedGradients(SGD()).repairs_gradients
    assert not SGD().repairs_gradients
    assert not RMSProp().repairs_gradients


def test_params_go_to_an_optimizer_that_reads_them():
    assert not RepairedGradients(SGD()).reads_params
    cell = RepairedGradients(DecayedDescent())
    assert cell.reads_params
    params = tf.constant([3.0, 5.0])
    update, _ = cell.call(make_inputs(np.float32([NAN, 2.0]), 1, params), ())
    np.testing.assert_allclose(update, [-0.06, -0.3], rtol=1e-6)


def test_float64_is_kept():
    cell = RepairedGradients(
        RMSProp(0.1, dtype="float64"), bound=1.0, dtype="float64"
    )
    updates, states = feed(cell, np.array([[NAN, 1e9]]))
    assert updates.dtype == states.mean_square.dtype == tf.float64
    # r = 0.9 + 0.1 of the clipped gradient, 1.
    np.testing.assert_allclose(updates, [[0.0, -0.1]], rtol=1e-9)


def test_it_comes_back_from_its_configuration():
    cell = RepairedGradients(
        RMSProp(0.25, decay=0.5, epsilon=1e-3), 7.0, name="repaired"
    )
    record = keras.saving.serialize_keras_object(cell)
    assert record["registered_name"] == "l2o_tf>RepairedGradients"
    twin = keras.saving.deserialize_keras_object(json.loads(json.dumps(record)))
    assert twin.get_config() == cell.get_config()
    assert type(twin.optimizer) is RMSProp
    assert twin.optimizer.get_config() == cell.optimizer.get_config()
    assert (twin.bound, twin.name, twin.optimizer.decay) == (
        7.0,
        "repaired",
        0.5,
    )
    gradients = np.array([[NAN, 2.0, 9.0]], "f4")
    np.testing.assert_array_equal(
        feed(twin, gradients)[0], feed(cell, gradients)[0]
    )


def test_gin_builds_it():
    gin.parse_config("l2o_tf.optimizers.RepairedGradients.bound = 2.0")
    kind = gin.get_configurable("l2o_tf.optimizers.RepairedGradients")
    assert kind(SGD()).bound == 2.0


@pytest.mark.parametrize("repaired", [False, True])
def test_meta_optimizer_of_l2o_scale_equals_the_original(repaired):
    # Given gradients from 1e-8 to 1e2, within the bound; epsilon as L2O-Scale
    # has it.
    golden = np.load(FIXTURE)
    cell = RMSProp(float(golden["rmsunit/lr"]), epsilon=1e-20)
    cell = RepairedGradients(cell) if repaired else cell
    weights, states = golden["rmsunit/w"], None
    for t, gradient in enumerate(golden["rmsunit/g"]):
        updates, states = feed(cell, gradient[np.newaxis], states)
        weights = weights + updates[0].numpy()
        np.testing.assert_allclose(
            states.mean_square, golden["rmsunit/ms_after"][t], rtol=1e-6
        )
        np.testing.assert_allclose(
            weights, golden["rmsunit/w_after"][t], rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize("bound", [0.0, -1.0, INF, NAN, "1e4", True])
def test_a_bound_is_a_positive_number(bound):
    with pytest.raises(ValueError, match=f"Received: bound={bound!r}"):
        RepairedGradients(SGD(), bound)


@pytest.mark.parametrize("optimizer", [None, "rmsprop", RMSProp])
def test_what_is_no_optimizer_is_refused(optimizer):
    with pytest.raises(ValueError, match="Received: ") as caught:
        RepairedGradients(optimizer)
    assert f"Received: optimizer={optimizer!r}." in str(caught.value)


def test_an_optimizer_with_weights_is_refused():
    with pytest.raises(
        ValueError,
        match=r"hand-designed.*Received: optimizer=<Learn.*, which has weights",
    ):
        RepairedGradients(LearnableSGD())
