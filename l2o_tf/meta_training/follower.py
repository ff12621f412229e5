"""Processes that train along with the one that writes the run directory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from l2o_tf.meta_training.state import Phase, TrainingState
from l2o_tf.meta_training.trainer import Trainer
from l2o_tf.runtime.checkpoints import Checkpoints
from l2o_tf.runtime.cluster import Peers
from l2o_tf.runtime.interrupts import Stop
from l2o_tf.runtime.run_dir import RunPaths
from l2o_tf.runtime.tf_config import ClusterError

_NAME = 16  # bytes of a signal's name


class SharedStop:
    """Stop all processes at the same moment if one of them is to stop.

    Every process must look at `requested` in the same moments of the run: each
    time, all wait for all.

    Args:
        own: what this process is asked.
        peers: the processes.
    """

    def __init__(self, own: Stop, peers: Peers) -> None:
        self._own = own
        self._peers = peers
        self.signal_name = ""

    @property
    def requested(self) -> bool:
        """Return whether any of the processes is to stop."""
        name = self._own.signal_name if self._own.requested else ""
        names = self._peers.exchange(name.encode().ljust(_NAME, b"\0"))
        asked = [name for name in names if name.strip(b"\0")]
        if asked:
            self.signal_name = asked[0].strip(b"\0").decode()
        return bool(asked)


def newest_state(trainer: Trainer, paths: RunPaths) -> TrainingState:
    """Return the state of the newest checkpoint, or that before training."""
    state = trainer.initial_state()
    latest = Checkpoints(paths.checkpoints).latest()
    if latest is None:
        return state
    _, arrays, metadata = latest
    return state.from_arrays(arrays, metadata["state"])


def check_equal(
    peers: Peers, state: TrainingState, facts: Mapping[str, object]
) -> None:
    """Refuse to train with processes that began otherwise.

    Args:
        peers: the processes.
        state: that this one begins with.
        facts: what must be equal besides, by name, such as the configuration.

    Raises:
        ClusterError: if a process has other facts or another state. All of them
            raise it.
    """
    arrays, metadata = state.to_arrays()
    begun = [(name, np.asarray(a).tobytes()) for name, a in arrays.items()]
    for name, value in {**facts, "state": (begun, metadata)}.items():
        mine = hashlib.sha256(repr(value).encode()).digest()
        theirs = peers.exchange(mine)
        others = [i for i, one in enumerate(theirs) if one != theirs[0]]
        if others:
            raise ClusterError(
                f"All processes of the cluster must have the same {name}. "
                f"Received: another {name} in worker "
                f"{', '.join(map(str, others))} than in worker 0. Start all "
                "with one command, one version of the package, and a run_dir "
                "that all of them see."
            )


def follow(trainer: Trainer, state: TrainingState, stop: Stop) -> TrainingState:
    """Make the transitions that `Run.finish` makes, and write nothing.

    Args:
        trainer: whose workers are `SynchronousPairs`.
        state: to go on from.
        stop: looked at in the moments in which `Run` looks at it.

    Returns:
        The last state.
    """
    while state.phase is not Phase.DONE and not stop.requested:
        if state.phase is Phase.EPISODE:
            state, _ = trainer.train_one(state)
            continue
        losses, validated = [], state
        for run in range(trainer.validation_runs):
            if stop.requested:
                return state
            validated, loss = trainer.validation_run(validated, run)
            losses.append(loss)
        state, _ = trainer.judge(validated, losses)
    return state
