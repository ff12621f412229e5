"""How the line of an optimizer looks: the same in every picture, also in grey.

Lines differ in colour, in dashes and in markers, so that a reader without
colours tells them apart, and thirteen of them fit one panel.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import matplotlib

from l2o_tf.reporting import paper, simple_paper

_COLOURS: Sequence[Any] = (
    *matplotlib.color_sequences["petroff10"],
    "#d6458e",
    "#00695c",
    "black",
    "#8a6d00",
    "#1a237e",
)
_DASHES: Sequence[Any] = (
    "-",
    (0, (6, 2)),
    (0, (6, 2, 1, 2)),
    (0, (2, 1)),
    (0, (10, 2)),
    (0, (4, 1, 1, 1, 1, 1)),
    (0, (1, 1)),
)
# Stands beside none of the other papers' learned optimizers.
_OF_METZ = "metz"
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d")


class Look(NamedTuple):
    """How one line is drawn.

    Attributes:
        colour: of the line, its band and its marks.
        dashes: matplotlib's line style.
        marker: matplotlib's marker.
    """

    colour: Any
    dashes: Any
    marker: str


def _look(index: int) -> Look:
    return Look(
        _COLOURS[index % len(_COLOURS)],
        _DASHES[index % len(_DASHES)],
        _MARKERS[index % len(_MARKERS)],
    )


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return a look for each name.

    An optimizer of a paper looks the same whatever stands beside it; others
    take, in order, what the papers' leave over.
    """
    known = dict.fromkeys([*paper.OPTIMIZERS, *simple_paper.OPTIMIZERS])
    fixed = {name: _look(i) for i, name in enumerate(known)}
    fixed[_OF_METZ] = _look(0)
    free = itertools.count(len(known))
    return {
        name: fixed[name] if name in fixed else _look(next(free))
        for name in dict.fromkeys(names)
    }
