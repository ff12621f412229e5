"""What an episode keeps from one window to the next."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell

_RESET, _BATCH, _BOUNDARY, _CHOICE = range(4)


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
    cell: OptimizerCell, optimizee: Optimizee, seed: Seed
) -> Carry:
    """Draw x_0 and the constants, reset the optimizer's state, set t = 0."""
    params, constants = optimizee.reset(seeds.fold_in(seed, _RESET))
    return Carry(
        params=params,
        constants=constants,
        states=cell.get_initial_state(optimizee.layout),
        step=tf.constant(0, tf.int32),
        seed=seed,
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
