"""What became of a run, in one small file: <run_dir>/summary.json."""

from __future__ import annotations

import json
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from l2o_tf.meta_training.state import TrainingState
from l2o_tf.runtime import atomic
from l2o_tf.runtime.run_dir import RunDirectoryError, RunPaths

FILE = "summary.json"


def versions() -> dict[str, str]:
    """Return the versions of Python and of what computes the numbers."""
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


def describe(state: TrainingState) -> str:
    """Say in one line how far a run is."""
    return (
        f"{state.episode} episodes, {state.meta_updates} meta-updates "
        f"({state.skipped} were not finite), "
        f"{state.validations} validations, stage {state.schedule.stage}"
    )


def write_summary(
    run_dir: pathlib.Path,
    status: str,
    state: TrainingState,
    command: str,
    facts: Mapping[str, Any],
) -> None:
    """Write the summary of a run, replacing an earlier one.

    Args:
        run_dir: the run's directory.
        status: str, "running", "stopped", "failed" or "done".
        state: where the run stands.
        command: str, what to type to continue it.
        facts: JSON-serialisable; `notice` says what is particular about the
            data, None for nothing.

    Raises:
        OSError: if it cannot be written.
    """
    best = RunPaths(run_dir).weights
    record = {
        "status": status,
        "episodes": state.episode,
        "meta_updates": state.meta_updates,
        "skipped_updates": state.skipped,
        "validations": state.validations,
        "stage": state.schedule.stage,
        "best_weights": (
            best.relative_to(run_dir).as_posix() if best.is_file() else None
        ),
        "command": command,
        "versions": versions(),
        **facts,
    }
    atomic.write_json(run_dir / FILE, record)


def check_same_data(run_dir: pathlib.Path, notice: str | None) -> None:
    """Refuse to continue a run on other data than it began with.

    The full MNIST where there is a network and the embedded subset where there
    is none have the same configuration; only their notices tell them apart.

    Args:
        run_dir: the run's directory; one without a summary is new.
        notice: of the data at hand.

    Raises:
        RunDirectoryError: if the stored notice is another, or the summary
            cannot be read.
    """
    path = run_dir / FILE
    if not path.is_file():
        return
    try:
        began = json.loads(path.read_text(encoding="utf-8"))["notice"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunDirectoryError(
            "The summary of the run is not what this package writes. "
            f"Received: path={str(path)!r}. Restore or delete it."
        ) from error
    if began != notice:
        raise RunDirectoryError(
            "The data are not those the run began with, so its results would "
            f"be of neither. Received: run_dir={str(run_dir)!r}, data now: "
            f"{notice or 'the full set'!r}, at its beginning: "
            f"{began or 'the full set'!r}. Name the same data with --data_dir "
            "or TFDS_DATA_DIR, or choose another --run_dir."
        )
