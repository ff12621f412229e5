"""What the pictures of studies share: looks, words, lines, labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from l2o_tf.reporting.looks import Look
from l2o_tf.reporting.sheet import Words
from l2o_tf.studies.store import Finding

_COLOURS: Sequence[Any] = matplotlib.color_sequences["petroff10"]
_DASHES: Sequence[Any] = ("-", (0, (6, 2)), (0, (6, 2, 1, 2)), (0, (2, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def plain_looks(names: Sequence[str]) -> dict[str, Look]:
    """Return a look for each name; windows and steps are no optimizers."""
    return {
        name: Look(
            _COLOURS[i % len(_COLOURS)],
            _DASHES[i % len(_DASHES)],
            _MARKERS[i % len(_MARKERS)],
        )
        for i, name in enumerate(names)
    }


def words_of(findings: Sequence[Finding], title: str, notes: str = "") -> Words:
    """Return what is written around a picture, the data's notices among it."""
    notices = dict.fromkeys(f.notice for f in findings if f.notice)
    return Words(title, "", list(notices), [notes] if notes else [])


def draw_line(
    axes: Axes, x: Any, y: Any, look: Look, width: float = 1.4
) -> None:
    """Draw a line without markers."""
    axes.plot(x, y, color=look.colour, linestyle=look.dashes, linewidth=width)


def label_axes(axes: Axes, title: str, x: str, y: str) -> None:
    """Write a panel's title and labels, and draw its grid."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True, which="major", linewidth=0.3)
