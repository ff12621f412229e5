"""The figures of Chen et al. 2020, from whatever curves there are.

A line that a figure has and the folder has not is named under the picture.
What the paper published of a line is a hollow mark at 10,000 updates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from l2o_tf.evaluation.curves import Curve
from l2o_tf.reporting import paper
from l2o_tf.reporting.exploration import (
    draw_exploration_panel,
    is_exploration,
    run_name,
)
from l2o_tf.reporting.figures import (
    DEFAULT,
    count_words,
    drawing_words,
    notices_of,
    panels_of,
)
from l2o_tf.reporting.looks import Look, looks
from l2o_tf.reporting.panels import Drawing, draw_panel
from l2o_tf.reporting.paper import PaperFigure
from l2o_tf.reporting.sheet import Words, make_sheet, sample

PUBLISHED = "published end value (ten runs, read off the picture)"
EXPLORED = "mean and range of seeds; x: all diverged"
_SECONDS = "A3"
_SPLIT = "test"  # the published runs'


def figure_curves(figure: PaperFigure, curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves that a figure shows, in the order of its legend."""
    if not figure.optimizers:
        return [
            c
            for c in curves
            if is_exploration(c.optimizer) and c.optimizee in figure.optimizees
        ]
    return [
        curve
        for optimizee in figure.optimizees
        for optimizer in figure.optimizers
        for curve in curves
        if (curve.optimizer, curve.optimizee) == (optimizer, optimizee)
    ]


def missing_words(
    figure: PaperFigure, found: Sequence[tuple[str, str]]
) -> list[str]:
    """Name what a figure has and `found` has not.

    Args:
        figure: one of the paper's.
        found: `(optimizer, optimizee)` that are drawn.

    Returns:
        "<optimizer>", "<optimizer> on <optimizees>" and "everything on
        <optimizees>", in the paper's words; of a figure without optimizers
        the optimizees.
    """
    word = paper.OPTIMIZEES
    if not figure.optimizers:
        there = {optimizee for _, optimizee in found}
        return [word[o] for o in figure.optimizees if o not in there]
    panels = [
        o for o in figure.optimizees if any(pair[1] == o for pair in found)
    ]
    missing = []
    for optimizer in figure.optimizers:
        absent = [word[o] for o in panels if (optimizer, o) not in found]
        name = paper.OPTIMIZERS[optimizer]
        if len(absent) == len(panels):
            missing.append(name)
        elif absent:
            missing.append(f"{name} on {', '.join(absent)}")
    empty = [word[o] for o in figure.optimizees if o not in panels]
    return missing + ([f"everything on {', '.join(empty)}"] if empty else [])


def _one(values: Sequence[int], unit: str) -> str:
    """Return "3 seeds", or "3 to 10 seeds"."""
    low, high = min(values), max(values)
    number = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{number} {unit if high == 1 else unit + 's'}"


def measured_words(
    curves: Sequence[Curve], words: Mapping[str, str] = paper.OPTIMIZEES
) -> str:
    """Say what was measured: optimizees, split, updates, seeds.

    Args:
        curves: what is shown, at least one.
        words: for the optimizees.
    """
    names = dict.fromkeys(words.get(c.optimizee, c.optimizee) for c in curves)
    splits = dict.fromkeys(c.splits or "no data" for c in curves)
    groups: dict[tuple[str, str, str], int] = {}
    for c in curves:
        key = c.optimizer, c.optimizee, c.splits
        groups[key] = groups.get(key, 0) + 1
    return "; ".join(
        [
            ", ".join(names),
            f"split: {', '.join(splits)}",
            _one([c.steps for c in curves], "update"),
            _one(list(groups.values()), "seed"),
        ]
    )


def _is_marked(curve: Curve) -> bool:
    """Return whether the paper published where such a curve ends."""
    pair = curve.optimizer, curve.optimizee
    return curve.splits == _SPLIT and pair in paper.PUBLISHED


def _draw_published(
    axes: Axes,
    curves: Sequence[Curve],
    appearance: Mapping[str, Look],
    drawing: Drawing,
) -> None:
    """Mark published end values of what is drawn."""
    drawn = dict.fromkeys(
        (c.optimizer, c.optimizee) for c in curves if _is_marked(c)
    )
    for optimizer, optimizee in drawn:
        look = appearance[optimizer]
        axes.plot(
            [paper.STEPS * drawing.unit(optimizer, optimizee)],
            [np.exp(paper.PUBLISHED[optimizer, optimizee])],
            color=look.colour,
            marker=look.marker,
            markersize=9,
            markerfacecolor="none",
            markeredgewidth=1.4,
            linestyle="none",
            clip_on=False,
            zorder=5,
            gid="published",
        )


def _published_sample() -> Line2D:
    return Line2D(
        [],
        [],
        color="dimgray",
        marker="o",
        markersize=9,
        markerfacecolor="none",
        markeredgewidth=1.4,
        linestyle="none",
        label=PUBLISHED,
        gid="published",
    )


def _samples(
    curves: Sequence[Curve], appearance: Mapping[str, Look]
) -> list[Line2D]:
    samples = []
    for name, look in appearance.items():
        of_name = [
            c for c in curves if name in (c.optimizer, run_name(c.optimizer))
        ]
        if not is_exploration(of_name[0].optimizer):
            words = count_words(of_name)
            label = f"{paper.OPTIMIZERS[name]} ({words})"
        else:
            seeds = len({c.seed for c in of_name})
            label = f"{name} ({_one([seeds], 'seed')})"
        samples.append(sample(label, look))
    return samples


def draw_paper_figure(
    figure: PaperFigure, curves: Sequence[Curve], drawing: Drawing = DEFAULT
) -> Figure | None:
    """Draw what there is of one of the paper's figures.

    Figure A3 is drawn against seconds, where they were measured. Figures 4
    and A1 are drawn from curves named `<run>@<episodes>`.

    Args:
        figure: of `paper.FIGURES`.
        curves: of anything; the figure's are chosen.
        drawing: how to draw them.

    Returns:
        The picture, or None if there is no curve of it.

    Raises:
        ValueError: as `l2o_tf.reporting.figures.draw`.
    """
    if figure.number == _SECONDS:
        drawing = dataclasses.replace(drawing, against="seconds")
    exploring = not figure.optimizers
    chosen = figure_curves(figure, curves)
    if drawing.against == "seconds" and not exploring:
        chosen = [
            c for c in chosen if (c.optimizer, c.optimizee) in drawing.seconds
        ]
    if not chosen:
        return None
    appearance = looks(
        run_name(c.optimizer) if exploring else c.optimizer for c in chosen
    )
    samples = _samples(chosen, appearance)
    if not exploring and any(map(_is_marked, chosen)):
        samples.append(_published_sample())
    missing = missing_words(
        figure, [(c.optimizer, c.optimizee) for c in chosen]
    )
    words = Words(
        title=f"Figure {figure.number}: {figure.title}",
        measured=f"{measured_words(chosen)}; "
        + (EXPLORED if exploring else drawing_words(drawing)),
        notices=notices_of(chosen),
        notes=[f"not measured: {'; '.join(missing)}"] if missing else [],
    )
    panels = panels_of(chosen)
    picture, axes = make_sheet(len(panels), samples, words)
    for panel, (optimizee, split) in zip(axes, panels, strict=True):
        here = [
            c for c in chosen if (c.optimizee, c.splits) == (optimizee, split)
        ]
        if exploring:
            draw_exploration_panel(panel, here, appearance)
        else:
            # First, so that the axes' limits have them.
            _draw_published(panel, here, appearance, drawing)
            draw_panel(panel, here, appearance, drawing)
        panel.set_title(paper.OPTIMIZEES[optimizee])
    return picture
