"""Loss curves in files: one per optimizer, optimizee and seed."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from l2o_tf.runtime.arrays import Format, load_arrays, save_arrays
from l2o_tf.runtime.atomic import write_text

FORMAT = Format("l2o_tf.curve", 2)
TAIL = 100
LONG_TAIL = 1000
INDEX = (
    "optimizer",
    "optimizee",
    "split",
    "seed",
    "steps",
    f"mean_of_last_{TAIL}",
    f"median_of_last_{LONG_TAIL}",
    "mean_of_all",
    "lowest",
    "not_finite",
    "seconds",
    "learning_rate",
    "config_hash",
    "file",
    "notice",
)


@dataclasses.dataclass(frozen=True)
class Curve:
    """One run of an optimizer on an optimizee.

    Attributes:
        losses: float32 `[steps]`, entry j (from 0) is the loss after j + 1
            updates; NaN from where the params stopped being numbers.
        chunk_seconds: float64 `[chunks]`, what each compiled call took, the
            first with compilation; `chunk_length` updates each, the last one
            perhaps fewer.
        chunk_length: int, updates per call.
        optimizer: str, its name in tables and legends.
        optimizee: str.
        split: str, the data split; "" for a problem without data.
        seed: int.
        config: the optimizer's class and arguments, JSON.
        config_hash: str, 16 hexadecimal digits of all that the losses depend
            on but the seed (`l2o_tf.evaluation.identity`).
        packages: name to version of what made the numbers.
        runtime: "xla" or "graph".
        device: str, "CPU" or the GPU's name.
        tuning: how a tuned optimizer was chosen (`TuningResult` as JSON), or
            None.
        notice: None, or what a reader must know of the data.
        measured: str, the split that the losses are of, where it is not
            `split`; None where it is.
    """

    losses: np.ndarray
    chunk_seconds: np.ndarray
    chunk_length: int
    optimizer: str
    optimizee: str
    split: str
    seed: int
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    config_hash: str = ""
    packages: Mapping[str, str] = dataclasses.field(default_factory=dict)
    runtime: str = ""
    device: str = ""
    tuning: Mapping[str, Any] | None = None
    notice: str | None = None
    measured: str | None = None

    @property
    def steps(self) -> int:
        """How many updates were made."""
        return len(self.losses)

    @property
    def seconds(self) -> float:
        """How long the run took, compilation included."""
        return float(np.sum(self.chunk_seconds))

    @property
    def diverged(self) -> bool:
        """Whether a loss is not a number, or infinite."""
        return not bool(np.isfinite(self.losses).all())

    @property
    def file_name(self) -> str:
        """Its file, as `curve_file` names it."""
        return curve_file(
            self.optimizer,
            self.optimizee,
            self.split,
            self.seed,
            self.measured,
        )

    @property
    def splits(self) -> str:
        """What the losses are of, as `split_words` says it."""
        return split_words(self.split, self.measured)

    def tail_mean(self) -> float:
        """Return the mean of the last `TAIL` raw losses."""
        return float(np.mean(self.losses[-TAIL:], dtype=np.float64))

    def tail_median(self) -> float:
        """Return the median of the last `LONG_TAIL` raw losses."""
        return float(np.median(self.losses[-LONG_TAIL:].astype(np.float64)))

    def mean(self) -> float:
        """Return the mean of all raw losses."""
        return float(np.mean(self.losses, dtype=np.float64))

    def index_row(self) -> dict[str, Any]:
        """Return the row of `INDEX`; means are of raw losses."""
        values = (
            self.optimizer,
            self.optimizee,
            self.splits,
            self.seed,
            self.steps,
            self.tail_mean(),
            self.tail_median(),
            self.mean(),
            _lowest(self.losses),
            int(np.sum(~np.isfinite(self.losses))),
            round(self.seconds, 3),
            self.config.get("learning_rate", ""),
            self.config_hash,
            self.file_name,
            self.notice or "",
        )
        return dict(zip(INDEX, values, strict=True))


def _lowest(losses: np.ndarray) -> float:
    finite = losses[np.isfinite(losses)]
    return float(finite.min()) if finite.size else math.nan


def split_words(split: str, measured: str | None = None) -> str:
    """Return "test", or "test, optimised on train"; "" without data.

    Args:
        split: that is optimised on.
        measured: that losses are of; None for `split`.
    """
    return split if measured is None else f"{measured}, optimised on {split}"


def curve_file(
    optimizer: str,
    optimizee: str,
    split: str,
    seed: int,
    measured: str | None = None,
) -> str:
    """Return `<optimizer>-<optimizee>-<split>-seed<seed>.npz`.

    With `measured`, another split that the losses are of,
    `<optimizer>-<optimizee>-<split>-measured_<measured>-seed<seed>.npz`.
    """
    parts = [optimizer, optimizee, split or "nodata"]
    if measured is not None:
        parts.append(f"measured_{measured}")
    stem = "-".join("_".join(p.split(os.sep)) for p in parts)
    return f"{stem}-seed{seed}.npz"


def save_curve(folder: str | os.PathLike[str], curve: Curve) -> pathlib.Path:
    """Write a curve to its file in `folder`, atomically; return the path."""
    path = pathlib.Path(folder) / curve.file_name
    metadata = {
        field.name: getattr(curve, field.name)
        for field in dataclasses.fields(curve)
    }
    arrays = {name: metadata.pop(name) for name in ("losses", "chunk_seconds")}
    if curve.measured is None:
        # Such files are the same, byte for byte, as before there were others.
        del metadata["measured"]
    save_arrays(path, arrays, metadata, FORMAT)
    return path


def load_curve(path: str | os.PathLike[str]) -> Curve:
    """Read a curve.

    Raises:
        CheckpointError: if the file is not a readable curve.
        DamagedFileError: if its bytes are not what was written.
    """
    arrays, metadata = load_arrays(path, FORMAT)
    return Curve(
        losses=arrays["losses"],
        chunk_seconds=arrays["chunk_seconds"],
        **metadata,
    )


def load_curves(paths: Sequence[str | os.PathLike[str]]) -> list[Curve]:
    """Read curves from files and from every .npz of folders, in order.

    Raises:
        FileNotFoundError: if a path does not exist, or a folder has no curve.
        CheckpointError: if a file is not a readable curve.
    """
    files: list[pathlib.Path] = []
    for path in map(pathlib.Path, paths):
        found = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if not found or not all(f.exists() for f in found):
            raise FileNotFoundError(
                "There is no loss curve there. Received: "
                f"path={str(path)!r}. Record some with `python -m "
                "l2o_tf.evaluate`."
            )
        files += found
    return [load_curve(file) for file in files]


def write_index(
    folder: str | os.PathLike[str], rows: Iterable[Mapping[str, object]]
) -> pathlib.Path:
    """Write `index.csv` of `Curve.index_row`s, atomically; return the path."""
    text = io.StringIO()
    writer = csv.DictWriter(text, INDEX, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = pathlib.Path(folder) / "index.csv"
    write_text(path, text.getvalue())
    return path
