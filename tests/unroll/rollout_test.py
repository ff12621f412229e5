"""The loss where an episode ends, without a derivative."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic
from support.execution import assert_same_everywhere, count_traces

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import last_loss, unroll
from l2o_tf.unroll.rollout import final_loss

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
