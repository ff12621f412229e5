"""What an episode starts from, and which minibatch each step sees."""

import numpy as np
import tensorflow as tf
from support.execution import assert_same_everywhere

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.quadratics import Quadratic
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.unroll.carry import (
    Carry,
    batch_seed,
    boundary_seed,
    start_episode,
)

SEED = seeds.make_seed(8)


def carry_at(step, seed=SEED):
    return Carry(tf.zeros([1]), (), (), tf.constant(step, tf.int32), seed)


def test_an_episode_starts_at_step_zero_with_the_cells_own_state():
    problem, cell = Quadratic(2, 3), RMSProp(initial_mean_square=0.5)
    carry = start_episode(cell, problem, SEED)
    assert carry.step.numpy() == 0
    assert carry.step.dtype == tf.int32
    np.testing.assert_array_equal(carry.seed, SEED)
    np.testing.assert_array_equal(carry.states.mean_square, np.full(6, 0.5))
    assert carry.params.shape == (6,)
    assert [tuple(c.shape) for c in carry.constants] == [(2, 3, 3), (2, 3)]


def test_the_start_is_drawn_from_a_child_of_the_seed():
    problem = Quadratic(2, 3)
    carry = start_episode(RMSProp(), problem, SEED)
    plain, _ = problem.reset(SEED)
    assert (carry.params != plain).numpy().all()
    again = start_episode(RMSProp(), problem, SEED)
    np.testing.assert_array_equal(carry.params, again.params)
    other = start_episode(RMSProp(), problem, seeds.make_seed(9))
    assert (carry.params != other.params).numpy().all()
    assert (carry.constants[0] != other.constants[0]).numpy().all()


def test_no_two_steps_share_a_batch_seed():
    drawn = [tuple(batch_seed(carry_at(t)).numpy()) for t in range(200)]
    drawn += [tuple(boundary_seed(carry_at(t)).numpy()) for t in range(200)]
    assert len(set(drawn)) == 400


def test_batch_seeds_are_of_the_episode():
    a, b = (batch_seed(carry_at(3, seeds.make_seed(s))) for s in (1, 2))
    assert (a != b).numpy().any()


def test_a_window_ends_on_another_minibatch_than_its_next_step_sees():
    problem = MLP(synthetic_images(num_train=1000), "train", batch_size=16)
    images, _ = problem.sample(batch_seed(carry_at(20)))
    last, _ = problem.sample(boundary_seed(carry_at(20)))
    assert (images != last).numpy().mean() > 0.5


def test_an_episodes_start_agrees_everywhere():
    cell, problem = DMLSTM(units=(2,)), Quadratic(2, 3)
    assert_same_everywhere(
        lambda s: start_episode(cell, problem, s),
        SEED,
        atol=1e-6,
    )


def test_a_batch_seed_has_the_same_bits_everywhere():
    carry = carry_at(5)
    assert_same_everywhere(batch_seed, carry, rtol=0.0)
    assert_same_everywhere(boundary_seed, carry, rtol=0.0)
