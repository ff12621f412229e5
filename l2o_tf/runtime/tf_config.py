"""Which processes there are, from TF_CONFIG, and how they find each other.

    TF_CONFIG='{"cluster": {"chief": ["a:2222"], "worker": ["b:2222", ...]},
                "task": {"type": "worker", "index": 0}}'

Every process of a cluster has the same addresses and a task of its own. With a
chief, it is the learner, and workers do what it sends them: parameter-server
training, `ClusterCoordinator`. Without one, all workers do the same, each a
part of it: `MultiWorkerMirroredStrategy`.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from absl import logging

VARIABLE = "TF_CONFIG"
JOBS = ("chief", "worker", "ps")
_SILENCE = 10.0  # seconds of waiting before it is said for whom
_EXAMPLE = (
    '{"cluster": {"chief": ["host0:2222"], "worker": ["host1:2222", '
    '"host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)


class ClusterError(ValueError):
    """A cluster that cannot be used as it is described, or as it stands."""


class Cluster(NamedTuple):
    """The addresses of all processes, and which of them this one is.

    Attributes:
        jobs: addresses "host:port" by kind of task: "worker", and perhaps
            "chief" (one) and "ps".
        job: the kind of this process' task.
        number: int, its place among them, from 0.
    """

    jobs: Mapping[str, tuple[str, ...]]
    job: str
    number: int

    @property
    def address(self) -> str:
        """Return that of this process."""
        return self.jobs[self.job][self.number]

    @property
    def has_learner(self) -> bool:
        """Return whether one process leads, and the others serve."""
        return "chief" in self.jobs

    @property
    def serves(self) -> bool:
        """Return whether this process does what a learner sends it."""
        return self.has_learner and self.job != "chief"

    @property
    def others(self) -> tuple[str, ...]:
        """Return the addresses of all other processes."""
        every = [a for job in JOBS for a in self.jobs.get(job, ())]
        return tuple(a for a in every if a != self.address)


def read_cluster(text: str | None) -> Cluster | None:
    """Read the value of TF_CONFIG.

    Args:
        text: JSON; None or blank where there is no cluster.

    Raises:
        ClusterError: if it does not describe a cluster and a task in it.
    """
    if text is None or not text.strip():
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise _malformed(f"must be JSON ({error})", text) from error
    if not isinstance(value, dict) or not isinstance(
        value.get("cluster"), dict
    ):
        raise _malformed('must be an object with the entry "cluster"', text)
    jobs = _read_jobs(value["cluster"], text)
    job, index = _read_task(value.get("task"), jobs, text)
    return Cluster(jobs, job, index)


def _malformed(what: str, text: str) -> ClusterError:
    return ClusterError(
        f"{VARIABLE} {what}. Received: {VARIABLE}={text!r}. An example: "
        f"{_EXAMPLE}"
    )


def _read_jobs(
    cluster: dict[str, Any], text: str
) -> dict[str, tuple[str, ...]]:
    jobs: dict[str, tuple[str, ...]] = {}
    for job, addresses in cluster.items():
        if job not in JOBS:
            known = ", ".join(JOBS)
            raise _malformed(
                f"has the unknown kind of task {job!r}; there are {known}", text
            )
        if not isinstance(addresses, list):
            raise _malformed(f"must list the addresses of {job!r}", text)
        for address in addresses:
            if not _is_address(address):
                raise _malformed(
                    f"must have addresses host:port, not {address!r}", text
                )
        if addresses:
            jobs[job] = tuple(addresses)
    if "worker" not in jobs:
        raise _malformed("must have at least one worker", text)
    if len(jobs.get("chief", ())) > 1:
        raise _malformed(f"must have one chief, not {jobs['chief']}", text)
    if "ps" in jobs and "chief" not in jobs:
        raise _malformed('has a "ps", which needs a chief', text)
    every = [a for addresses in jobs.values() for a in addresses]
    twice = sorted({a for a in every if every.count(a) > 1})
    if twice:
        raise _malformed(f"gives {', '.join(twice)} to two tasks", text)
    return jobs


def _is_address(address: object) -> bool:
    if not isinstance(address, str):
        return False
    host, colon, port = address.rpartition(":")
    return bool(host and colon and port.isdecimal() and 0 < int(port) < 65536)


def _read_task(
    task: object, jobs: Mapping[str, tuple[str, ...]], text: str
) -> tuple[str, int]:
    if not isinstance(task, dict) or not {"type", "index"} <= set(task):
        raise _malformed('must have a "task" with "type" and "index"', text)
    job, index = task["type"], task["index"]
    if not isinstance(job, str) or job not in jobs:
        raise _malformed(
            f"gives this process a task of the kind {job!r}, of which the "
            f"cluster has none; it has {', '.join(jobs)}",
            text,
        )
    if type(index) is not int or not 0 <= index < len(jobs[job]):
        raise _malformed(
            f"gives this process the index {index!r}; {job!r} has 0 to "
            f"{len(jobs[job]) - 1}",
            text,
        )
    return job, index


def is_reachable(address: str, seconds: float = 1.0) -> bool:
    """Return whether somebody listens at "host:port"."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), seconds):
            return True
    except OSError:
        return False


def wait_for(addresses: Iterable[str], seconds: float) -> None:
    """Wait until somebody listens at every address.

    Raises:
        ClusterError: if not within so many seconds.
    """
    missing, begun, told = list(addresses), time.monotonic(), False
    while missing := [a for a in missing if not is_reachable(a)]:
        waited = time.monotonic() - begun
        if waited > _SILENCE and not told:
            logging.warning("Waiting for: %s.", ", ".join(missing))
            told = True
        if waited > seconds:
            raise ClusterError(
                f"No answer within {seconds:g} s from: {', '.join(missing)}. "
                "Start the processes there, each with its own task in "
                f"{VARIABLE}, open the ports, or correct the addresses. "
                f"Received: patience={seconds:g}."
            )
        time.sleep(0.1)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port of this machine that nobody uses at the moment."""
    with socket.socket() as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])


def cluster_of_environment() -> Cluster | None:
    """Return the cluster that TF_CONFIG describes, None without one."""
    return read_cluster(os.environ.get(VARIABLE))
