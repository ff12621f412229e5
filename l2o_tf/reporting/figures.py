"""Loss curves as a picture: one panel per optimizee, one line per optimizer."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from l2o_tf.evaluation.curves import Curve
from l2o_tf.reporting.looks import looks
from l2o_tf.reporting.panels import Drawing, draw_panel
from l2o_tf.reporting.sheet import Words, make_sheet, sample
from l2o_tf.runtime.atomic import make_folder, write_bytes

DEFAULT = Drawing()
DPI = 150
# What would make a file differ from one writing to the next.
_DATES: Mapping[str, Mapping[str, None]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}


def panels_of(curves: Sequence[Curve]) -> list[tuple[str, str]]:
    """Return the optimizees with their splits, as they first come."""
    return list(dict.fromkeys((c.optimizee, c.splits) for c in curves))


def count_words(curves: Sequence[Curve]) -> str:
    """Say how many seeds the curves of one optimizer have, who diverged."""
    numbers = [
        sum((c.optimizee, c.splits) == panel for c in curves)
        for panel in panels_of(curves)
    ]
    low, high = min(numbers), max(numbers)
    words = "1 seed" if high == 1 else f"{high} seeds"
    if low != high:
        words = f"{low} to {high} seeds"
    diverged = sum(curve.diverged for curve in curves)
    if diverged and len(numbers) > 1:
        words += f", {diverged} of {len(curves)} runs diverged"
    elif diverged:
        words += f", {diverged} diverged"
    return words


def notices_of(curves: Sequence[Curve]) -> list[str]:
    """Return what a reader must know of the data, each once."""
    return list(dict.fromkeys(c.notice for c in curves if c.notice))


def drawing_words(drawing: Drawing) -> str:
    """Say what lines and bands are."""
    band = {
        "minmax": "band: lowest to highest",
        "quartiles": "band: the middle half",
        "std": "band: one standard deviation "
        + ("of ln losses " if drawing.log_mean else "")
        + "to either side",
        "none": "",
    }[drawing.band]
    line = f"line: {drawing.statistic} of the seeds"
    if drawing.log_mean:
        line += "' ln losses"
    return f"{line}; {band}" if band else line


def draw(
    curves: Sequence[Curve],
    drawing: Drawing = DEFAULT,
    title: str = "",
    words: Mapping[str, str] = MappingProxyType({}),
) -> Figure:
    """Draw curves: a line over the seeds of each optimizer, and a band.

    Statistics are of raw losses, or with `Drawing.log_mean` of their natural
    logarithms, and are shown on a logarithmic axis. Runs with a
    loss that is not finite are in no line and no band; each is drawn by
    itself up to there, ends in an "x", and is counted in the legend.

    Args:
        curves: of any optimizers, optimizees and seeds.
        drawing: how to draw them.
        title: str, of the figure; "" for none.
        words: for the optimizees.

    Returns:
        The figure; a data set's notice stands above the panels, in red.

    Raises:
        ValueError: if there is no curve, seeds of one optimizer and optimizee
            differ in length, the smoothing window is longer than a curve,
            seconds are asked for that were not measured, or logarithms of
            negative losses.
    """
    if not curves:
        raise ValueError("There is nothing to draw. Received: curves=[].")
    appearance = looks(curve.optimizer for curve in curves)
    samples = []
    for optimizer, look in appearance.items():
        count = count_words([c for c in curves if c.optimizer == optimizer])
        samples.append(sample(f"{optimizer} ({count})", look))
    optimizees = panels_of(curves)
    figure, panels = make_sheet(
        len(optimizees),
        samples,
        Words(
            title,
            measured=drawing_words(drawing),
            notices=notices_of(curves),
        ),
    )
    for axes, panel in zip(panels, optimizees, strict=True):
        chosen = [c for c in curves if (c.optimizee, c.splits) == panel]
        draw_panel(axes, chosen, appearance, drawing)
        axes.set_title(words.get(panel[0], panel[0]))
    return figure


def picture_bytes(
    figure: Figure,
    ending: str,
    salt: str = "l2o_tf",
    letters: bool = False,
    dpi: int = DPI,
) -> bytes:
    """Return a picture as the bytes of a file, the same every time.

    Args:
        figure: the figure.
        ending: a format, as "png".
        salt: str, of the names inside an SVG: pictures on one page need
            different ones.
        letters: whether an SVG has letters, in the reader's font, or their
            outlines.
        dpi: int, pixels per inch, of a format that has pixels.

    Raises:
        ValueError: if matplotlib has no such format.
    """
    settings: dict[Any, Any] = {
        "svg.hashsalt": salt,
        "svg.fonttype": "none" if letters else "path",
    }
    buffer = io.BytesIO()
    with matplotlib.rc_context(settings):
        figure.savefig(
            buffer, format=ending, dpi=dpi, metadata=_DATES.get(ending)
        )
    return buffer.getvalue()


def save_figure(
    figure: Figure, path: str | os.PathLike[str], dpi: int = DPI
) -> pathlib.Path:
    """Write a figure in the format of the path's ending; return the path.

    Raises:
        ValueError: if matplotlib has no such format.
        OSError: if the file cannot be written.
    """
    path = pathlib.Path(path)
    ending = path.suffix.removeprefix(".").lower()
    data = picture_bytes(figure, ending, dpi=dpi)
    make_folder(path.parent)
    write_bytes(path, data)
    return path
