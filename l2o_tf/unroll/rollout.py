"""Episodes that are run, not differentiated."""

from __future__ import annotations

import tensorflow as tf

from l2o_tf.core.types import Nest, Scalar, Seed
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import last_loss, unroll


def final_loss_and_states(
    cell: OptimizerCell,
    optimizee: Optimizee,
    meta_params: tuple[tf.Tensor, ...] | None,
    seed: Seed,
    length: Scalar,
    capacity: int,
) -> tuple[Scalar, Nest]:
    """Run one episode from its reset; return what is there where it ends.

    Args:
        cell: the optimizer.
        optimizee: the problem.
        meta_params: tensors in place of the cell's weights, or None.
        seed: int32 `[2]`, of the episode.
        length: int32 scalar, inner steps.
        capacity: int, the largest `length`.

    Returns:
        `(loss, states)`: f(x_length) on one fresh minibatch (spec
        dm_rnnprop.md 5.3), and the optimizer's state.
    """
    carry, _ = unroll(
        cell,
        optimizee,
        start_episode(cell, optimizee, seed),
        length,
        meta_params=meta_params,
        capacity=capacity,
    )
    return last_loss(optimizee, carry), carry.states


def final_loss(
    cell: OptimizerCell,
    optimizee: Optimizee,
    meta_params: tuple[tf.Tensor, ...] | None,
    seed: Seed,
    length: Scalar,
    capacity: int,
) -> Scalar:
    """Return the loss alone of `final_loss_and_states`."""
    return final_loss_and_states(
        cell, optimizee, meta_params, seed, length, capacity
    )[0]
