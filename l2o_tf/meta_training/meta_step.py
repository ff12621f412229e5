"""One meta-update, as a pure function: one window and what it changes.

    (weights, slots, step), carry -> (weights, slots, step), carry, losses

The carry has the episode's seed, so that nothing else decides the result: the
smallest piece of a training run that can be replayed, looked at or exported.
`train_episode` does the same in a loop.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.types import Nest, Scalar
from l2o_tf.estimators.base import EpisodeContext, MetaGradientEstimator
from l2o_tf.meta_training.episode import (
    MetaState,
    initial_meta_state,
    meta_update,
)
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell


class MetaStepResult(NamedTuple):
    """What one meta-update gives.

    Attributes:
        state: the `MetaState` after it.
        carry: the episode after the window.
        meta_loss: float scalar, of the window.
        last_loss: float scalar, f at the window's end.
        finite: bool scalar, as `meta_update` says it.
    """

    state: MetaState
    carry: Nest
    meta_loss: Scalar
    last_loss: Scalar
    finite: Scalar


def meta_step(
    cell: OptimizerCell,
    optimizee: Optimizee,
    estimator: MetaGradientEstimator,
    meta_optimizer: OptimizerCell,
    state: MetaState,
    carry: Nest,
) -> MetaStepResult:
    """Run one window of an episode, and apply its meta-update.

    Args:
        cell: the learned optimizer; its own weights are not used.
        optimizee: the problem.
        estimator: gives the meta-gradient of its `unroll_length` steps.
        meta_optimizer: an `OptimizerCell` over the `[M]` meta-parameters.
        state: what is changed.
        carry: the episode, as `estimator.start` begins it.
    """
    estimate, carry = estimator.estimate(
        cell, optimizee, state.meta_params, carry
    )
    state, finite = meta_update(
        meta_optimizer, state, estimate.meta_gradient, estimate.meta_loss
    )
    return MetaStepResult(
        state, carry, estimate.meta_loss, estimate.last_loss, finite
    )


def meta_step_arguments(
    cell: OptimizerCell,
    optimizee: Optimizee,
    estimator: MetaGradientEstimator,
    meta_optimizer: OptimizerCell,
    seed: int = 0,
) -> tuple[MetaState, Nest]:
    """Return a state and a carry that `meta_step` may be called with.

    Those of a first episode: the cell's weights, fresh slots, a reset.
    """
    state = initial_meta_state(cell, meta_optimizer)
    memory: Nest = ()
    if estimator.keep_memory:
        memory = cell.get_initial_state(optimizee.layout)
    carry = estimator.start(
        cell,
        optimizee,
        seeds.make_seed(seed),
        EpisodeContext(tf.constant(0), memory),
        state.meta_params,
    )
    return state, carry
