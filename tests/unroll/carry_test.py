"""What an episode starts from, and which minibatch each step sees."""

import numpy as np
import tensorflow as tf
from support.execution import assert_same_everywhere
from support.toy_cells import LearnedStart

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
    choice_seed,
    first_carry,
    initial_states,
    objective_seed,
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
    assert_same_everywhere(objective_seed, carry, rtol=0.0)


# Initial states of given weights


def test_an_episode_starts_from_the_state_of_the_given_weights():
    cell, problem = LearnedStart(start=0.25), Quadratic(2, 3)
    own = start_episode(cell, problem, SEED)
    np.testing.assert_array_equal(own.states.velocity, np.full(6, 0.25))
    given = (tf.constant([9.0, 9.0]), tf.constant(0.75))
    carry = start_episode(cell, problem, SEED, given)
    np.testing.assert_array_equal(carry.states.velocity, np.full(6, 0.75))
    np.testing.assert_array_equal(carry.params, own.params)
    # The cell's own weights are as they were.
    np.testing.assert_allclose(cell.meta_params(), [0.1, 0.5, 0.25])


def test_initial_states_are_those_of_the_episodes_start():
    cell, problem = LearnedStart(), Quadratic(2, 3)
    carry = start_episode(cell, problem, SEED)
    states = initial_states(cell, problem, SEED)
    for a, b in zip(
        tf.nest.flatten(states), tf.nest.flatten(carry.states), strict=True
    ):
        np.testing.assert_array_equal(a, b)


class DrawnStart(LearnedStart):
    """A cell whose initial state is drawn."""

    def get_initial_state(self, layout, seed=None):
        state = super().get_initial_state(layout)
        return state._replace(velocity=seeds.uniform(seed, [layout.size]))


def test_a_drawn_state_is_the_episodes_and_no_other_draw_of_it():
    cell, problem = DrawnStart(), Quadratic(2, 3)
    first, again, other = (
        start_episode(cell, problem, seeds.make_seed(s)).states.velocity
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).numpy().all()
    plain = seeds.uniform(seeds.make_seed(1), [6])
    assert (first != plain).numpy().all()


# The episode's start, seen from later


def test_the_first_carry_has_the_params_and_constants_of_the_start():
    cell, problem = RMSProp(), Quadratic(2, 3)
    start = start_episode(cell, problem, SEED)
    later = start._replace(
        params=start.params + 1.0,
        constants=(start.constants[0] * 2.0, start.constants[1]),
        states=start.states._replace(momentum=start.params),
        step=tf.constant(40),
    )
    first = first_carry(problem, later)
    for a, b in zip(
        tf.nest.flatten(first._replace(states=())),
        tf.nest.flatten(start._replace(states=())),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert first.step.dtype == tf.int32
    # The optimizer's state is as it was.
    assert first.states is later.states


# What a window is measured on


def test_every_window_is_measured_on_data_of_its_own():
    used = {tuple(objective_seed(carry_at(t)).numpy()) for t in range(100)}
    assert len(used) == 100
    for other in (batch_seed, boundary_seed):
        used |= {tuple(other(carry_at(t)).numpy()) for t in range(100)}
    used |= {tuple(choice_seed(carry_at(0)).numpy()), tuple(SEED.numpy())}
    assert len(used) == 302


def test_objective_seeds_are_of_the_episode():
    a, b = (objective_seed(carry_at(3, seeds.make_seed(s))) for s in (1, 2))
    assert (a != b).numpy().any()


def test_a_window_is_measured_on_other_images_than_it_is_trained_on():
    problem = MLP(synthetic_images(num_train=1000), "train", batch_size=16)
    images, _ = problem.sample(batch_seed(carry_at(20)))
    measured, _ = problem.sample_objective(objective_seed(carry_at(20)))
    assert (images != measured).numpy().mean() > 0.5
