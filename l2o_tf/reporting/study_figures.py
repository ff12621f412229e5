"""Pictures of studies, among them Figures 2 and 3 of Metz et al. 2019."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from l2o_tf.reporting.figures import save_figure
from l2o_tf.reporting.looks import Look
from l2o_tf.reporting.outer_training_figures import draw_outer_training
from l2o_tf.reporting.sheet import make_sheet, sample
from l2o_tf.reporting.study_lines import (
    draw_line,
    label_axes,
    plain_looks,
    words_of,
)
from l2o_tf.studies.store import FOLDER, Finding
from l2o_tf.studies.two_minima import TwoMinima

# More bins of window gradients than these show nothing.
_BINS = 100
_POINTS = 1000
_SCALE = "viridis"


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count:,} steps"


def draw_momentum(finding: Finding) -> Figure:
    """Draw runs on the line with two minima, and their ends by momentum.

    Args:
        finding: of a `MomentumStudy`.
    """
    arrays = finding.arrays
    runs = [f"momentum {m:g}" for m in arrays["shown"]]
    lengths = [_steps(t) for t in arrays["lengths"]]
    appearance = plain_looks([*runs, *lengths])
    figure, (line, times, ends, last) = make_sheet(
        4,
        [sample(name, look) for name, look in appearance.items()],
        words_of(
            [finding],
            "Gradient descent with momentum on a line with two minima",
            f"Learning rate {finding.config['learning_rate']:g}, from w = "
            f"{finding.config['start']:g}.",
        ),
    )
    paths = arrays["trajectories"]
    edges = float(paths.min()) - 0.2, float(paths.max()) + 0.2
    w = np.linspace(*edges, 400)
    height = TwoMinima(dtype="float64").each
    line.plot(w, np.asarray(height(w)), color="black", linewidth=1.0)
    for i, (name, path) in enumerate(zip(runs, paths, strict=True)):
        look = appearance[name]
        draw_line(times, np.arange(len(path)), path, look, 1.0)
        # The paths lie on one curve: lifted, they can be told apart.
        lifted = np.asarray(height(path)) + 2.0 * (i + 1)
        draw_line(line, path, lifted, look, 0.8)
        line.plot(path[-1], lifted[-1], look.marker, color=look.colour)
    times.set_xlim(0, min(paths.shape[1] - 1, 200))
    momenta = arrays["momenta"]
    tenth = momenta >= 0.9
    for name, losses in zip(lengths, arrays["losses"], strict=True):
        draw_line(ends, momenta, losses, appearance[name], 1.0)
        draw_line(last, momenta[tenth], losses[tenth], appearance[name], 0.8)
    label_axes(line, "l(w), and runs lifted above it", "w", "l(w)")
    label_axes(times, "runs", "updates", "w")
    label_axes(ends, "where runs end", "momentum", "l(w) after the updates")
    label_axes(last, "the last tenth", "momentum", "l(w) after the updates")
    return figure


def draw_learning_rate(finding: Finding) -> Figure:
    """Draw where close learning rates lead.

    Args:
        finding: of a `LearningRateStudy`.
    """
    arrays = finding.arrays
    rates, paths = arrays["learning_rates"], arrays["projections"]
    scale = Normalize(rates[0], rates[-1])
    colours = matplotlib.colormaps[_SCALE](scale(rates))
    ends = [f"learning rate {rates[i]:.4f}" for i in (0, -1)]
    figure, (plane, late, losses) = make_sheet(
        3,
        [
            sample(name, Look(colours[i], "-", "o"))
            for name, i in zip(ends, (0, -1), strict=True)
        ],
        words_of(
            [finding],
            f"Adam with {len(rates)} learning rates, all else the same",
        ),
    )
    half = paths.shape[1] // 2
    for path, colour in zip(paths, colours, strict=True):
        plane.plot(*path.T, color=colour, linewidth=0.6)
        late.plot(*path[half:].T, color=colour, linewidth=0.6)
    for i in range(len(rates)):
        for axes in (plane, late):
            axes.plot(*paths[i, -1], "o", color=colours[i], markersize=2.5)
    shown = arrays["losses"]
    losses.scatter(rates, shown[:, -1], c=colours, s=9)
    losses.plot(rates, shown[:, -1], color="grey", linewidth=0.5)
    losses.xaxis.set_major_locator(MaxNLocator(4))
    updates = paths.shape[1] - 1
    x, y = "first random projection", "second random projection"
    label_axes(plane, f"{updates} updates", x, y)
    label_axes(late, f"the last {updates - half} of them", x, y)
    label_axes(
        losses, "where they lead", "learning rate", "loss before the last"
    )
    return figure


def draw_gradient_slice(finding: Finding) -> Figure:
    """Draw the loss along the meta-gradient.

    Args:
        finding: of a `GradientSliceStudy`.
    """
    arrays = finding.arrays
    names = [_steps(t) for t in arrays["lengths"]]
    appearance = plain_looks(names)
    figure, (axes,) = make_sheet(
        1,
        [sample(name, look) for name, look in appearance.items()],
        words_of(
            [finding],
            "The mean loss along the meta-gradient",
            f"At 0 the slope of the longest is {float(arrays['norm']):.4g}.",
        ),
    )
    for name, losses in zip(names, arrays["losses"].T, strict=True):
        shown = np.where(np.isfinite(losses), losses, np.nan)
        draw_line(axes, arrays["offsets"], shown, appearance[name], 1.0)
    axes.axvline(0.0, color="grey", linewidth=0.6)
    if np.nanmin(arrays["losses"]) > 0:
        axes.set_yscale("log")
    label_axes(
        axes,
        _of(finding),
        "distance from the weights, along the gradient",
        "mean loss of the updates",
    )
    return figure


def draw_plane(finding: Finding) -> Figure:
    """Draw the loss over a plane of weights, a panel per number of updates.

    What is not finite is left white.

    Args:
        finding: of a `PlaneStudy`.
    """
    arrays = finding.arrays
    here = Look("red", "none", "*")
    figure, panels = make_sheet(
        len(arrays["lengths"]),
        [sample("the weights", here)],
        words_of([finding], "The mean loss along two random directions"),
    )
    offsets = arrays["offsets"]
    for i, (axes, length) in enumerate(
        zip(panels, arrays["lengths"], strict=True)
    ):
        losses = np.ma.masked_invalid(arrays["losses"][:, :, i])
        wide = losses.count() and losses.max() > 10 * losses.min() > 0
        norm = (LogNorm if wide else Normalize)(losses.min(), losses.max())
        mesh = axes.pcolormesh(
            offsets, offsets, losses, norm=norm, cmap=_SCALE, rasterized=True
        )
        axes.plot(0, 0, here.marker, color=here.colour, markersize=4)
        figure.colorbar(mesh, ax=axes, label="mean loss of the updates")
        axes.set_aspect("equal")
        axes.set_title(f"{_of(finding)}, {_steps(length)}")
        axes.set_xlabel("first direction")
        axes.set_ylabel("second direction")
    return figure


def _of(finding: Finding) -> str:
    cell, problem = (finding.config[k]["class"] for k in ("cell", "measured"))
    split = finding.config["measured"]["split"]
    return f"{cell} on {problem}{f', {split}' if split else ''}"


def _binned(gradients: np.ndarray, window: int) -> tuple[np.ndarray, ...]:
    """Add window gradients up to at most `_BINS` bins of inner steps.

    Returns:
        `(middles, sums per inner step)`.
    """
    count = len(gradients)
    bins = max(b for b in range(1, min(_BINS, count) + 1) if count % b == 0)
    per_bin = gradients.reshape(bins, -1)
    width = per_bin.shape[1] * window
    return (np.arange(bins) + 0.5) * width, per_bin.sum(1) / width


def _thinned(count: int) -> np.ndarray:
    """Return which of many points to draw: every few, and the last."""
    return np.arange(count - 1, -1, -max(1, count // _POINTS))[::-1]


def draw_truncation_bias(findings: Sequence[Finding]) -> Figure:
    """Draw learning rates and losses by update, and gradients by inner step.

    Args:
        findings: of `TruncationBiasStudy`s, any windows.
    """
    ordered = sorted(findings, key=lambda f: (f.config["window"], f.name))
    names = {f.name: f"window of {_steps(f.config['window'])}" for f in ordered}
    if len(set(names.values())) < len(names):
        names = {f.name: f.name for f in ordered}
    appearance = plain_looks(list(names.values()))
    figure, (rates, losses, slopes) = make_sheet(
        3,
        [sample(name, look) for name, look in appearance.items()],
        words_of(
            ordered,
            "Adam's learning rate, learned with windows of several lengths",
            f"An episode is {ordered[0].config['horizon']:,} inner steps; "
            f"meta-updates come after each {ordered[0].config['update']}. A "
            "negative gradient raises the learning rate.",
        ),
    )
    for finding in ordered:
        look, arrays = appearance[names[finding.name]], finding.arrays
        rate, ends = arrays["learning_rates"], arrays["meta_losses"]
        episodes = np.linspace(0, len(ends), len(rate))
        shown = _thinned(len(rate))
        draw_line(rates, episodes[shown], rate[shown], look)
        draw_line(losses, np.arange(1, len(ends) + 1), ends, look)
        middles, sums = _binned(
            arrays["window_gradients"], finding.config["window"]
        )
        slopes.plot(
            middles,
            sums,
            color=look.colour,
            linestyle=look.dashes,
            linewidth=1.0,
            marker=look.marker,
            markersize=3,
        )
    rates.set_yscale("log")
    slopes.set_yscale("symlog", linthresh=_smallest(ordered))
    slopes.axhline(0.0, color="grey", linewidth=0.6)
    label_axes(rates, "learning rate", "episodes", "learning rate")
    label_axes(losses, "loss", "episodes", "mean loss of an episode")
    label_axes(
        slopes,
        "at the first learning rate",
        "inner steps",
        "gradient of the windows, per inner step",
    )
    return figure


def _smallest(findings: Sequence[Finding]) -> float:
    """Return where the gradients' axis may turn linear: their median size."""
    sizes = np.concatenate(
        [
            np.abs(_binned(f.arrays["window_gradients"], f.config["window"])[1])
            for f in findings
        ]
    )
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    return float(np.median(sizes)) if sizes.size else 1.0


_DRAWN: Mapping[str, Callable[[Finding], Figure]] = {
    "momentum": draw_momentum,
    "learning_rate": draw_learning_rate,
    "gradient_slice": draw_gradient_slice,
    "plane": draw_plane,
}
_TOGETHER: Mapping[str, Callable[[Sequence[Finding]], Figure]] = {
    "truncation_bias": draw_truncation_bias,
    "outer_training": draw_outer_training,
}


def draw_findings(findings: Sequence[Finding]) -> dict[str, Figure]:
    """Draw studies: one picture each, one of all windows of a learning rate.

    One, too, of all training runs.

    Args:
        findings: any.

    Returns:
        Name to picture.

    Raises:
        ValueError: if a finding is of no known kind.
    """
    drawn = {}
    for finding in findings:
        if finding.kind in _DRAWN:
            drawn[finding.name] = _DRAWN[finding.kind](finding)
        elif finding.kind not in _TOGETHER:
            raise ValueError(
                "Pictures are of the studies "
                f"{', '.join((*_DRAWN, *_TOGETHER))}. "
                f"Received: kind={finding.kind!r} of {finding.name!r}."
            )
    for kind, draw in _TOGETHER.items():
        chosen = [f for f in findings if f.kind == kind]
        if chosen:
            drawn[kind] = draw(chosen)
    return drawn


def save_findings(
    folder: str | os.PathLike[str], findings: Sequence[Finding]
) -> list[pathlib.Path]:
    """Draw studies to studies/ of a folder, as .png and .svg.

    Returns:
        The paths of the .png.

    Raises:
        ValueError: as `draw_findings`.
        OSError: if a file cannot be written.
    """
    paths = []
    for name, figure in draw_findings(findings).items():
        stem = pathlib.Path(folder) / FOLDER / name
        save_figure(figure, f"{stem}.svg")
        paths.append(save_figure(figure, f"{stem}.png"))
    return paths
