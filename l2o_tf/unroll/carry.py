"""What an episode keeps from one window to the next."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell

_RESET, _BATCH, _BOUNDARY, _CHOICE, _STATE, _OBJECTIVE, _ENDING = range(7)


class Carry(NamedTuple):
    """The whole state of an episode; with the weights it determines the rest.

    Attributes:
        params: float `[N]`, x_t.
        constants: what the optimizee drew at the reset.
        states: the optimizer's state s_t.
        step: int32 scalar, updates made so far, t.
        seed: int32 `[2]`, of the episode; constant.
    """

    params: Vector
    constants: Nest
    states: Nest
    step: Scalar
    seed: Seed


def start_episode(
    cell: OptimizerCell,
    optimizee: Optimizee,
    seed: Seed,
    meta_params: tuple[tf.Tensor, ...] | None = None,
) -> Carry:
    """Draw x_0 and the constants, reset the optimizer's state, set t = 0.

    Args:
        cell: the optimizer.
        optimizee: the problem.
        seed: int32 `[2]`, of the episode.
        meta_params: tensors in place of the cell's weights, which its first
            state may depend on, or None.
    """
    params, constants = optimizee.reset(seeds.fold_in(seed, _RESET))
    return Carry(
        params=params,
        constants=constants,
        states=initial_states(cell, optimizee, seed, meta_params),
        step=tf.constant(0, tf.int32),
        seed=seed,
    )


def initial_states(
    cell: OptimizerCell,
    optimizee: Optimizee,
    seed: Seed,
    meta_params: tuple[tf.Tensor, ...] | None = None,
) -> Nest:
    """Return s_0 of an episode: the same for the same seed and weights."""
    return cell.stateless_initial_state(
        meta_params, optimizee.layout, seeds.fold_in(seed, _STATE)
    )


def first_carry(optimizee: Optimizee, carry: Carry) -> Carry:
    """Return the carry with the params and constants of t = 0 once more."""
    params, constants = optimizee.reset(seeds.fold_in(carry.seed, _RESET))
    return carry._replace(
        params=params, constants=constants, step=tf.constant(0, tf.int32)
    )


def batch_seed(carry: Carry) -> Seed:
    """Return the seed of the minibatch of step `carry.step`."""
    return seeds.fold_in(seeds.fold_in(carry.seed, _BATCH), carry.step)


def boundary_seed(carry: Carry) -> Seed:
    """Return the seed of one more minibatch at `carry.step`, for a last loss.

    Independent of `batch_seed`: the point where a window ends is seen twice,
    on two minibatches (spec dm_rnnprop.md 4.1).
    """
    return seeds.fold_in(seeds.fold_in(carry.seed, _BOUNDARY), carry.step)


def choice_seed(carry: Carry) -> Seed:
    """Return the seed of an episode's choices between optimizers."""
    return seeds.fold_in(carry.seed, _CHOICE)


def objective_seed(carry: Carry, step: Scalar | None = None) -> Seed:
    """Return the seed of what is measured apart from a step on.

    Args:
        carry: of the episode.
        step: int32 scalar, updates made before it; None for the carry's.
    """
    step = carry.step if step is None else step
    return seeds.fold_in(seeds.fold_in(carry.seed, _OBJECTIVE), step)


def ending_seed(carry: Carry) -> Seed:
    """Return the seed of what tells where an episode ends; of all its steps."""
    return seeds.fold_in(carry.seed, _ENDING)
