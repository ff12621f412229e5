"""Episodes that are run, not differentiated."""

from __future__ import annotations

import tensorflow as tf

from l2o_tf.core.types import Nest, Scalar, Seed
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.unroll.carry import boundary_seed, start_episode
from l2o_tf.unroll.engine import unroll


def final_loss_and_states(
    cell: OptimizerCell,
    optimizee: Optimizee,
    meta_params: tuple[tf.Tensor, ...] | None,
    seed: Seed,
    length: Scalar,
    capacity: int,
    memory: Nest = (),
) -> tuple[Scalar, Nest]:
    """Run one episode from its reset; return what is there where it ends.

    Args:
        cell: the optimizer.
        optimizee: the problem.
        meta_params: tensors in place of the cell's weights, or None.
        seed: int32 `[2]`, of the episode.
        length: int32 scalar, inner steps.
        capacity: int, the largest `length`.
        memory: the optimizer's state at the end of another episode, to begin
            with its memory; `()` for none.

    Returns:
        `(loss, states)`: f(x_length) on one draw of `sample_objective`, that is
        one fresh minibatch (spec dm_rnnprop.md 5.3) or a larger part of the
        data (spec l2o_scale.md 5.1), and the optimizer's state.
    """
    start = start_episode(cell, optimizee, seed, meta_params)
    if tf.nest.flatten(memory):
        states = cell.keep_memory(start.states, memory)
        start = start._replace(states=states)
    carry, _ = unroll(
        cell,
        optimizee,
        start,
        length,
        meta_params=meta_params,
        capacity=capacity,
    )
    batch = optimizee.sample_objective(boundary_seed(carry))
    return optimizee.loss(carry.params, carry.constants, batch), carry.states


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
