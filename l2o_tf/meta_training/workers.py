"""Pairs that are run by many processes: what all ways of doing it share.

What a pair says of a window depends on the weights, its carry and the window's
length alone (`estimators/pairs.py`). So the trainer's episode, which makes one
meta-update per window, may have its samples made elsewhere. Whoever makes them,
the samples of an update are merged and applied as in one process.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Nest, Scalar, Vector
from l2o_tf.estimators.base import EpisodeContext, MetaGradientEstimator
from l2o_tf.estimators.pairs import Pair, PairedEstimator, Sample
from l2o_tf.meta_training.episode import (
    EpisodeReport,
    MetaState,
    add_window,
    average_windows,
    meta_update,
    no_windows,
)
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.runtime.cluster import Coordinated, Peers
from l2o_tf.runtime.tf_config import VARIABLE, ClusterError
from l2o_tf.techniques.imitation import Imitation

EpisodeResult = tuple[MetaState, EpisodeReport, Nest, Nest]
"""As the trainer's own episodes: state, report, memory, population."""


class PairProgram:
    """The compiled parts of an episode of pairs on one problem.

    Args:
        cell: the learned optimizer.
        estimator: a `PairedEstimator`.
        optimizee: the problem.
        meta_optimizer: of the meta-parameters.
        jit_compile: True for XLA.
    """

    def __init__(
        self,
        cell: OptimizerCell,
        estimator: PairedEstimator,
        optimizee: Optimizee,
        meta_optimizer: OptimizerCell,
        jit_compile: bool,
    ) -> None:
        self.cell = cell
        self.optimizee = optimizee
        self.estimator = estimator
        self.meta_optimizer = meta_optimizer
        self.jit_compile = jit_compile
        self.start = compiled(self._start, jit_compile)
        self.update = compiled(self._update, jit_compile)

    def _start(
        self, seed: tf.Tensor, context: EpisodeContext, meta_params: Vector
    ) -> Pair:
        return self.estimator.start(
            self.cell, self.optimizee, seed, context, meta_params
        )

    def sample(
        self, meta_params: Vector, pair: Pair, length: Scalar
    ) -> tuple[Sample, Pair]:
        """Run one window of one pair; not compiled."""
        return self.estimator.sample(
            self.cell, self.optimizee, meta_params, pair, length
        )

    def _update(
        self, state: MetaState, report: EpisodeReport, samples: Sample
    ) -> tuple[MetaState, EpisodeReport]:
        estimate = self.estimator.combine(samples)
        state, finite = meta_update(
            self.meta_optimizer,
            state,
            estimate.meta_gradient,
            estimate.meta_loss,
        )
        return state, add_window(report, estimate, finite)

    def begin(self, state: MetaState) -> EpisodeReport:
        """Return the report before an episode's first window."""
        return no_windows(self.estimator, state)

    def end(self, report: EpisodeReport, windows: int) -> EpisodeReport:
        """Return the report after an episode's last window."""
        return average_windows(report, tf.constant(windows))

    def length(self, lengths: tf.Tensor | None, window: int) -> Scalar:
        """Return the steps of a window of the episode."""
        if lengths is None:
            return tf.constant(self.estimator.unroll_length)
        return lengths[window]


class Counted(NamedTuple):
    """What was done with the samples so far.

    Attributes:
        used: int, those that entered a meta-update.
        stale: int, those that were dropped, as their weights were too old.
    """

    used: int = 0
    stale: int = 0

    def describe(self) -> str:
        """Return it in words."""
        return (
            f"Of this process' samples {self.used:,} were used and "
            f"{self.stale:,} dropped as too old"
        )


class Ledger:
    """Which windows of which pairs have entered a meta-update.

    Args:
        pairs: as they stand before.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._next = [int(pair.window) for pair in pairs]

    def count(self, index: int, window: int) -> None:
        """Enter a window of a pair, which must be the pair's next.

        Raises:
            RuntimeError: if it was entered before, or the one before it was
                not.
        """
        due = self._next[index]
        if window != due:
            raise RuntimeError(
                "Every window of a pair must enter one meta-update, in their "
                f"order. Received: window={window} of pair {index}, where "
                f"{due} is due."
            )
        self._next[index] = due + 1


def to_arrays(nest: Nest) -> Nest:
    """Copy tensors to this process' memory, as NumPy arrays."""
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), nest)


def unstacked(population: Pair) -> list[Pair]:
    """Return the pairs of a population one by one, as NumPy arrays."""
    arrays = to_arrays(population)
    return [
        tf.nest.map_structure(lambda array, i=i: array[i], arrays)
        for i in range(len(arrays.window))
    ]


def stacked(parts: Sequence[Nest]) -> Nest:
    """Put nests of NumPy arrays behind one another, as tensors."""
    return tf.nest.map_structure(
        lambda *leaves: tf.constant(np.stack(leaves)), *parts
    )


class PairWorkers(abc.ABC):
    """Make the samples of a population's pairs in several processes.

    Attributes:
        counted: what was done with the samples of this process' life.
    """

    counted: Counted = Counted()

    def __repr__(self) -> str:
        """Return the class' name."""
        return f"{type(self).__name__}()"

    def check(
        self, estimator: MetaGradientEstimator, imitation: Imitation | None
    ) -> None:
        """Refuse a trainer whose episodes are not made of pairs.

        Raises:
            ValueError: if the estimator has no pairs, some episodes imitate,
                or the workers do not suit the number of pairs.
        """
        if not isinstance(estimator, PairedEstimator):
            raise ValueError(
                "Workers run the pairs of an estimator that has pairs. "
                f"Received: estimator={estimator!r}, workers={self!r}. Use "
                "MergedGradient, Reparameterization, EvolutionStrategies or "
                "PersistentEvolutionStrategies; or leave out the workers."
            )
        if imitation is not None:
            raise ValueError(
                "Episodes that follow a teacher have no pairs for workers. "
                f"Received: imitation={imitation!r}, workers={self!r}. Leave "
                "out one of them."
            )
        self._check_pairs(estimator)

    @abc.abstractmethod
    def _check_pairs(self, estimator: PairedEstimator) -> None:
        """Raise ValueError where the number of pairs does not suit."""

    @abc.abstractmethod
    def join(self, link: Coordinated | Peers) -> None:
        """Take the connection to the other processes.

        Raises:
            ClusterError: if it is of another kind, or has too many processes.
        """

    def episode(
        self,
        cell: OptimizerCell,
        estimator: MetaGradientEstimator,
        optimizee: Optimizee,
        meta_optimizer: OptimizerCell,
        jit_compile: bool,
    ) -> Callable[..., EpisodeResult]:
        """Return what runs the trainer's episodes on one problem.

        Args:
            cell: as in `PairProgram`.
            estimator: likewise.
            optimizee: likewise.
            meta_optimizer: likewise.
            jit_compile: likewise.

        Returns:
            A function of `(MetaState, seed, num_windows, EpisodeContext,
            lengths)`, as the trainer's own.

        Raises:
            ClusterError: if the workers have not joined a cluster.
        """
        pairs = checks.instance("estimator", estimator, PairedEstimator)
        return self._run(
            PairProgram(cell, pairs, optimizee, meta_optimizer, jit_compile)
        )

    @abc.abstractmethod
    def _run(self, program: PairProgram) -> Callable[..., EpisodeResult]:
        """Return what `episode` returns."""

    def agreed(self, losses: list[float]) -> list[float]:
        """Return the validation losses that all processes go on with."""
        return losses


def check_workers(
    workers: PairWorkers | None,
    estimator: MetaGradientEstimator,
    imitation: Imitation | None,
) -> None:
    """Refuse workers that cannot do what the trainer asks.

    Raises:
        ValueError: as `PairWorkers.check`, or if they are something else.
    """
    if workers is not None:
        checks.instance("workers", workers, PairWorkers)
        workers.check(estimator, imitation)


def join(workers: PairWorkers | None, link: Coordinated | Peers | None) -> None:
    """Give a trainer's workers the connection, where there are both.

    Raises:
        ClusterError: if there is one without the other, or they do not fit.
    """
    if workers is not None and link is not None:
        workers.join(link)
    elif workers is not None:
        raise not_joined(workers)
    elif link is not None:
        raise nothing_to_do()


def nothing_to_do() -> ClusterError:
    """Return the error of a cluster that no workers are asked of."""
    return ClusterError(
        f"{VARIABLE} describes a cluster, and the configuration has nothing to "
        "do for it. Received: Trainer.workers=None. Set "
        "Trainer.workers = @AsynchronousPairs() with a chief, "
        "@SynchronousPairs() without one; or unset the variable."
    )


def not_joined(workers: PairWorkers) -> ClusterError:
    """Return the error of workers that have no cluster."""
    return ClusterError(
        "The configuration asks for workers in a cluster, and there is none. "
        f"Received: Trainer.workers={workers!r}, {VARIABLE} unset. Start a "
        "cluster (tools/local_cluster.py starts one on this machine), or set "
        "Trainer.workers = None."
    )
