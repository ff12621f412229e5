"""The loss where an episode ends, without a derivative."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic
from support.execution import assert_same_everywhere, count_traces
from support.toy_cells import LearnedStart

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.unroll.carry import boundary_seed, start_episode
from l2o_tf.unroll.engine import last_loss, unroll
from l2o_tf.unroll.rollout import final_loss, final_loss_and_states

QUADRATIC = DiagonalQuadratic([0.5, 1.0, 3.0], [1.0, -2.0, 0.7])
SEED = seeds.make_seed(6)


@pytest.mark.parametrize("length", [0, 1, 9, 12])
def test_the_loss_is_that_of_the_closed_form(length):
    cell = LearnableSGD(0.11, dtype="float64")
    loss = final_loss(
        cell, QUADRATIC, None, SEED, tf.constant(length), capacity=12
    )
    x = QUADRATIC.at(0.11, length)
    np.testing.assert_allclose(loss, 0.5 * np.sum(QUADRATIC.h * x**2), 1e-12)


def test_it_is_an_unroll_and_a_last_loss():
    cell = DMLSTM(units=(3,), output_scale=0.3)
    problem = MLP(synthetic_images(), "train", (2,), batch_size=8)
    expected, _ = unroll(cell, problem, start_episode(cell, problem, SEED), 5)
    loss = final_loss(cell, problem, None, SEED, tf.constant(5), capacity=7)
    np.testing.assert_array_equal(loss, last_loss(problem, expected))


def test_given_weights_take_the_place_of_the_cells():
    cell = LearnableSGD(0.5, dtype="float64")
    run = functools.partial(final_loss, length=tf.constant(4), capacity=4)
    given = run(cell, QUADRATIC, (tf.constant(0.11, tf.float64),), SEED)
    own = run(LearnableSGD(0.11, dtype="float64"), QUADRATIC, None, SEED)
    np.testing.assert_array_equal(given, own)
    assert given.numpy() != run(cell, QUADRATIC, None, SEED).numpy()


def test_it_agrees_everywhere():
    cell = DMLSTM(units=(3,), output_scale=0.3)
    problem = MLP(synthetic_images(), "train", (2,), batch_size=8)
    assert_same_everywhere(
        lambda seed, n: final_loss(cell, problem, None, seed, n, 6),
        SEED,
        np.int32(5),
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_another_length_does_not_retrace(jit_compile):
    cell = LearnableSGD(0.1)
    problem = DiagonalQuadratic([1.0, 2.0], [1.0, 1.0], "float32")
    assert (
        count_traces(
            lambda seed, n: final_loss(cell, problem, None, seed, n, 9),
            (SEED, np.int32(3)),
            (seeds.make_seed(2), np.int32(9)),
            jit_compile=jit_compile,
        )
        == 1
    )


# The state where an episode ends, and where it begins


def equal(nest, other):
    return all(
        np.array_equal(a, b)
        for a, b in zip(
            tf.nest.flatten(nest), tf.nest.flatten(other), strict=True
        )
    )


def test_the_states_are_those_of_the_unroll():
    cell = LearnedStart(dtype="float64")
    expected, _ = unroll(
        cell, QUADRATIC, start_episode(cell, QUADRATIC, SEED), 5
    )
    loss, states = final_loss_and_states(
        cell, QUADRATIC, None, SEED, tf.constant(5), capacity=7
    )
    tf.nest.assert_same_structure(states, expected.states)
    assert equal(states, expected.states)
    alone = final_loss(cell, QUADRATIC, None, SEED, tf.constant(5), 7)
    np.testing.assert_array_equal(loss, alone)


def test_an_episode_begins_with_the_memory_it_is_given():
    cell = LearnedStart(0.1, 0.5, 0.0, dtype="float64")
    run = functools.partial(
        final_loss_and_states, cell, QUADRATIC, None, SEED, tf.constant(1), 1
    )
    _, first = run()
    loss, second = run(memory=first)
    # a_0 = 0, a_1 = g; with it as memory a_1' = mu a_1 + g, from x_0 again.
    g = QUADRATIC.h * QUADRATIC.x0
    np.testing.assert_allclose(first.velocity, g, rtol=1e-12)
    np.testing.assert_allclose(second.velocity, 1.5 * g, rtol=1e-12)
    assert (int(first.count), int(second.count)) == (1, 2)
    x = QUADRATIC.x0 - 0.1 * 1.5 * g
    np.testing.assert_allclose(loss, 0.5 * np.sum(QUADRATIC.h * x**2), 1e-12)


class KeepsCount(LearnedStart):
    """A cell whose memory is the count alone."""

    def keep_memory(self, fresh, old):
        return fresh._replace(count=old.count)


def test_what_is_memory_the_cell_says():
    cell = KeepsCount(dtype="float64")
    run = functools.partial(
        final_loss_and_states, cell, QUADRATIC, None, SEED, tf.constant(3), 3
    )
    loss, states = run()
    again, kept = run(memory=states)
    np.testing.assert_array_equal(again, loss)
    np.testing.assert_array_equal(kept.velocity, states.velocity)
    assert int(kept.count) == 6


def test_an_empty_memory_is_none():
    cell = LearnedStart(dtype="float64")
    run = functools.partial(
        final_loss_and_states, cell, QUADRATIC, None, SEED, tf.constant(3), 3
    )
    assert equal(run(memory=()), run())


def test_given_weights_give_the_initial_state():
    given = LearnedStart(0.2, 0.4, 0.9, dtype="float64")
    weights = given.meta_layout.split(given.meta_params())
    cell = LearnedStart(dtype="float64")
    run = functools.partial(
        final_loss_and_states,
        optimizee=QUADRATIC,
        seed=SEED,
        length=tf.constant(3),
        capacity=3,
    )
    assert equal(
        run(cell=cell, meta_params=weights), run(cell=given, meta_params=None)
    )
    assert not equal(
        run(cell=cell, meta_params=weights), run(cell=cell, meta_params=None)
    )


def test_the_loss_is_measured_on_the_objectives_data():
    cell = LearnableSGD(0.1)
    data = synthetic_images(num_train=60)
    problem = MLP(data, "train", (2,), batch_size=8, objective_size=60)
    loss, _ = final_loss_and_states(
        cell, problem, None, SEED, tf.constant(3), capacity=3
    )
    end, _ = unroll(cell, problem, start_episode(cell, problem, SEED), 3)
    # All images, in whatever order.
    split = problem.data
    everything = tf.cast(split.images, tf.float32) / 255.0, split.labels
    expected = problem.loss(end.params, (), everything)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    minibatch = problem.sample(boundary_seed(end))
    assert abs(problem.loss(end.params, (), minibatch) - loss) > 1e-3


def test_a_memory_agrees_everywhere():
    cell, problem = LearnedStart(), DiagonalQuadratic([1.0], [2.0], "float32")
    memory = cell.get_initial_state(problem.layout)
    assert_same_everywhere(
        lambda seed, n, memory: final_loss_and_states(
            cell, problem, None, seed, n, 4, memory
        ),
        SEED,
        np.int32(3),
        memory,
    )
