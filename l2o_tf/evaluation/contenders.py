"""What a sweep compares: an optimizer and the name of its results."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence

import gin

from l2o_tf.core import checks
from l2o_tf.learned.weights import load_cell
from l2o_tf.optimizers.base import OptimizerCell


def check_name(name: str) -> str:
    """Return a name of results if it can be part of a file's name.

    Raises:
        ValueError: if it is not a str, is empty or has a path separator.
    """
    if not isinstance(name, str) or not name or {"/", "\\"} & set(name):
        raise ValueError(
            "The `name` of results becomes part of a file's name: a str that "
            f"is not empty and has no path separator. Received: name={name!r}."
        )
    return name


@gin.register(module="l2o_tf.evaluation")
class Fixed:
    """An optimizer that is compared as it is.

    Args:
        name: str, of its results, as "dm_cl_il".
        cell: the `OptimizerCell`, learned or hand-designed.

    Raises:
        ValueError: if the name cannot be a file's, or `cell` is something
            else.
    """

    def __init__(self, name: str, cell: OptimizerCell) -> None:
        self.name = check_name(name)
        self.cell = checks.instance("cell", cell, OptimizerCell)


_WINDOW = re.compile(r"episodes_(\d+)\.npz")


@gin.register(module="l2o_tf.evaluation")
def window_bests(runs: Sequence[str]) -> list[Fixed]:
    """Load the best weights of every window of episodes of training runs.

    Args:
        runs: run directories whose training kept them (`Trainer.best_window`,
            as gin/dm_exploration.gin does).

    Returns:
        `<directory's name>@<last episode of the window>` each, in order.

    Raises:
        ValueError: if there is no run, or one has no such weights.
        CheckpointError: if a file is not readable.

    References:
        Chen et al. 2020, Figure 4; spec dm_rnnprop.md 10, row 31.
    """
    found = []
    for run in map(pathlib.Path, runs):
        ends = {
            int(match[1]): path
            for path in run.glob("best/episodes_*.npz")
            if (match := _WINDOW.fullmatch(path.name))
        }
        if not ends:
            raise ValueError(
                "The run kept no best weights of windows of episodes. "
                f"Received: runs with {str(run)!r}. Train it with "
                "Trainer.best_window, as gin/dm_exploration.gin does."
            )
        found += [
            Fixed(f"{run.resolve().name}@{end}", load_cell(ends[end])[0])
            for end in sorted(ends)
        ]
    if not found:
        raise ValueError("Name at least one run. Received: runs=().")
    return found
