"""How the processes of a cluster find each other, and what they exchange.

Both engines are `tf.distribute`'s: parameter-server training where there is a
learner, `MultiWorkerMirroredStrategy` where all processes are equal.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from l2o_tf.core.compile import prefer_wide_vectors
from l2o_tf.runtime.interrupts import Stop
from l2o_tf.runtime.tf_config import (
    Cluster,
    ClusterError,
    free_port,
    wait_for,
)


class Coordinated(NamedTuple):
    """A learner's workers.

    Attributes:
        coordinator: a `ClusterCoordinator`.
        addresses: of the workers.
    """

    coordinator: Any
    addresses: tuple[str, ...]


def coordinate(cluster: Cluster, patience: float) -> Coordinated:
    """Connect the learner to its workers.

    TensorFlow asks for a parameter server. Weights do not live on one here, so
    that a cluster without "ps" is given one in the learner's own process, which
    nobody asks for anything.

    Args:
        cluster: of which this process is the chief.
        patience: seconds to wait for the workers.

    Raises:
        ClusterError: if some cannot be reached.
    """
    wait_for(cluster.others, patience)
    jobs = {job: list(addresses) for job, addresses in cluster.jobs.items()}
    if "ps" not in jobs:
        host = cluster.address.rpartition(":")[0]
        jobs["ps"] = [f"{host}:{free_port(host)}"]
        _start_server(jobs, "ps", 0)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(jobs),
        task_type="chief",
        task_id=0,
        rpc_layer="grpc",
    )
    strategy = tf.distribute.ParameterServerStrategy(resolver)
    return Coordinated(
        tf.distribute.coordinator.ClusterCoordinator(strategy),
        cluster.jobs["worker"],
    )


def _start_server(
    jobs: Mapping[str, Iterable[str]], job: str, index: int
) -> tf.distribute.Server:
    spec = tf.train.ClusterSpec({k: list(v) for k, v in jobs.items()})
    try:
        return tf.distribute.Server(
            spec, job_name=job, task_index=index, protocol="grpc"
        )
    except (tf.errors.OpError, RuntimeError) as error:
        address = list(jobs[job])[index]
        raise ClusterError(
            f"This process cannot serve at its address: {error}. Received: "
            f"{job} {index} at {address!r}. Is another process there?"
        ) from error


def serve(cluster: Cluster, stop: Stop) -> None:
    """Do what the learner sends until a stop is requested.

    A server keeps nothing of its own: it may be killed and started again at any
    time, and a learner that is killed and started again finds it waiting.

    Args:
        cluster: with a learner, of which this process is another task.
        stop: looked at five times a second.

    Raises:
        ClusterError: if its port is taken.
    """
    prefer_wide_vectors()
    server = _start_server(cluster.jobs, cluster.job, cluster.number)
    while not stop.requested:
        time.sleep(0.2)
    del server


class Peers:
    """Processes that do the same, each a part of it, and exchange the parts.

    Args:
        strategy: a `MultiWorkerMirroredStrategy` with one replica per process.
        index: int, which one this is.
        count: int, how many there are.
    """

    def __init__(self, strategy: Any, index: int, count: int) -> None:
        self.index, self.count = index, count
        self._strategy = strategy
        # Of any length, so that there is one trace.
        words = tf.TensorSpec([None], tf.int32)
        self._gather = tf.function(
            self._gathered, input_signature=[words], autograph=False
        )

    def _gathered(self, mine: tf.Tensor) -> tf.Tensor:
        def everybody() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            return context.all_gather(mine[tf.newaxis], axis=0)

        return self._strategy.run(everybody)

    def exchange(self, mine: bytes) -> list[bytes]:
        """Return what every process gave, in the order of their indices.

        Every process must call it, with as many bytes: all wait for the last.

        Raises:
            ClusterError: if another process is gone.
        """
        padded = mine + bytes(-len(mine) % 4)
        words = tf.io.decode_raw(padded, tf.int32)
        try:
            rows = self._gather(words).numpy()
        except tf.errors.OpError as error:
            raise ClusterError(
                "Another process of the cluster has ended, so that this one "
                "cannot go on. Start all of them again: they continue from the "
                f"newest checkpoint. Received: {type(error).__name__}."
            ) from error
        return [row.tobytes()[: len(mine)] for row in rows]


def meet(cluster: Cluster, patience: float) -> Peers:
    """Connect this process to its peers, before its first tensor.

    Args:
        cluster: without a learner.
        patience: seconds to wait for the others.

    Raises:
        ClusterError: if some cannot be reached, this process' port is taken,
            or it sees more than one device.
    """
    # TensorFlow would wait for an hour. All listen for one another first, each
    # at the port that TensorFlow takes over after that.
    host, _, port = cluster.address.rpartition(":")
    try:
        listener = socket.create_server(
            (host.strip("[]"), int(port)), backlog=1024
        )
    except OSError as error:
        raise ClusterError(
            f"This process cannot listen at its address: {error.strerror}. "
            f"Received: worker {cluster.number} at {cluster.address!r}."
        ) from error
    with contextlib.closing(listener):
        wait_for(cluster.others, patience)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({k: list(v) for k, v in cluster.jobs.items()}),
        task_type=cluster.job,
        task_id=cluster.number,
        rpc_layer="grpc",
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    count = len(cluster.jobs["worker"])
    if strategy.num_replicas_in_sync != count:
        raise ClusterError(
            "Every process of the cluster must see one device. Received: "
            f"{strategy.num_replicas_in_sync} devices in {count} processes. "
            "Choose one for each with CUDA_VISIBLE_DEVICES."
        )
    return Peers(strategy, cluster.number, count)


def connect(cluster: Cluster, patience: float) -> Coordinated | Peers:
    """Connect a learner to its workers, or one of many peers to the others."""
    if cluster.has_learner:
        return coordinate(cluster, patience)
    return meet(cluster, patience)
