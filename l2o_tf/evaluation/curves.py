"""Loss curves in files: one per optimizer, optimizee and seed."""

from __future__ import annotations

import csv
import io
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from l2o_tf.runtime.arrays import Format, load_arrays, save_arrays
from l2o_tf.runtime.atomic import write_text

FORMAT = Format("l2o_tf.curve", 1)
TAIL = 100
SUMMARY = (
    "optimizer",
    "optimizee",
    "split",
    "seed",
    "steps",
    f"mean_of_last_{TAIL}",
    "mean_of_all",
    "lowest",
    "not_finite",
    "seconds",
    "notice",
)


class Curve(NamedTuple):
    """One run of an optimizer on an optimizee.

    Attributes:
        losses: float32 `[steps]`, entry j (from 0) is the loss after j + 1
            updates.
        optimizer: str, its name in tables and legends.
        optimizee: str.
        split: str, the data split; "" for a problem without data.
        seed: int.
        seconds: float, of the run alone, compilation included.
        notice: None, or what a reader must know of the data.
    """

    losses: np.ndarray
    optimizer: str
    optimizee: str
    split: str
    seed: int
    seconds: float
    notice: str | None = None

    def file_name(self) -> str:
        """Return `<optimizer>-<optimizee>-<split>-seed<seed>.npz`."""
        parts = [self.optimizer, self.optimizee, self.split or "nodata"]
        stem = "-".join("_".join(p.split(os.sep)) for p in parts)
        return f"{stem}-seed{self.seed}.npz"

    def tail_mean(self) -> float:
        """Return the mean of the last `TAIL` raw losses."""
        return float(np.mean(self.losses[-TAIL:], dtype=np.float64))

    def summary(self) -> tuple[object, ...]:
        """Return the row of `SUMMARY`; means are of raw losses."""
        return (
            self.optimizer,
            self.optimizee,
            self.split,
            self.seed,
            len(self.losses),
            self.tail_mean(),
            float(np.mean(self.losses, dtype=np.float64)),
            float(np.min(self.losses)),
            int(np.sum(~np.isfinite(self.losses))),
            round(self.seconds, 3),
            self.notice or "",
        )


def save_curve(folder: str | os.PathLike[str], curve: Curve) -> pathlib.Path:
    """Write a curve to its file in `folder`, atomically; return the path."""
    path = pathlib.Path(folder) / curve.file_name()
    metadata = curve._asdict()
    losses = metadata.pop("losses")
    save_arrays(path, {"losses": losses}, metadata, FORMAT)
    return path


def load_curve(path: str | os.PathLike[str]) -> Curve:
    """Read a curve.

    Raises:
        CheckpointError: if the file is not a readable curve.
    """
    arrays, metadata = load_arrays(path, FORMAT)
    return Curve(losses=arrays["losses"], **metadata)


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


def write_summary(
    folder: str | os.PathLike[str], curves: Sequence[Curve]
) -> pathlib.Path:
    """Write `summary.csv`, one row per curve, atomically; return the path."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SUMMARY)
    writer.writerows(curve.summary() for curve in curves)
    path = pathlib.Path(folder) / "summary.csv"
    write_text(path, text.getvalue())
    return path
