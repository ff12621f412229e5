"""The figures of SimpleOptimizer's paper, from whatever curves there are.

A line that a figure has and the folder has not is named under the picture.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from matplotlib.figure import Figure

from l2o_tf.evaluation.curves import Curve
from l2o_tf.reporting import simple_paper
from l2o_tf.reporting.figures import (
    DEFAULT,
    count_words,
    drawing_words,
    notices_of,
)
from l2o_tf.reporting.looks import looks
from l2o_tf.reporting.panels import Drawing, draw_panel
from l2o_tf.reporting.paper_figures import measured_words
from l2o_tf.reporting.sheet import Words, make_sheet, sample
from l2o_tf.reporting.simple_paper import OPTIMIZEES, OPTIMIZERS

# Of a short panel: a mean over more would hide how it begins.
_SMOOTHED = 10


def _drawing(panel: simple_paper.Panel, drawing: Drawing) -> Drawing:
    """Return how a panel is drawn: smoothed by a tenth of it at most."""
    if panel.updates is None:
        return drawing
    window = min(drawing.window, max(1, panel.updates // _SMOOTHED))
    return dataclasses.replace(drawing, window=window)


def _measured(
    panel: simple_paper.Panel, curves: Sequence[Curve], drawing: Drawing
) -> list[Curve]:
    """Return the curves of a panel; against seconds those with a time."""
    found = simple_paper.panel_curves(panel, curves)
    if drawing.against == "updates":
        return found
    return [c for c in found if (c.optimizer, c.optimizee) in drawing.seconds]


def missing_words(
    figure: simple_paper.Figure, found: Sequence[tuple[str, str]]
) -> list[str]:
    """Name what a figure has and `found` has not.

    Args:
        figure: one of the paper's.
        found: `(optimizer, optimizee)` that are drawn.

    Returns:
        "<optimizee> (<optimizers>)" of each optimizee where some are missing.
    """
    asked: dict[str, list[str]] = {}
    for panel in dict.fromkeys(p._replace(updates=None) for p in figure.panels):
        asked[panel.optimizee] = [
            OPTIMIZERS[optimizer]
            for optimizer in panel.optimizers
            if (optimizer, panel.optimizee) not in found
        ]
    return [
        f"{OPTIMIZEES[optimizee]} ({'; '.join(names)})"
        for optimizee, names in asked.items()
        if names
    ]


def draw_simple_figure(
    figure: simple_paper.Figure,
    curves: Sequence[Curve],
    drawing: Drawing = DEFAULT,
) -> Figure | None:
    """Draw what there is of one of the paper's figures.

    A panel of the first updates is smoothed by at most a tenth of them.

    Args:
        figure: of `simple_paper.FIGURES`.
        curves: of anything; the figure's, on the train split, are chosen.
        drawing: how to draw them.

    Returns:
        The picture, or None if there is no curve of it.

    Raises:
        ValueError: as `l2o_tf.reporting.figures.draw`.
    """
    panels = [
        (panel, found)
        for panel in figure.panels
        if (found := _measured(panel, curves, drawing))
    ]
    if not panels:
        return None
    # A run that two panels show is one run; the longer panel comes last.
    longest = {panel.optimizee: found for panel, found in panels}
    chosen = [curve for found in longest.values() for curve in found]
    appearance = looks(c.optimizer for c in chosen)
    samples = []
    for name, look in appearance.items():
        count = count_words([c for c in chosen if c.optimizer == name])
        samples.append(sample(f"{OPTIMIZERS[name]} ({count})", look))
    missing = missing_words(
        figure, [(c.optimizer, c.optimizee) for c in chosen]
    )
    number = f"Figure {figure.number} of SimpleOptimizer's paper: "
    words = Words(
        title=figure.title if figure.ours else f"{number}{figure.title}",
        measured=f"{measured_words(chosen, OPTIMIZEES)}; "
        f"{drawing_words(drawing)}",
        notices=notices_of(chosen),
        notes=[f"not measured: {'; '.join(missing)}"] if missing else [],
    )
    picture, axes = make_sheet(len(panels), samples, words)
    for place, (panel, found) in zip(axes, panels, strict=True):
        draw_panel(place, found, appearance, _drawing(panel, drawing))
        place.set_title(simple_paper.panel_title(panel))
    return picture
