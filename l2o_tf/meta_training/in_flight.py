"""Samples that a cluster's workers are making, and how they come back."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from l2o_tf.core.types import Nest, Scalar, Vector
from l2o_tf.estimators.pairs import Pair, Sample
from l2o_tf.meta_training.workers import PairProgram
from l2o_tf.runtime.cluster import Coordinated
from l2o_tf.runtime.packing import Packed, Packing
from l2o_tf.runtime.shipped import shipped
from l2o_tf.runtime.tf_config import ClusterError, is_reachable

_PAUSE = 0.1  # seconds


class Ticket(NamedTuple):
    """What was asked for.

    Attributes:
        place: int, the pair's in the population.
        window: int, the number of the pair's window.
        update: int, meta-updates of this process before the weights sent.
        population: int, which of this process' populations the pair is of.
    """

    place: int
    window: int
    update: int
    population: int


class InFlight:
    """Send pairs to workers, and take the samples as they come.

    The coordinator gives every pair to a worker that is free. One whose worker
    dies goes to another worker, or to the same when it is back; the coordinator
    tells each result once, after it has fetched it. What the problem keeps on
    its device (the data set) is sent once to every worker, and again to one
    that was started again: it is the only element of a `tf.data` pipeline that
    lives there. Weights, carry and length go in one vector per type.

    Args:
        program: what makes a sample.
        link: the workers.
        patience: seconds without an answer after which it is looked whether
            there are workers at all.

    Attributes:
        count: int, samples asked for and not yet taken.
    """

    def __init__(
        self, program: PairProgram, link: Coordinated, patience: float
    ) -> None:
        self._program = program
        self._link = link
        self._patience = patience
        self._answers: queue.SimpleQueue[tuple[Ticket, Any]] = (
            queue.SimpleQueue()
        )
        self._call: Any = None  # as all of these: with the first pair sent
        self._data: Any = None
        self._sent: Any = None
        self._told: Any = None
        self.count = 0

    def _trace(self, arguments: tuple[Vector, Pair, Scalar]) -> None:
        """Make the function that workers run, and send them its data."""
        specs = tf.nest.map_structure(
            lambda t: tf.TensorSpec(t.shape, t.dtype), arguments
        )
        function = shipped(
            self._program.sample, specs, self._program.jit_compile
        )
        sent, told = Packing(specs), Packing(function.results)

        def data() -> tf.data.Dataset:
            # With something in it even where nothing was captured.
            elements = (tf.constant(0), *function.captured)
            return tf.data.Dataset.from_tensors(elements).repeat()

        def call(arguments: Packed, data: Iterator[Nest]) -> Packed:
            _, *captured = next(data)
            return told.pack(function.call(sent.unpack(arguments), captured))

        self._sent, self._told = sent, told
        self._call = tf.function(call, autograph=False)
        coordinator = self._link.coordinator
        self._data = iter(coordinator.create_per_worker_dataset(data))

    def send(
        self, ticket: Ticket, meta_params: Vector, pair: Pair, length: Scalar
    ) -> None:
        """Ask for a sample.

        Args:
            ticket: comes back with it.
            meta_params: the weights.
            pair: before its window, NumPy arrays.
            length: the steps of the window.

        Raises:
            RuntimeError: if a window sent before could not be run.
        """
        arguments = (meta_params.numpy(), pair, length.numpy())
        if self._call is None:
            self._trace(arguments)
        packed = self._sent.pack_arrays(arguments)
        try:
            value = self._link.coordinator.schedule(
                self._call, args=(packed, self._data)
            )
        except tf.errors.OpError as error:  # of another call than this
            raise _not_run("one sent before", error) from error
        self.count += 1
        # `fetch` waits, and there is no other way to learn of the end. A daemon
        # does not keep a learner that has ended from ending.
        threading.Thread(
            target=self._fetch, args=(ticket, value), daemon=True
        ).start()

    def _fetch(self, ticket: Ticket, value: Any) -> None:
        """Wait for a result, and put it where `take` finds it.

        If the worker dies while its result is being copied, the copy fails with
        a new error, and the coordinator has another worker make the result
        again. An error of the window itself stays, and is the same when asked
        for again.
        """
        before: Exception | None = None
        while True:
            try:
                answer = self._told.unpack_arrays(value.fetch())
            except Exception as error:  # told by `take`, in the main thread
                if error is not before:
                    before = error
                    time.sleep(_PAUSE)
                    continue
                answer = error
            self._answers.put((ticket, answer))
            return

    def take(self) -> tuple[Ticket, tuple[Sample, Pair]]:
        """Wait for a sample, and return it with the pair after its window.

        Raises:
            ClusterError: if no worker can be reached any more.
            RuntimeError: if a window could not be run.
        """
        begun = time.monotonic()
        while True:
            try:
                ticket, answer = self._answers.get(timeout=self._patience)
                break
            except queue.Empty:
                self._look_after_workers(time.monotonic() - begun)
        self.count -= 1
        if isinstance(answer, Exception):
            which = f"pair {ticket.place}, window {ticket.window}"
            raise _not_run(which, answer) from answer
        return ticket, answer

    def _look_after_workers(self, waited: float) -> None:
        """Refuse to wait for nobody, and say whom the others wait for."""
        addresses = self._link.addresses
        missing = [a for a in addresses if not is_reachable(a)]
        if len(missing) == len(addresses):
            raise ClusterError(
                f"No worker answers any more, for {self._patience:g} s: "
                f"{', '.join(missing)}. Start them and the learner again: it "
                "continues from the newest checkpoint. Received: "
                f"patience={self._patience:g}."
            )
        if missing:
            logging.warning("No answer from: %s.", ", ".join(missing))
            return
        # Whether one hangs or computes cannot be seen from here.
        logging.warning(
            "No sample for %.0f s, though all workers can be reached. If their "
            "windows take less, end the one that hangs; others get its pairs.",
            waited,
        )


def _not_run(which: str, error: Exception) -> RuntimeError:
    return RuntimeError(
        f"A worker could not run a window. Received: {which}: {error}"
    )
