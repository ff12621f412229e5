"""A sheet of panels: title, notices, at most three in a row, legend, notes.

What stands above and below the panels has a fixed height per line, so that
nothing depends on how a backend measures text, and nothing overlaps.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from l2o_tf.reporting.looks import Look

COLUMNS = 3
# Inches: a panel, a panel alone, a line of text.
_WIDTH, _HEIGHT, _ALONE = 4.6, 3.5, 7.0
_LINE, _MARGIN = 0.19, 0.1
# Inches of the legend: a letter, what stands beside a label.
_LETTER, _SAMPLE = 0.068, 0.85


class Words(NamedTuple):
    """What is written around the panels.

    Attributes:
        title: str, "" for none.
        measured: str, what the curves are of; "" for none.
        notices: what a reader must know of the data, in red.
        notes: small print at the bottom.
    """

    title: str = ""
    measured: str = ""
    notices: Sequence[str] = ()
    notes: Sequence[str] = ()


class _Line(NamedTuple):
    text: str
    size: float
    colour: str


def sample(label: str, look: Look) -> Line2D:
    """Return a legend's line."""
    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle=look.dashes,
        linewidth=1.4,
        marker=look.marker,
        markersize=4,
        label=label,
    )


def _lines(
    texts: Iterable[str], width: float, size: float, colour: str
) -> list[_Line]:
    """Break texts into lines that fit `width` inches."""
    # Capitals are wider than the mean letter.
    letters = int(0.95 * width / (_LETTER * size / 8.5))
    return [
        _Line(line, size, colour)
        for text in texts
        for line in textwrap.wrap(text, letters)
    ]


def _legend_columns(samples: Sequence[Line2D], width: float) -> int:
    """Return how many columns fit `width` inches."""
    longest = max(len(str(s.get_label())) for s in samples)
    fitting = int(width / (longest * _LETTER + _SAMPLE))
    return min(max(1, fitting), len(samples))


def _write(figure: Figure, lines: Sequence[_Line], top: float) -> None:
    """Write lines, centred, from `top` inches above the bottom downwards."""
    height = figure.get_figheight()
    for i, line in enumerate(lines):
        figure.text(
            0.5,
            (top - (i + 0.5) * _LINE) / height,
            line.text,
            fontsize=line.size,
            color=line.colour,
            ha="center",
            va="center",
        )


def make_sheet(
    panels: int, samples: Sequence[Line2D], words: Words
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its empty panels, in reading order.

    Args:
        panels: int, at least one.
        samples: the legend's lines, at least one.
        words: what is written around the panels.
    """
    # Four stand better two by two than three and one.
    columns = 2 if panels == 4 else min(panels, COLUMNS)
    rows = -(-panels // columns)
    width = _ALONE if columns == 1 else _WIDTH * columns
    head = [
        *_lines([words.title], width, 11.0, "black"),
        *_lines([words.measured], width, 8.5, "black"),
        *_lines(words.notices, width, 8.5, "firebrick"),
    ]
    foot = _lines(words.notes, width, 8.0, "dimgray")
    legend_columns = _legend_columns(samples, width)
    legend = _LINE * -(-len(samples) // legend_columns) + _MARGIN
    above = _LINE * len(head) + _MARGIN
    below = _LINE * len(foot) + legend + _MARGIN
    height = _HEIGHT * rows + above + below
    inside = (0.0, below / height, 1.0, 1.0 - (above + below) / height)
    figure = Figure(
        figsize=(width, height),
        layout=ConstrainedLayoutEngine(rect=inside, w_pad=0.06, h_pad=0.06),
    )
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in grid[panels:]:
        unused.remove()
    _write(figure, head, height - _MARGIN / 2)
    _write(figure, foot, _LINE * len(foot) + _MARGIN / 2)
    figure.legend(
        handles=samples,
        loc="upper center",
        bbox_to_anchor=(0.5, below / height),
        ncols=legend_columns,
        fontsize="small",
        frameon=False,
        borderaxespad=0.0,
        handlelength=3.2,
    )
    return figure, list(grid[:panels])
