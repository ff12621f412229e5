"""The folder of a sweep: a file per curve, claimed, checked and indexed.

    <folder>/<optimizer>-<optimizee>-<split>-seed<k>.npz    one curve each, of
                                another split ...-measured_<split>-seed<k>.npz
    <folder>/index.csv          a row per curve, written anew after each
    <folder>/tuning/            the same for the candidates of grids
    <folder>/.locks/            who computes what; nothing to keep

Any number of processes may work in one folder: a job is computed by whoever
holds its lock, and what a killed process held is free at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from l2o_tf.evaluation.curves import (
    Curve,
    curve_file,
    load_curve,
    save_curve,
    write_index,
)
from l2o_tf.evaluation.tuning import TuningResult
from l2o_tf.runtime.arrays import DamagedFileError
from l2o_tf.runtime.atomic import make_folder
from l2o_tf.runtime.shared_folder import SharedFolder

_KEPT = ("*.npz", "index.csv", "tuning/*.npz", "tuning/index.csv")


class Wanted(NamedTuple):
    """What a result file must be the result of.

    Attributes:
        optimizer: str, its name.
        optimizee: str.
        split: str, "" for a problem without data.
        seed: int.
        steps: int.
        config_hash: str, as `identity.config_hash` makes it.
        tuning: bool, whether it belongs to the candidates of a grid.
        measured: str, the split that losses are of; None for `split`.
    """

    optimizer: str
    optimizee: str
    split: str
    seed: int
    steps: int
    config_hash: str
    tuning: bool = False
    measured: str | None = None

    @property
    def file_name(self) -> str:
        """The path in the folder."""
        name = curve_file(
            self.optimizer,
            self.optimizee,
            self.split,
            self.seed,
            self.measured,
        )
        return os.path.join("tuning", name) if self.tuning else name


class Results(SharedFolder):
    """Read and write the result files of a folder.

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
        super().__init__(folder, _KEPT)
        self._overwrite = overwrite
        self._say = say
        self._checked: set[Wanted] = set()
        self._announced: set[pathlib.Path] = set()
        self._rows: dict[pathlib.Path, tuple[int, dict[str, Any]]] = {}
        self._annotated: set[tuple[Wanted, int]] = set()

    def has(self, wanted: Wanted) -> bool:
        """Return whether there is the finished curve.

        A file that is damaged is announced, and counts as missing.

        Raises:
            CheckpointError: if the file is of another format.
            ValueError: if it is the result of something else.
        """
        if wanted in self._checked:
            return True
        path = self.path / wanted.file_name
        if not path.exists():
            return False
        try:
            curve = load_curve(path)
        except DamagedFileError as error:
            if path not in self._announced:
                self._announced.add(path)
                self._say(f"To be computed again: {error}")
            return False
        different = _difference(wanted, curve)
        if different and self._overwrite:
            return False
        if different:
            raise ValueError(
                "A result there is of another optimizer, problem or length. "
                f"Received: {path} with {different}. Choose another "
                "--output_dir, or replace it by --overwrite."
            )
        self._checked.add(wanted)
        return True

    def load(self, wanted: Wanted) -> Curve:
        """Read a curve that is there."""
        return load_curve(self.path / wanted.file_name)

    def check_finally(self) -> None:
        """Forget what was seen, and from here on refuse what differs.

        So that the end of a sweep finds what another process, with another
        configuration, has put in the place of its results.
        """
        self._checked.clear()
        self._overwrite = False

    @contextlib.contextmanager
    def claim(self, wanted: Wanted) -> Iterator[bool]:
        """Hold a job while inside; give False where another process has it.

        Also while one measures, or waits to.
        """
        with contextlib.ExitStack() as locks:

            def hold(name: str, shared: bool = False) -> bool:
                lock = self.lock(name, shared, wait=False)
                return locks.enter_context(lock)

            with self.lock("turnstile", shared=True, wait=False) as passed:
                held = passed and hold("measuring", shared=True)
            yield held and hold(_lock_name(wanted))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no process computes a job, and let none begin one."""
        # The turnstile keeps new jobs out, or they could overlap for ever.
        with self.lock("turnstile"):
            with self.lock("measuring", wait=False) as free:
                pass
            if not free:
                self._say("Waiting for the curves that are being computed.")
            with self.lock("measuring"):
                yield

    def annotate(self, wanted: Wanted, tuning: TuningResult) -> None:
        """Let a curve that is there tell how its optimizer was chosen.

        A longer grid may choose the same candidate: the losses stay.
        """
        key = wanted, id(tuning)
        if key in self._annotated:
            return
        curve, record = self.load(wanted), tuning.to_json()
        # As text: a score may be NaN, which differs from itself.
        if json.dumps(curve.tuning) != json.dumps(record):
            self.save(wanted, dataclasses.replace(curve, tuning=record))
        self._annotated.add(key)

    def save(self, wanted: Wanted, curve: Curve) -> None:
        """Write a curve and the index."""
        folder = make_folder((self.path / wanted.file_name).parent)
        with self.writing():
            save_curve(folder, curve)
        self._checked.add(wanted)
        self.index(folder)

    def index(self, folder: pathlib.Path | None = None) -> list[dict[str, Any]]:
        """Write index.csv of what is there; return its rows.

        Damaged files are left out.

        Raises:
            CheckpointError: if a file is of another format.
        """
        folder = folder or self.path
        if not folder.is_dir():
            return []
        # Under one lock, or an older list could replace a newer one.
        with self.lock("index"), self.writing():
            rows = []
            for path in sorted(folder.glob("*.npz")):
                with contextlib.suppress(DamagedFileError):
                    rows.append(self._row(path))
            write_index(folder, rows)
        return rows

    def _row(self, path: pathlib.Path) -> dict[str, Any]:
        """Return a file's row, read once for each time it is written."""
        stamp = path.stat().st_mtime_ns
        if path not in self._rows or self._rows[path][0] != stamp:
            self._rows[path] = stamp, load_curve(path).index_row()
        return self._rows[path][1]


def _lock_name(wanted: Wanted) -> str:
    return wanted.file_name.replace(os.sep, "+")


def _difference(wanted: Wanted, curve: Curve) -> str:
    """Name what differs between a wanted and a found result; "" if nothing."""
    found = Wanted(
        curve.optimizer,
        curve.optimizee,
        curve.split,
        curve.seed,
        curve.steps,
        curve.config_hash,
        wanted.tuning,
        curve.measured,
    )
    return ", ".join(
        f"{name}={value!r} (wanted {want!r})"
        for name, value, want in zip(Wanted._fields, found, wanted, strict=True)
        if value != want
    )
