"""Figures 4 and A1: where an optimizer ends, by episodes of its training.

A curve named `<run>@<episodes>`, as "dm_100@3000", is of the best weights
among the episodes that end there, of a run trained at one horizon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from l2o_tf.evaluation.curves import TAIL, Curve
from l2o_tf.reporting.looks import Look
from l2o_tf.reporting.panels import add_ln_axis
from l2o_tf.reporting.statistics import endings

_MARK = "@"


def is_exploration(optimizer: str) -> bool:
    """Return whether a name is `<run>@<episodes>`."""
    run, mark, episodes = optimizer.rpartition(_MARK)
    return bool(run and mark and episodes.isdecimal())


def run_name(optimizer: str) -> str:
    """Return the name's part before the episodes."""
    return optimizer.rpartition(_MARK)[0]


def episodes_of(optimizer: str) -> int:
    """Return the episode at which the window of training ends."""
    return int(optimizer.rpartition(_MARK)[2])


def horizon_of(run: str) -> int | None:
    """Return the horizon of a run, 100 of "dm_100"; None of other names."""
    horizon = run.partition("_")[2]
    return int(horizon) if horizon.isdecimal() else None


def _draw_run(axes: Axes, curves: Sequence[Curve], look: Look) -> None:
    """Draw the end values of one run, and their range."""
    episodes = sorted({episodes_of(c.optimizer) for c in curves})
    ends = [
        endings([c for c in curves if episodes_of(c.optimizer) == e])
        for e in episodes
    ]
    middle = np.array([end.mean for end in ends])
    below = [max(e.mean - e.low, 0.0) for e in ends]
    above = [max(e.high - e.mean, 0.0) for e in ends]
    axes.errorbar(
        episodes,
        middle,
        yerr=[below, above],
        color=look.colour,
        linestyle=look.dashes,
        marker=look.marker,
        markersize=5,
        linewidth=1.4,
        elinewidth=0.8,
        capsize=3,
    )
    for episode, end in zip(episodes, ends, strict=True):
        if end.diverged == end.runs:
            axes.plot(
                [episode],
                [1.0],
                color=look.colour,
                marker="x",
                markersize=7,
                markeredgewidth=1.6,
                linestyle="none",
                clip_on=False,
                transform=axes.get_xaxis_transform(),
            )
        elif end.diverged:
            axes.annotate(
                f"{end.diverged} of {end.runs} diverged",
                (episode, end.mean),
                xytext=(4, 6),
                textcoords="offset points",
                fontsize="x-small",
                color=look.colour,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
                zorder=4,
            )


def draw_exploration_panel(
    axes: Axes, curves: Sequence[Curve], looks: Mapping[str, Look]
) -> None:
    """Draw end values by episodes: mean of the finite runs, and their range.

    An "x" at the upper edge says that all runs diverged there.

    Args:
        axes: to draw in.
        curves: of one optimizee and split, their names `<run>@<episodes>`.
        looks: of every run of the picture.

    Raises:
        ValueError: if seeds of one name do not belong together.
    """
    for run in dict.fromkeys(run_name(c.optimizer) for c in curves):
        group = [c for c in curves if run_name(c.optimizer) == run]
        _draw_run(axes, group, looks[run])
    if axes.dataLim.y0 > 0 and np.isfinite(axes.dataLim.y1):
        axes.set_yscale("log")
        add_ln_axis(axes)
    axes.set_xlabel("episodes of training")
    axes.set_ylabel(
        f"loss on {curves[0].splits}, mean of the last {TAIL} updates"
    )
    axes.grid(True, which="major", linewidth=0.3)
