"""The files of studies: one .npz each, with all that its numbers depend on.

<folder>/studies/<name>.npz     arrays, kind, configuration, versions
<folder>/studies/.locks/        who computes what; nothing to keep
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from l2o_tf.runtime.arrays import (
    DamagedFileError,
    Format,
    load_arrays,
    save_arrays,
)
from l2o_tf.runtime.shared_folder import SharedFolder
from l2o_tf.studies.base import Progress, Study
from l2o_tf.version import __version__

FORMAT = Format("l2o_tf study", 1)
FOLDER = "studies"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a study found.

    Attributes:
        name: str, of the study.
        kind: str, which picture shows it.
        arrays: name to array.
        config: what the numbers depend on, as JSON.
        notice: None, or what a reader must know of the data.
        seconds: float, how long it took, compilation included.
        version: str, of the package.
    """

    name: str
    kind: str
    arrays: Mapping[str, np.ndarray]
    config: Mapping[str, Any]
    notice: str | None
    seconds: float
    version: str


def save_finding(path: pathlib.Path, finding: Finding) -> None:
    """Write a finding to a file, whole or not at all."""
    metadata = {
        field.name: getattr(finding, field.name)
        for field in dataclasses.fields(finding)
    }
    save_arrays(path, metadata.pop("arrays"), metadata, FORMAT)


def load_finding(path: str | os.PathLike[str]) -> Finding:
    """Read a finding.

    Raises:
        CheckpointError: if the file is not a readable finding.
        DamagedFileError: if its bytes are not what was written.
    """
    arrays, metadata = load_arrays(path, FORMAT)
    return Finding(arrays=arrays, **metadata)


def load_findings(folder: str | os.PathLike[str]) -> list[Finding]:
    """Read all findings of a folder of results, by name; [] if none.

    Raises:
        CheckpointError: if a file is not a readable finding.
        DamagedFileError: if its bytes are not what was written.
    """
    paths = sorted((pathlib.Path(folder) / FOLDER).glob("*.npz"))
    return [load_finding(path) for path in paths]


def _same(study: Study, finding: Finding) -> bool:
    # As text: a number may be NaN, and a tuple is read back as a list.
    wanted, found = (
        json.dumps([kind, config], sort_keys=True)
        for kind, config in (
            (study.kind, {**study.config()}),
            (finding.kind, {**finding.config}),
        )
    )
    return wanted == found


class StudyFolder(SharedFolder):
    """Compute studies into a folder, those that are not there yet.

    Any number of processes may work in one folder: a study is computed by
    whoever holds its lock.

    Args:
        folder: created if need be.
        overwrite: whether a result of another configuration is replaced, not
            refused.
        say: takes a line for the user.

    Raises:
        OSError: if the folder cannot be created.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        overwrite: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        super().__init__(pathlib.Path(folder) / FOLDER, ("*.npz",))
        self._overwrite = overwrite
        self._say = say

    def file(self, study: Study) -> pathlib.Path:
        """Return where a study's finding is, or goes."""
        return self.path / f"{study.name}.npz"

    def has(self, study: Study) -> bool:
        """Return whether there is a study's finding.

        One that is damaged is announced, and counts as missing.

        Raises:
            CheckpointError: if the file is of another format.
            ValueError: if it is of another configuration.
        """
        path = self.file(study)
        if not path.exists():
            return False
        try:
            finding = load_finding(path)
        except DamagedFileError as error:
            self._say(f"To be computed again: {error}")
            return False
        if _same(study, finding):
            return True
        if self._overwrite:
            return False
        raise ValueError(
            "A study there has another configuration. Received: "
            f"path={str(path)!r}, which has {dict(finding.config)}, wanted "
            f"{dict(study.config())}. Choose another --output_dir, or replace "
            "it by --overwrite."
        )

    def compute(self, study: Study, progress: Progress) -> bool:
        """Compute a study and write its finding.

        Returns:
            Whether it is there now; False if stopped, or if another process
            computes it.
        """
        with self.lock(study.name, wait=False) as held:
            if not held:
                self._say(f"{study.name} is computed by another process.")
                return False
            # Another process may have finished it since.
            if self.has(study):
                return True
            begun = time.monotonic()
            arrays = study.run(progress)
            if arrays is None:
                return False
            finding = Finding(
                study.name,
                study.kind,
                arrays,
                study.config(),
                study.notice,
                time.monotonic() - begun,
                __version__,
            )
            with self.writing():
                save_finding(self.file(study), finding)
        return True


def check_names(studies: Sequence[Study]) -> None:
    """Refuse studies that would write one file.

    Raises:
        ValueError: if there is none, or two have one name.
    """
    names = [study.name for study in studies]
    if not names or len(set(names)) != len(names):
        raise ValueError(
            "Studies must be at least one, each with a name of its own. "
            f"Received: names={names}."
        )
