"""What estimates the gradient of a meta-loss with respect to an optimizer."""

from __future__ import annotations

import abc
from typing import NamedTuple

import tensorflow as tf

from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.unroll.carry import start_episode


class EpisodeContext(NamedTuple):
    """What an episode may know of the training around it.

    Attributes:
        episode: int32 scalar, episodes trained before this one.
        memory: the learned optimizer's state where the last training or
            validation run ended; `()` where nobody asks for it.
        population: the carry where the last episode ended; `()` unless the
            estimator `continues`.
    """

    episode: Scalar
    memory: Nest
    population: Nest = ()


class Estimate(NamedTuple):
    """A meta-gradient and what was seen on the way.

    Attributes:
        meta_gradient: float `[M]`, one number per meta-parameter.
        meta_loss: float scalar, of this window.
        last_loss: float scalar, f at the window's end, on its own minibatch.
        details: a NamedTuple of scalars that the estimator has to tell
            besides, or `()`.
    """

    meta_gradient: Vector
    meta_loss: Scalar
    last_loss: Scalar
    details: Nest = ()


class MetaGradientEstimator(abc.ABC):
    """Advance an episode by one window and estimate the meta-gradient there.

    The carry is a `Carry`, or whatever else an estimator keeps of an episode.

    Attributes:
        unroll_length: int, inner steps of one window, of the longest where they
            differ.
        keep_memory: bool, whether an episode begins with the memory of the last
            run.
        continues: bool, whether an episode begins with the carry of the last
            one, `EpisodeContext.population`.
    """

    unroll_length: int
    keep_memory: bool = False

    @property
    def continues(self) -> bool:
        """Return False: episodes begin with a reset."""
        return False

    def start(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        seed: Seed,
        context: EpisodeContext,
        meta_params: Vector | None = None,
    ) -> Nest:
        """Return the carry before the first window of an episode.

        Args:
            cell: the learned optimizer.
            optimizee: the problem.
            seed: int32 `[2]`, of the episode.
            context: what is known of the training around it.
            meta_params: float `[M]`, the weights, which the first state may
                depend on; None for the cell's own.
        """
        del context
        weights = split_weights(cell, meta_params)
        return start_episode(cell, optimizee, seed, weights)

    def memory(self, carry: Nest) -> Nest:
        """Return the learned optimizer's state in a carry of this kind."""
        return carry.states

    def no_details(self) -> Nest:
        """Return zeros in the place of `Estimate.details`."""
        return ()

    @abc.abstractmethod
    def estimate(
        self,
        cell: OptimizerCell,
        optimizee: Optimizee,
        meta_params: Vector,
        carry: Nest,
        length: Scalar | None = None,
    ) -> tuple[Estimate, Nest]:
        """Run one window from `carry`.

        Args:
            cell: the learned optimizer.
            optimizee: the problem.
            meta_params: float `[M]`, the weights.
            carry: before the window.
            length: int32 scalar, the window's steps, at most `unroll_length`;
                None for `unroll_length`.

        Returns:
            `(Estimate, carry)`; the carry is `length` steps further.
        """


def refuse_looking_ahead(cell: OptimizerCell, what: str) -> None:
    """Refuse a learner whose gradients are to be taken off the trajectory.

    Raises:
        ValueError: if the cell looks ahead.
    """
    if cell.looks_ahead:
        raise ValueError(
            f"{what} takes gradients where other optimizers moved the params, "
            "not where the learned one looks. Received: "
            f"cell={type(cell).__name__} with looks_ahead=True. Use one "
            "without attention."
        )


def split_weights(
    cell: OptimizerCell, meta_params: Vector | None
) -> tuple[tf.Tensor, ...] | None:
    """Return the weights one by one, None for the cell's own."""
    return None if meta_params is None else cell.meta_layout.split(meta_params)


def check_memory(fresh: Nest, memory: Nest) -> None:
    """Refuse an episode that is to keep a memory it was not given.

    Raises:
        ValueError: if there is none, for a cell that has a state.
    """
    if tf.nest.flatten(fresh) and not tf.nest.flatten(memory):
        raise ValueError(
            "An episode that keeps the last run's memory must be given "
            "it. Received: EpisodeContext.memory=(). Before the first "
            "run it is cell.get_initial_state(layout)."
        )
