"""Figures 4 and 8 of Metz et al. 2019: what training runs wrote down.

How the variances of the two meta-gradients grow, and which estimator learns
more from as many inner steps. Nothing is computed but what is in the tables.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import gin
import numpy as np

from l2o_tf.core import checks
from l2o_tf.runtime.run_dir import find_run
from l2o_tf.studies.base import Progress, Study

# The last one is read last: each episode has its row there first.
_TABLES: Mapping[str, tuple[str, ...]] = {
    "validation": ("episode", "horizon", "mean_loss"),
    "population": (
        "episode",
        "dropped_pairs",
        "log10_score_variance",
        "log10_pathwise_variance",
    ),
    "train": ("episode", "horizon", "mean_meta_loss", "meta_updates"),
}
_SUMMARY = "summary.json"
_DIGITS = 16


def _columns(text: str, path: pathlib.Path) -> dict[str, np.ndarray]:
    """Read the columns that are drawn of a table, whole rows alone.

    Raises:
        ValueError: if the table is not as training writes it.
    """
    # A run that goes on may be writing its last row.
    whole = text[: text.rfind("\n") + 1]
    names = _TABLES[path.stem]
    try:
        rows = list(csv.DictReader(io.StringIO(whole), strict=True))
        return {
            name: np.array([float(row[name]) for row in rows]) for name in names
        }
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ValueError(
            f"A run's table must have the columns {', '.join(names)}, all "
            f"numbers. Received: path={str(path)!r} ({error!r})."
        ) from error


@gin.register(module="l2o_tf.studies")
class OuterTrainingStudy(Study):
    """Read how the training of an optimizer went, finished or going on.

    Runs are compared at equal inner steps of one pair:

        s_e = sum of the lengths of the windows of episodes 1 .. e

    which each of the pair's two optimizers makes; a population of B pairs makes
    2 B times as many. (Where a window is cut at the end of a pair's own episode
    it is counted whole, for all estimators alike.) Of a run without pairs s_e
    is that of its one optimizer.

    Args:
        label: str, in legends and in the file's name.
        run: a run directory.
        window: int, episodes of the running mean of the training meta-loss that
            is drawn. Defaults to 5.

    Raises:
        ValueError: if `label` cannot be a file's name, `window` is not a
            positive int, or the run has no episode yet.
        RunDirectoryError: if there is no run.

    References:
        Metz et al. 2019, Figures 4 and 8; spec metz.md 5, 10.
    """

    kind = "outer_training"

    def __init__(
        self, label: str, run: str | os.PathLike[str], window: int = 5
    ) -> None:
        super().__init__(f"outer_training_{label}")
        self.label = label
        self.window = checks.positive_int("window", window)
        self.paths = find_run(run)
        # Read once: a run may go on meanwhile.
        self._texts = {
            name: self._read(self.paths.metrics / f"{name}.csv")
            for name in _TABLES
        }
        self._tables = {
            name: _columns(text, self.paths.metrics / f"{name}.csv")
            for name, text in self._texts.items()
            if text
        }
        if "train" not in self._tables or not self._episodes().size:
            raise ValueError(
                "The run has not trained an episode yet. "
                f"Received: run={str(run)!r}."
            )
        summary = self._read(self.paths.path / _SUMMARY)
        facts = json.loads(summary) if summary else {}
        self.notice = facts.get("notice")
        self.configuration = facts.get("config")

    @staticmethod
    def _read(path: pathlib.Path) -> str:
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def _episodes(self) -> np.ndarray:
        return self._tables["train"]["episode"]

    def config(self) -> dict[str, Any]:
        """Return what is drawn, and a hash of each table: they grow.

        "configuration" is the name of the run's gin file, None if unknown.
        """
        return {
            "label": self.label,
            "configuration": self.configuration,
            "window": self.window,
            "tables": {
                name: hashlib.sha256(text.encode("utf-8")).hexdigest()[:_DIGITS]
                for name, text in self._texts.items()
            },
        }

    def _at(self, values: np.ndarray, episodes: np.ndarray) -> np.ndarray:
        """Return a running total of the episodes, after some of them."""
        own = np.concatenate([[0.0], self._episodes()])
        places = np.searchsorted(own, episodes, side="right") - 1
        return np.concatenate([[0.0], values])[places]

    def run(self, progress: Progress) -> dict[str, np.ndarray] | None:
        """Put the tables beside each other.

        Returns:
            inner_steps, meta_updates and meta_losses `[E]`, after each episode,
            and of it; validation_steps and validation_losses `[V]`, the inner
            steps before each validation and its mean last loss, and
            validation_horizon, the updates of its runs (the longest); of a
            population, else empty: variance_updates, score_variances and
            pathwise_variances `[P]`, the meta-updates after an episode and the
            mean of log10 over it, NaN where not asked for, and dropped_pairs
            `[P]`. None if `progress` said to stop.
        """
        if not progress():
            return None
        train = self._tables["train"]
        steps = np.cumsum(train["horizon"])
        nothing = {
            name: np.zeros(0) for names in _TABLES.values() for name in names
        }
        population = self._tables.get("population", nothing)
        validation = self._tables.get("validation", nothing)
        return {
            "inner_steps": steps,
            "meta_updates": train["meta_updates"],
            "meta_losses": train["mean_meta_loss"],
            "validation_steps": self._at(steps, validation["episode"]),
            "validation_losses": validation["mean_loss"],
            "validation_horizon": np.max(validation["horizon"], initial=0.0),
            "variance_updates": self._at(
                train["meta_updates"], population["episode"]
            ),
            "score_variances": population["log10_score_variance"],
            "pathwise_variances": population["log10_pathwise_variance"],
            "dropped_pairs": population["dropped_pairs"],
        }


@gin.register(module="l2o_tf.studies")
def outer_training_studies(
    runs: Mapping[str, str], window: int = 5
) -> Sequence[OuterTrainingStudy]:
    """Return an `OuterTrainingStudy` for each run, to be drawn together.

    Args:
        runs: label to run directory.
        window: see `OuterTrainingStudy`.

    Raises:
        ValueError: if `runs` is no mapping or empty, or as
            `OuterTrainingStudy`.
        RunDirectoryError: if a run is not there.
    """
    if not isinstance(runs, Mapping) or not runs:
        raise ValueError(
            "`runs` must map at least one label to a run directory. "
            f"Received: runs={runs!r}."
        )
    return [
        OuterTrainingStudy(label, run, window) for label, run in runs.items()
    ]
