r"""Start a cluster on this machine and run one training in it.

Examples:
  python tools/local_cluster.py --workers=2 --restart -- \
      --gin_file=gin/metz.gin \
      --gin_file=gin/parts/techniques/asynchronous_workers.gin \
      --run_dir=runs/mine
      a learner and two workers, each a process of `python -m l2o_tf.train` with
      these arguments; one that is killed is started again.

  python tools/local_cluster.py --workers=2 --equal -- \
      --gin_file=gin/metz.gin --run_dir=runs/mine \
      --gin_param='Trainer.workers = @SynchronousPairs()'
      two equal workers and no learner.

What the processes say is shown with their names before it. SIGINT and SIGTERM
go to the process that writes the run, and to all where all are equal. The
cluster ends when that process does, with its exit code.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import IO

from l2o_tf.runtime.tf_config import VARIABLE, free_port

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_GRACE = 10.0  # seconds from SIGTERM to SIGKILL
_RESTARTS = 5  # of one worker in a row, each time before it lived so long:
_LIFE = 30.0  # seconds
_SET_PARENT_DEATH_SIGNAL = 1  # of Linux' prctl


def _end_with_parent() -> None:
    """Have Linux end this process when its parent ends, however that does."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def cluster_of(workers: int, equal: bool) -> dict[str, list[str]]:
    """Return free addresses on this machine for the tasks of a cluster.

    Args:
        workers: int.
        equal: whether there is no learner.
    """
    ports: list[int] = []
    while len(ports) < workers + 1:
        port = free_port()
        if port not in ports:
            ports.append(port)
    addresses = [f"127.0.0.1:{port}" for port in ports]
    if equal:
        return {"worker": addresses[1:]}
    return {"chief": addresses[:1], "worker": addresses[1:]}


class Task:
    """One process of the cluster, which may be started more than once.

    Args:
        cluster: the addresses of all tasks.
        job: "chief" or "worker".
        index: int.
        arguments: of `python -m l2o_tf.train`.
    """

    def __init__(
        self,
        cluster: Mapping[str, Sequence[str]],
        job: str,
        index: int,
        arguments: Sequence[str],
    ) -> None:
        self.name = "learner" if job == "chief" else f"worker {index}"
        task = {"cluster": cluster, "task": {"type": job, "index": index}}
        self._environment = {**os.environ, VARIABLE: json.dumps(task)}
        paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
        self._environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self._arguments = arguments
        self._begun = 0.0
        self._failures = 0
        self.start()

    def start(self) -> None:
        """Start the process, in a group of its own."""
        self._begun = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "l2o_tf.train", *self._arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # So that a Ctrl-C reaches it through us alone, and once.
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        if self.process.stdout is None:
            raise RuntimeError(f"There is no pipe. Received: {self.name}.")
        self._reader = threading.Thread(
            target=self._show, args=(self.process.stdout,), daemon=True
        )
        self._reader.start()
        say(f"{self.name} is process {self.process.pid}.")

    def _show(self, lines: IO[str]) -> None:
        for line in lines:
            print(f"[{self.name}] {line}", end="", flush=True)

    def restart(self) -> bool:
        """Start the process again; False if that has not helped before."""
        lived = time.monotonic() - self._begun
        self._failures = 1 if lived > _LIFE else self._failures + 1
        if self._failures > _RESTARTS:
            return False
        self.start()
        return True

    def wait(self) -> None:
        """Wait for the end of a process that was told to end."""
        try:
            self.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(_GRACE)


def say(text: str) -> None:
    """Print a line about the cluster itself."""
    print(f"[cluster] {text}", flush=True)


def watch(
    tasks: Sequence[Task], restart: bool, stopped: Callable[[], bool]
) -> int:
    """Wait until the first task ends, and look after the others.

    Args:
        tasks: the process that writes the run first.
        restart: whether to start others that end again, and the first one if
            it was killed, and not by us.
        stopped: whether the cluster was told to end.

    Returns:
        The exit code of the first one, as a shell gives it.
    """
    first, others = tasks[0], list(tasks[1:])
    while True:
        code = first.process.poll()
        killed = code is not None and code < 0
        if killed and restart and not stopped() and first.restart():
            say(f"{first.name} was killed ({code}) and is started again.")
        elif code is not None:
            say(f"{first.name} ended with {code}.")
            return 128 - code if killed else code
        for task in list(others):
            code = task.process.poll()
            if code is None:
                continue
            say(f"{task.name} ended with {code}.")
            if not (restart and task.restart()):
                others.remove(task)
        time.sleep(0.1)


def run(workers: int, equal: bool, restart: bool, train: Sequence[str]) -> int:
    """Start the cluster, wait for its end; return the exit code."""
    cluster = cluster_of(workers, equal)
    tasks: list[Task] = []
    signals: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        signals.append(number)
        for task in tasks if equal else tasks[:1]:
            if task.process.poll() is None:
                task.process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forward)
    try:
        for job, addresses in cluster.items():
            for index in range(len(addresses)):
                tasks.append(Task(cluster, job, index, train))
        return watch(tasks, restart, lambda: bool(signals))
    finally:
        for task in tasks:
            task.process.terminate()
        for task in tasks:
            task.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="how many; 2 by default"
    )
    parser.add_argument(
        "--equal", action="store_true", help="no learner: all do the same"
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="start a process that is killed again, the learner too; not with "
        "--equal, where the others cannot go on",
    )
    parser.add_argument(
        "train", nargs="+", help="after --: arguments of l2o_tf.train"
    )
    given = parser.parse_args(arguments)
    if given.workers < 1:
        parser.error(f"--workers must be positive. Received: {given.workers}.")
    if given.equal and given.restart:
        parser.error("--restart is of no use with --equal. Leave it out.")
    if given.restart and not any("--run_dir" in word for word in given.train):
        parser.error(
            "--restart needs the run that the learner is to go on with. Give "
            "--run_dir after the --."
        )
    return run(given.workers, given.equal, given.restart, given.train)


if __name__ == "__main__":
    sys.exit(main())
