"""All pictures of a folder of results: its curves, and the papers' figures."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure

from l2o_tf.evaluation.curves import Curve
from l2o_tf.reporting import paper, simple_paper
from l2o_tf.reporting.exploration import is_exploration
from l2o_tf.reporting.figures import DEFAULT, draw, save_figure
from l2o_tf.reporting.metz_figures import METZ_FIGURES
from l2o_tf.reporting.panels import Drawing
from l2o_tf.reporting.paper_figures import draw_paper_figure
from l2o_tf.reporting.simple_figures import draw_simple_figure

CURVES = "curves"
# Pixels per inch beside a text, whose pictures are kept under version control.
_BESIDE_TEXT = 100


def draw_curves(curves: Sequence[Curve], drawing: Drawing = DEFAULT) -> Figure:
    """Draw all curves.

    Those named `<run>@<episodes>` are left to Figures 4 and A1, unless there
    are no others.

    Raises:
        ValueError: as `l2o_tf.reporting.figures.draw`.
    """
    others = [c for c in curves if not is_exploration(c.optimizer)]
    return draw(others or curves, drawing)


_Drawer = Callable[[Sequence[Curve], Drawing], Figure | None]


def _drawers(figures: Sequence[paper.PaperFigure]) -> dict[str, _Drawer]:
    """Return what draws each figure, by its name."""
    found: dict[str, _Drawer] = {
        figure.number: functools.partial(draw_paper_figure, figure)
        for figure in figures
    }
    for figure in simple_paper.FIGURES:
        found[figure.name] = functools.partial(draw_simple_figure, figure)
    return {**found, **METZ_FIGURES}


def draw_all(
    curves: Sequence[Curve],
    drawing: Drawing = DEFAULT,
    numbers: Sequence[str] | None = None,
    figures: Sequence[paper.PaperFigure] = paper.FIGURES,
) -> dict[str, Figure]:
    """Draw all curves, and the papers' figures of which there are some.

    Args:
        curves: all there are.
        drawing: how to draw them.
        numbers: of the papers' figures, as "7" of Chen et al., "simple_2" of
            SimpleOptimizer's paper and "metz_6" of Metz et al.; None for all
            of them.
        figures: Chen et al.'s, with the panels to draw.

    Returns:
        `CURVES` and the figures' numbers, to the picture.

    Raises:
        ValueError: if a number is of no figure, or as
            `l2o_tf.reporting.figures.draw`.
    """
    known, drawers = _drawers(paper.FIGURES), _drawers(figures)
    wanted = list(known) if numbers is None else list(numbers)
    unknown = [number for number in wanted if number not in known]
    if unknown:
        raise ValueError(
            f"The papers' figures here are {', '.join(known)}. "
            f"Received: figures={unknown}."
        )
    drawn = {CURVES: draw_curves(curves, drawing)}
    for number in wanted:
        if number not in drawers:
            continue  # none of its panels is asked for
        picture = drawers[number](curves, drawing)
        if picture is not None:
            drawn[number] = picture
    return drawn


def save_all(
    folder: str | os.PathLike[str], figures: Mapping[str, Figure]
) -> dict[str, pathlib.Path]:
    """Write every figure as .png and .svg.

    Args:
        folder: where curves.* and figures/figure_<number>.* go.
        figures: of `draw_all`.

    Returns:
        Each figure's name to its .png.

    Raises:
        OSError: if a file cannot be written.
    """
    paths = {}
    for name, figure in figures.items():
        stem = name if name == CURVES else f"figures/figure_{name}"
        for ending in (".svg", ".png"):
            paths[name] = save_figure(
                figure, pathlib.Path(folder) / f"{stem}{ending}"
            )
    return paths


def picture_folder(path: str | os.PathLike[str]) -> pathlib.Path:
    """Return where a text's pictures are: reproduction/ of REPRODUCTION.md."""
    path = pathlib.Path(path)
    return path.parent / path.stem.lower()


def save_beside_text(
    path: str | os.PathLike[str], figures: Mapping[str, Figure]
) -> dict[str, str]:
    """Write the papers' figures to the folder of a text's pictures.

    Args:
        path: of the text.
        figures: of `draw_all`; the picture of all curves is left out.

    Returns:
        The figures' numbers to paths relative to the text.

    Raises:
        OSError: if a file cannot be written.
    """
    folder = picture_folder(path)
    pictures = {}
    for number, figure in figures.items():
        if number != CURVES:
            name = f"figure_{number}.png"
            save_figure(figure, folder / name, _BESIDE_TEXT)
            pictures[number] = f"{folder.name}/{name}"
    return pictures
