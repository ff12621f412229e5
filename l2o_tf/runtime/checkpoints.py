"""The last few states of a run, one file each.

Files are named by their step, `step_00000300.npz`, and written atomically: at
every moment the folder holds whole checkpoints only. Cost: `keep` + 1 files at
most.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from l2o_tf.core import checks
from l2o_tf.runtime import atomic
from l2o_tf.runtime.arrays import (
    CheckpointError,
    DamagedFileError,
    Format,
    load_arrays,
    save_arrays,
)

FORMAT = Format("l2o_tf.checkpoint", 1)
_NAME = re.compile(r"step_(\d{8,})\.npz")


class Checkpoints:
    """Keep the newest checkpoints of one folder.

    Args:
        folder: where the files lie; created at the first save.
        keep: int >= 1, how many files to keep. Defaults to 3.

    Raises:
        ValueError: if `keep` is not a positive int.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 3) -> None:
        self._folder = pathlib.Path(folder)
        self._keep = checks.positive_int("keep", keep)

    def _files(self) -> list[tuple[int, pathlib.Path]]:
        """List `(step, path)`, oldest first."""
        if not self._folder.is_dir():
            return []
        matches = [
            (match, path)
            for path in self._folder.iterdir()
            if (match := _NAME.fullmatch(path.name))
        ]
        return sorted((int(match[1]), path) for match, path in matches)

    def save(
        self,
        step: int,
        arrays: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> pathlib.Path:
        """Write a checkpoint and remove those beyond `keep`.

        Args:
            step: int >= 0, not before the newest checkpoint; the same step
                replaces it.
            arrays: as `save_arrays` takes them.
            metadata: as `save_arrays` takes it.

        Returns:
            The file.

        Raises:
            ValueError: if `step` is negative or before the newest one, or if
                something cannot be stored.
            OSError: if the disk does not take it; what was saved before stays.
        """
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise ValueError(
                f"`step` must be an int >= 0. Received: step={step!r}."
            )
        files = self._files()
        if files and step < files[-1][0]:
            raise ValueError(
                "`step` must not be before the newest checkpoint, "
                f"{files[-1][1]}. Received: step={step}. Resume from it, or "
                "delete it."
            )
        atomic.make_folder(self._folder)
        atomic.remove_leftovers(self._folder)
        path = self._folder / f"step_{step:08d}.npz"
        save_arrays(path, arrays, metadata, FORMAT)
        for _, old in self._files()[: -self._keep]:
            old.unlink()
        return path

    def latest(
        self,
    ) -> tuple[int, dict[str, np.ndarray], dict[str, Any]] | None:
        """Read the newest checkpoint.

        Returns:
            `(step, arrays, metadata)`, or None if there is no checkpoint.

        Raises:
            CheckpointError: if the newest file cannot be used. No older one is
                taken in its place: that is the user's decision.
        """
        files = self._files()
        if not files:
            return None
        step, path = files[-1]
        try:
            return step, *load_arrays(path, FORMAT)
        except DamagedFileError as error:
            before = (
                f"resumes from {files[-2][1].name}"
                if files[1:]
                else "starts the run from its beginning: it is the only one"
            )
            raise CheckpointError(
                f"The newest checkpoint is unusable. {error} Deleting it "
                f"{before}."
            ) from error
