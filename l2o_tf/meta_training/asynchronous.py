"""A learner that merges its workers' samples as they come."""

from __future__ import annotations

import collections
from collections.abc import Callable

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.pairs import Pair, PairedEstimator, Sample
from l2o_tf.estimators.smoothed import MergedGradient
from l2o_tf.meta_training.episode import MetaState
from l2o_tf.meta_training.in_flight import InFlight, Ticket
from l2o_tf.meta_training.workers import (
    Counted,
    EpisodeResult,
    Ledger,
    PairProgram,
    PairWorkers,
    not_joined,
    stacked,
    unstacked,
)
from l2o_tf.runtime.cluster import Coordinated, Peers
from l2o_tf.runtime.tf_config import ClusterError


@gin.register(module="l2o_tf.meta_training")
class AsynchronousPairs(PairWorkers):
    """Have workers run the pairs; make a meta-update of every B samples.

    The learner keeps the population, so its checkpoint is the whole run; a
    worker keeps nothing. The learner sends out a pair with the weights as they
    are, and takes whatever sample comes first. When there are B, of B different
    pairs, it merges them into one meta-update, and those pairs are sent out for
    their next windows. A sample whose weights are too old then is dropped, and
    made again: the same window of the same pair, with the weights as they are.

    With B = all pairs, all samples of an update are of the same weights, and
    training is that of one process, whatever happens to the workers. With less
    nobody waits for the slowest; which samples make an update then depends on
    who is faster, and is not the same twice.

    What has been sent out but not come back when the learner ends is lost: it
    is sent out again when the learner is back.

    Args:
        batch_size: int, B, samples of a meta-update, at most as many as there
            are pairs; None for as many.
        staleness_limit: int >= 0, meta-updates between the weights that made a
            sample and those that it changes; None for any number.
        in_flight: int, samples asked for at a time; None for two per worker,
            so that none waits for the learner. More make samples older.
        patience: seconds to wait for a sign of life.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        batch_size: int | None = None,
        staleness_limit: int | None = None,
        in_flight: int | None = None,
        patience: float = 60.0,
    ) -> None:
        if batch_size is not None:
            checks.positive_int("batch_size", batch_size)
        if staleness_limit is not None:
            checks.integer("staleness_limit", staleness_limit)
            if staleness_limit < 0:
                raise ValueError(
                    "`staleness_limit` must be a number of meta-updates, or "
                    f"None. Received: staleness_limit={staleness_limit}."
                )
        if in_flight is not None:
            checks.positive_int("in_flight", in_flight)
        self.batch_size = batch_size
        self.staleness_limit = staleness_limit
        self.in_flight = in_flight
        self.patience = checks.real(
            "patience", patience, low=0.0, low_open=True
        )
        self._link: Coordinated | None = None

    def _check_pairs(self, estimator: PairedEstimator) -> None:
        if self.batch_size is None:
            return
        if self.batch_size > estimator.num_pairs:
            raise ValueError(
                "A meta-update needs samples of different pairs. Received: "
                f"batch_size={self.batch_size}, num_particles="
                f"{estimator.num_particles}, which are {estimator.num_pairs} "
                "pairs. Lower batch_size or take more particles."
            )
        if isinstance(estimator, MergedGradient) and self.batch_size < 2:
            raise ValueError(
                "MergedGradient needs variances, and a variance two samples. "
                f"Received: batch_size={self.batch_size}. Use 2 or more."
            )

    def join(self, link: Coordinated | Peers) -> None:
        """Take the connection to the workers.

        Raises:
            ClusterError: if it is one between peers.
        """
        if not isinstance(link, Coordinated):
            raise ClusterError(
                "AsynchronousPairs needs a cluster with a learner. Received: a "
                'cluster of workers alone. Add a "chief" to it, or use '
                "SynchronousPairs."
            )
        self._link = link

    def _run(self, program: PairProgram) -> Callable[..., EpisodeResult]:
        if self._link is None:
            raise not_joined(self)
        in_flight = self.in_flight or 2 * len(self._link.addresses)
        return _Learner(
            self,
            program,
            InFlight(program, self._link, self.patience),
            in_flight,
        )

    def add(self, used: int = 0, stale: int = 0) -> None:
        """Count samples."""
        self.counted = Counted(
            self.counted.used + used, self.counted.stale + stale
        )


class _Learner:
    """Run the trainer's episodes, and keep samples in flight between them.

    Args:
        workers: what was asked for.
        program: the compiled parts.
        flying: what sends pairs and takes samples.
        most: int, samples asked for at a time.
    """

    def __init__(
        self,
        workers: AsynchronousPairs,
        program: PairProgram,
        flying: InFlight,
        most: int,
    ) -> None:
        self._workers = workers
        self._program = program
        self._flying = flying
        self._most = most
        self._batch = workers.batch_size or program.estimator.num_pairs
        self._updates = 0
        # The pairs as they stand, those in flight before their window.
        self._pairs: list[Pair] = []
        self._ledger = Ledger(())
        self._waiting: collections.deque[int] = collections.deque()
        self._population = 0
        self._left: Nest = ()

    def __call__(
        self,
        state: MetaState,
        seed: Seed,
        num_windows: Scalar,
        context: EpisodeContext,
        lengths: tf.Tensor | None,
    ) -> EpisodeResult:
        continues = self._program.estimator.continues
        # What is in flight counts if it is of the very population given.
        if not (continues and self._pairs and context.population is self._left):
            self._begin(self._program.start(seed, context, state.meta_params))
        report = self._program.begin(state)
        for window in range(int(num_windows)):
            length = self._program.length(lengths, window)
            samples = self._collect(state.meta_params, length)
            state, report = self._program.update(state, report, samples)
            self._updates += 1
        report = self._program.end(report, int(num_windows))
        self._left = stacked(self._pairs) if continues else ()
        return state, report, (), self._left

    def _begin(self, population: Pair) -> None:
        """Go on with another population; what is in flight comes to nothing."""
        self._pairs = unstacked(population)
        self._ledger = Ledger(self._pairs)
        self._waiting = collections.deque(range(len(self._pairs)))
        self._population += 1

    def _collect(self, meta_params: Vector, length: Scalar) -> Sample:
        """Return the samples of the next meta-update, in the pairs' order."""
        batch: dict[int, tuple[Ticket, Sample, Pair]] = {}
        while len(batch) < self._batch:
            while self._waiting and self._flying.count < self._most:
                self._send(self._waiting.popleft(), meta_params, length)
            ticket, (sample, pair) = self._flying.take()
            if ticket.population != self._population:
                continue
            if self._is_stale(ticket):
                self._waiting.append(ticket.place)
                self._workers.add(stale=1)
                continue
            batch[ticket.place] = ticket, sample, pair
        samples = []
        for index, (ticket, sample, pair) in sorted(batch.items()):
            self._ledger.count(index, ticket.window)
            self._pairs[index] = pair
            self._waiting.append(index)
            samples.append(sample)
        self._workers.add(used=len(samples))
        return stacked(samples)

    def _send(self, index: int, meta_params: Vector, length: Scalar) -> None:
        pair = self._pairs[index]
        ticket = Ticket(
            index, int(pair.window), self._updates, self._population
        )
        self._flying.send(ticket, meta_params, pair, length)

    def _is_stale(self, ticket: Ticket) -> bool:
        limit = self._workers.staleness_limit
        return limit is not None and self._updates - ticket.update > limit
