"""Processes that do the same, each with a part of the pairs."""

from __future__ import annotations

from collections.abc import Callable

import gin
import numpy as np
import tensorflow as tf

from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Nest, Scalar, Seed
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.pairs import PairedEstimator
from l2o_tf.meta_training.episode import MetaState
from l2o_tf.meta_training.workers import (
    Counted,
    EpisodeResult,
    Ledger,
    PairProgram,
    PairWorkers,
    not_joined,
    stacked,
    to_arrays,
    unstacked,
)
from l2o_tf.runtime.cluster import Coordinated, Peers
from l2o_tf.runtime.tf_config import ClusterError


@gin.register(module="l2o_tf.meta_training")
class SynchronousPairs(PairWorkers):
    """Let every process run its part of the pairs, and all make each update.

    Process i of W runs the i-th of W equal parts of the population. All then
    give all the others their samples and carries, merge the same B samples, and
    apply the same meta-update. What the first one got is what all go on with,
    so that they stay equal on unequal machines too.
    """

    def __init__(self) -> None:
        self.peers: Peers | None = None
        self._pairs: int | None = None

    def _check_pairs(self, estimator: PairedEstimator) -> None:
        self._pairs = estimator.num_pairs

    def join(self, link: Coordinated | Peers) -> None:
        """Take the connection to the other processes.

        Raises:
            ClusterError: if it is one to a learner's workers, or the pairs
                cannot be divided.
        """
        if not isinstance(link, Peers):
            raise ClusterError(
                "SynchronousPairs needs a cluster of equal workers. Received: "
                'a cluster with a "chief". Leave it out, or use '
                "AsynchronousPairs."
            )
        if self._pairs is not None and self._pairs % link.count:
            raise ClusterError(
                "Every process must have as many pairs. Received: "
                f"{self._pairs} pairs, {link.count} processes. Choose "
                "num_particles as a multiple of twice the processes."
            )
        self.peers = link

    def _run(self, program: PairProgram) -> Callable[..., EpisodeResult]:
        if self.peers is None:
            raise not_joined(self)
        return _Peer(self, program, self.peers)

    def agreed(self, losses: list[float]) -> list[float]:
        """Return the losses that the first process found."""
        if self.peers is None:
            raise not_joined(self)
        return first_of(self.peers, np.asarray(losses)).tolist()


class _Peer:
    """Run the trainer's episodes together with the other processes.

    Args:
        workers: who counts.
        program: the compiled parts.
        peers: the processes.
    """

    def __init__(
        self, workers: SynchronousPairs, program: PairProgram, peers: Peers
    ) -> None:
        self._workers = workers
        self._program = program
        self._peers = peers
        self._sample = compiled(program.sample, program.jit_compile)

    def __call__(
        self,
        state: MetaState,
        seed: Seed,
        num_windows: Scalar,
        context: EpisodeContext,
        lengths: tf.Tensor | None,
    ) -> EpisodeResult:
        population = self._program.start(seed, context, state.meta_params)
        pairs = unstacked(population)
        ledger = Ledger(pairs)
        part = len(pairs) // self._peers.count
        first = part * self._peers.index
        report = self._program.begin(state)
        for window in range(int(num_windows)):
            length = self._program.length(lengths, window)
            mine = []
            for pair in pairs[first : first + part]:
                pair = tf.nest.map_structure(tf.constant, pair)
                mine.append(self._sample(state.meta_params, pair, length))
            told = exchange(self._peers, to_arrays(mine))
            both = [both for theirs in told for both in theirs]
            for index, pair in enumerate(pairs):
                ledger.count(index, int(pair.window))
            pairs = [pair for _, pair in both]
            samples = stacked([sample for sample, _ in both])
            state, report = self._program.update(state, report, samples)
            self._workers.counted = Counted(
                self._workers.counted.used + len(both)
            )
        report = self._program.end(report, int(num_windows))
        state, report = tf.nest.map_structure(
            tf.constant, first_of(self._peers, to_arrays((state, report)))
        )
        continues = self._program.estimator.continues
        return state, report, (), stacked(pairs) if continues else ()


def exchange(peers: Peers, arrays: Nest) -> list[Nest]:
    """Return every process' arrays, of the shapes and types of this one's."""
    leaves = [np.asarray(leaf) for leaf in tf.nest.flatten(arrays)]
    packed = b"".join(leaf.tobytes() for leaf in leaves)
    nests = []
    for theirs in peers.exchange(packed):
        found, begin = [], 0
        for leaf in leaves:
            part = theirs[begin : begin + leaf.nbytes]
            found.append(np.frombuffer(part, leaf.dtype).reshape(leaf.shape))
            begin += leaf.nbytes
        nests.append(tf.nest.pack_sequence_as(arrays, found))
    return nests


def first_of(peers: Peers, arrays: Nest) -> Nest:
    """Return the arrays of the first process."""
    return exchange(peers, arrays)[0]
