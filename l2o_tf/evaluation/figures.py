"""Loss curves as a picture: one panel per optimizee, one line per optimizer."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from l2o_tf.evaluation.curves import Curve
from l2o_tf.evaluation.statistics import Spread, spread
from l2o_tf.runtime.atomic import make_folder

# Lines differ in style as well as in colour: readable in grey.
_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))
_COLOURS = matplotlib.color_sequences["petroff10"]


def _label(optimizer: str, runs: Spread) -> str:
    seeds = "seed" if runs.runs == 1 else "seeds"
    label = f"{optimizer} ({runs.runs} {seeds}"
    if runs.diverged:
        label += f", {runs.diverged} diverged"
    return label + ")"


def _panel(axes: Axes, curves: Sequence[Curve], window: int) -> None:
    optimizers = list(dict.fromkeys(curve.optimizer for curve in curves))
    for i, optimizer in enumerate(optimizers):
        runs = spread([c for c in curves if c.optimizer == optimizer], window)
        colour = _COLOURS[i % len(_COLOURS)]
        axes.plot(
            runs.steps,
            runs.mean,
            color=colour,
            linestyle=_STYLES[i % len(_STYLES)],
            linewidth=1.5,
            label=_label(optimizer, runs),
        )
        axes.fill_between(
            runs.steps, runs.low, runs.high, color=colour, alpha=0.2, lw=0
        )
    axes.set_yscale("log")
    axes.set_xlabel("update")
    smoothed = f", running mean over {window} updates" if window > 1 else ""
    split = curves[0].split
    axes.set_ylabel(f"loss on {split or 'the problem'}{smoothed}")
    axes.grid(True, which="major", linewidth=0.3)
    axes.legend(fontsize="small")


def draw(curves: Sequence[Curve], window: int = 100) -> Figure:
    """Draw curves: mean over seeds as a line, lowest to highest as a band.

    The mean is of raw losses, shown on a logarithmic axis.

    Args:
        curves: of any optimizers, optimizees and seeds.
        window: int, updates of the running mean, stated on the axis; 1 for
            none.

    Returns:
        The figure; a data set's notice is part of its title.

    Raises:
        ValueError: if there is no curve, or seeds of one optimizer and
            optimizee differ in length or split.
    """
    if not curves:
        raise ValueError("There is nothing to draw. Received: curves=[].")
    optimizees = list(dict.fromkeys((c.optimizee, c.split) for c in curves))
    figure = Figure(figsize=(6.4 * len(optimizees), 4.8), layout="constrained")
    panels = figure.subplots(1, len(optimizees), squeeze=False)[0]
    for axes, (optimizee, split) in zip(panels, optimizees, strict=True):
        chosen = [
            c for c in curves if (c.optimizee, c.split) == (optimizee, split)
        ]
        _panel(axes, chosen, window)
        axes.set_title(optimizee)
    notices = dict.fromkeys(c.notice for c in curves if c.notice)
    if notices:
        figure.suptitle("\n".join(notices), color="firebrick", fontsize="small")
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> pathlib.Path:
    """Write a figure in the format of the path's ending; return the path.

    Raises:
        ValueError: if matplotlib has no such format.
        OSError: if the file cannot be written.
    """
    path = pathlib.Path(path)
    make_folder(path.parent)
    figure.savefig(path, dpi=150)
    return path
