"""One panel of a picture: the loss of several optimizers on one optimizee.

The axis of the losses is logarithmic and in the loss' own unit; a second one
at the right has the natural logarithm, which the paper's pictures show. A run
whose loss stopped being a number is drawn up to there and ends in an "x".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from l2o_tf.core import checks
from l2o_tf.evaluation.curves import Curve
from l2o_tf.reporting.looks import Look
from l2o_tf.reporting.statistics import Spread, smooth, spread

STATISTICS = ("mean", "median")
BANDS = ("minmax", "quartiles", "std", "none")
AGAINST = ("updates", "seconds")
SECONDS = "seconds (measured alone, steps x median step time)"

# A line has a point every window / _POINTS updates: more would show nothing
# of a running mean, and swell the files.
_POINTS = 3
_MARKERS = 8
# Higher than this many times the highest first loss is cut off.
_CEILING = 1e3


@dataclasses.dataclass(frozen=True)
class Drawing:
    """How curves are drawn.

    Args:
        window: int, updates of the running mean, stated on the axis; 1 for
            none.
        statistic: what the line is of the seeds, "mean" or "median".
        band: what the band is of the seeds: "minmax" from the lowest to the
            highest, "quartiles", "std" one standard deviation to either side,
            or "none".
        log_mean: bool, whether line and band are statistics of the seeds' ln
            losses in place of their losses: a mean is then geometric.
        against: the horizontal axis, "updates" or "seconds".
        seconds: (optimizer, optimizee) to the seconds of an update, for
            `against="seconds"`.

    Raises:
        ValueError: if an argument is not one of these.
    """

    window: int = 100
    statistic: str = "mean"
    band: str = "minmax"
    against: str = "updates"
    seconds: Mapping[tuple[str, str], float] = dataclasses.field(
        default_factory=dict
    )
    log_mean: bool = False

    def __post_init__(self) -> None:
        checks.positive_int("window", self.window)
        checks.one_of("statistic", self.statistic, STATISTICS)
        checks.one_of("band", self.band, BANDS)
        checks.one_of("against", self.against, AGAINST)

    def unit(self, optimizer: str, optimizee: str) -> float:
        """Return how far an update goes along the horizontal axis.

        Raises:
            ValueError: if it is drawn against seconds, and they were not
                measured.
        """
        if self.against == "updates":
            return 1.0
        if (optimizer, optimizee) not in self.seconds:
            raise ValueError(
                "The time of an update was not measured. Received: "
                f"optimizer={optimizer!r}, optimizee={optimizee!r}, "
                f"measured={sorted(self.seconds)}. Measure it, or draw "
                "against updates."
            )
        return self.seconds[optimizer, optimizee]


def add_ln_axis(axes: Axes) -> None:
    """Show the natural logarithm of a logarithmic axis at its right.

    The axis' limits must be final.
    """
    low, high = np.log(axes.get_ylim())
    found = MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(low, high)
    ticks = np.array([t for t in found if low <= t <= high])
    right = axes.secondary_yaxis("right")
    right.set_yticks(np.exp(ticks), [f"{round(t, 6) + 0.0:g}" for t in ticks])
    right.yaxis.set_minor_locator(NullLocator())
    # Room for the half of a mark that stands on the edge.
    right.tick_params(pad=7)
    right.set_ylabel("ln loss")


def _spread(curves: Sequence[Curve], drawing: Drawing) -> Spread:
    """Summarise the seeds of one optimizer.

    Raises:
        ValueError: if a negative loss has to have a logarithm, or as `spread`.
    """
    if drawing.log_mean:
        lowest = min(
            (c.losses.min() for c in curves if not c.diverged), default=1
        )
        if lowest < 0:
            first = curves[0]
            raise ValueError(
                "A negative loss has no logarithm. Received: log_mean=True, "
                f"optimizer={first.optimizer!r}, "
                f"optimizee={first.optimizee!r}, lowest={lowest}. Leave out "
                "--log_mean."
            )
    return spread(curves, drawing.window, drawing.log_mean)


def _band(runs: Spread, band: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the lower and the upper edge, None for no band."""
    return {
        "minmax": (runs.low, runs.high),
        "quartiles": (runs.lower_quartile, runs.upper_quartile),
        "std": (runs.mean - runs.std, runs.mean + runs.std),
        "none": None,
    }[band]


def _thin(count: int, window: int) -> np.ndarray:
    """Return which points to draw: every few, and the last."""
    stride = max(1, window // _POINTS)
    return np.arange(count - 1, -1, -stride)[::-1]


def _draw_spread(
    axes: Axes,
    runs: Spread,
    look: Look,
    drawing: Drawing,
    unit: float,
    place: float,
) -> None:
    """Draw the line and the band of the finite runs.

    Args:
        axes: to draw in.
        runs: of one optimizer.
        look: of the line.
        drawing: what to draw.
        unit: float, an update on the horizontal axis.
        place: float in [0, 1), where between two markers the first one is,
            so that markers of several lines do not cover each other.
    """
    points = _thin(len(runs.steps), drawing.window)
    every = max(1, len(points) // _MARKERS)
    line = runs.mean if drawing.statistic == "mean" else runs.median
    unlogged = np.exp if drawing.log_mean else np.asarray
    axes.plot(
        runs.steps[points] * unit,
        unlogged(line[points]),
        color=look.colour,
        linestyle=look.dashes,
        linewidth=1.4,
        marker=look.marker,
        markersize=4,
        markevery=(int(place * every), every),
    )
    band = _band(runs, drawing.band)
    if band and runs.runs - runs.diverged > 1:
        axes.fill_between(
            runs.steps[points] * unit,
            unlogged(band[0][points]),
            unlogged(band[1][points]),
            color=look.colour,
            alpha=0.15,
            linewidth=0,
        )


def _draw_diverged(
    axes: Axes,
    curve: Curve,
    look: Look,
    window: int,
    unit: float,
    ceiling: float,
) -> None:
    """Draw a run up to its last finite loss, which gets an "x".

    The "x" is at the upper edge where that loss is out of the picture, or
    already the first one is not finite.
    """
    length = int(np.argmin(np.isfinite(curve.losses)))
    finite = curve.losses[:length]
    if length >= window:
        points = _thin(length - window + 1, window)
        axes.plot(
            (points + window) * unit,
            smooth(finite, window)[points],
            color=look.colour,
            linestyle=look.dashes,
            linewidth=0.7,
            alpha=0.7,
        )
    end = float(np.mean(finite[-window:])) if length else np.inf
    inside = 0 < end <= ceiling
    axes.plot(
        [max(length, 1) * unit],
        [end if inside else 1.0],
        color=look.colour,
        marker="x",
        markersize=7,
        markeredgewidth=1.6,
        linestyle="none",
        clip_on=False,
        transform=axes.transData if inside else axes.get_xaxis_transform(),
        zorder=4,
    )


def _ceiling(curves: Sequence[Curve]) -> float:
    """Return the highest loss that is in the picture."""
    first = [c.losses[0] for c in curves if np.isfinite(c.losses[0])]
    top = _CEILING * max(first, default=1.0)
    return float(top) if top > 0 else np.inf


def _set_axes(axes: Axes, split: str, drawing: Drawing, ceiling: float) -> None:
    """Label the axes, make the losses' one logarithmic if it can be."""
    low, high = axes.get_ylim()
    if axes.dataLim.y0 >= 0 and axes.dataLim.y1 > 0:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.set_ylim(low, min(high, ceiling))
        add_ln_axis(axes)
    axes.set_xlim(0, axes.dataLim.x1)
    seconds = drawing.against == "seconds"
    axes.set_xlabel(SECONDS if seconds else "updates")
    window = drawing.window
    words = [f"loss on {split or 'the problem'}"]
    if window > 1:
        words.append(f"running mean over {window} updates")
    # Two splits and the running mean are longer than the axis.
    axes.set_ylabel((",\n" if "," in split else ", ").join(words))
    axes.grid(True, which="major", linewidth=0.3)


def draw_panel(
    axes: Axes,
    curves: Sequence[Curve],
    looks: Mapping[str, Look],
    drawing: Drawing,
) -> None:
    """Draw the curves of one optimizee and split.

    The axis of the losses is linear only where a loss is negative.

    Args:
        axes: to draw in.
        curves: of any optimizers and seeds.
        looks: of every optimizer of the picture.
        drawing: what to draw.

    Raises:
        ValueError: if there is no curve, seeds of one optimizer differ in
            length, the smoothing window is longer than the curves, seconds
            are asked for that were not measured, or logarithms of negative
            losses.
    """
    ceiling = _ceiling(curves)
    for optimizer in dict.fromkeys(c.optimizer for c in curves):
        group = [c for c in curves if c.optimizer == optimizer]
        unit = drawing.unit(optimizer, group[0].optimizee)
        look = looks[optimizer]
        runs = _spread(group, drawing)
        if runs.diverged < runs.runs:
            place = list(looks).index(optimizer) / len(looks)
            _draw_spread(axes, runs, look, drawing, unit, place)
        for curve in group:
            if curve.diverged:
                _draw_diverged(axes, curve, look, drawing.window, unit, ceiling)
    _set_axes(axes, curves[0].splits, drawing, ceiling)
