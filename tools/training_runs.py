"""Finished training runs, as the model cards describe them."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from l2o_tf.learned.weights import load_cell
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.runtime.run_dir import find_run

_NUM_EPISODES = re.compile(r"^Trainer\.num_episodes = (\d+)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """What a run's own files say of it.

    Attributes:
        path: its directory.
        cell: with its best weights.
        facts: what its weights file says of the training.
        episodes: int.
        meta_updates: int.
        chosen_meta_updates: int, made when the best weights were validated.
        longest_horizon: int, inner steps of the longest episode until then.
        seconds: float, of all episodes.
        ended: str.
        operative_config: str.
    """

    path: pathlib.Path
    cell: OptimizerCell
    facts: dict[str, Any]
    episodes: int
    meta_updates: int
    chosen_meta_updates: int
    longest_horizon: int
    seconds: float
    ended: str
    operative_config: str

    @property
    def weights(self) -> pathlib.Path:
        """The file of the best weights."""
        return find_run(self.path).weights

    @property
    def config(self) -> str:
        """The configuration's name."""
        return str(self.facts["config"])

    @property
    def validation(self) -> dict[str, Any]:
        """The row of the validation that the best weights are of."""
        return dict(self.facts["validation"])


def _rows(folder: pathlib.Path, table: str) -> list[dict[str, str]]:
    path = folder / f"{table}.csv"
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _how_it_ended(
    path: pathlib.Path, verdict: str, stage: int, episodes: int, config: str
) -> str:
    if verdict == "stop":
        return f"by itself in stage {stage}"
    found = _NUM_EPISODES.search(config)
    if found and episodes == int(found[1]):
        return f"after its {episodes} episodes"
    raise ValueError(
        "Only finished runs have a model card. Received: "
        f"run_dir={str(path)!r} with {episodes} episodes, whose last "
        f"validation says {verdict!r}. Continue its training."
    )


def read_run(path: pathlib.Path) -> TrainingRun:
    """Read a finished run.

    Raises:
        ValueError: if it is none, or not finished.
    """
    run = find_run(path)
    validations = _rows(run.metrics, "validation")
    if not validations or not run.weights.is_file():
        raise ValueError(
            "Only runs with weights have a model card. Received: "
            f"run_dir={str(path)!r}. Continue its training."
        )
    cell, facts = load_cell(run.weights)
    episodes = _rows(run.metrics, "train") + _rows(run.metrics, "imitation")
    timing = _rows(run.metrics, "timing")
    config = run.operative_config.read_text(encoding="utf-8")
    last, count = validations[-1], max(int(r["episode"]) for r in episodes)
    chosen = facts["validation"]["episode"]
    return TrainingRun(
        path=path,
        cell=cell,
        facts=facts,
        episodes=count,
        meta_updates=max(int(r["meta_updates"]) for r in episodes),
        chosen_meta_updates=max(
            int(r["meta_updates"])
            for r in episodes
            if int(r["episode"]) <= chosen
        ),
        longest_horizon=max(
            int(r["horizon"]) for r in episodes if int(r["episode"]) <= chosen
        ),
        seconds=sum(float(r["seconds"]) for r in timing),
        ended=_how_it_ended(
            path, last["verdict"], int(last["stage"]), count, config
        ),
        operative_config=config,
    )


def named(runs: Sequence[TrainingRun]) -> dict[str, TrainingRun]:
    """Name finished runs by how far they came, never by a test result.

    Of the runs of a configuration the one whose best weights are of the latest
    stage of its curriculum has the configuration's name, among equals the one
    with the lower cost of that validation; the others are called
    `<configuration>_seed<seed>`.

    Raises:
        ValueError: if two runs have one configuration and one seed.
    """
    identities = [(run.config, run.facts["seed"]) for run in runs]
    if len(set(identities)) != len(identities):
        raise ValueError(
            "A run is given once. Received: (configuration, seed) = "
            f"{sorted(identities)}."
        )
    names: dict[str, TrainingRun] = {}
    for run in sorted(
        runs,
        key=lambda run: (
            run.config,
            -run.validation["stage"],
            run.validation["cost"],
        ),
    ):
        taken = run.config in names
        name = f"{run.config}_seed{run.facts['seed']}" if taken else run.config
        names[name] = run
    return names
