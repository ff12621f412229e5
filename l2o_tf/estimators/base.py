"""What estimates the gradient of a meta-loss with respect to an optimizer."""

from __future__ import annotations

import abc
from typing import NamedTuple

from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.unroll.carry import Carry, start_episode


class EpisodeContext(NamedTuple):
    """What an episode may know of the training around it.

    Attributes:
        episode: int32 scalar, episodes trained before this one.
        memory: the learned optimizer's state where the last training or
            validation run ended; `()` where nobody asks for it.
    """

    episode: Scalar
    memory: Nest


class Estimate(NamedTuple):
    """A meta-gradient and what was seen on the way.

    Attributes:
        meta_gradient: float `[M]`, one number per meta-parameter.
        meta_loss: float scalar, of this window.
        last_loss: float scalar, f at the window's end, on its own minibatch.
    """

    meta_gradient: Vector
    meta_loss: Scalar
    last_loss: Scalar


class MetaGradientEstimator(abc.ABC):
    """Advance an episode by one window and estimate the meta-gradient there.

    Attributes:
        unroll_length: int, inner steps of one window.
    """

    unroll_length: int

    def start(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        seed: Seed,
        context: EpisodeContext,
    ) -> Carry:
        """Return the carry before the first window of an episode."""
        del context
        return start_episode(cell, optimizee, seed)

    def memory(self, carry: Carry) -> Nest:
        """Return the learned optimizer's state in a carry of this kind."""
        return carry.states

    @abc.abstractmethod
    def estimate(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Carry,
    ) -> tuple[Estimate, Carry]:
        """Run one window from `carry`, with `meta_params` `[M]` as weights.

        Returns:
            `(Estimate, carry)`; the carry is `unroll_length` steps further.
        """
