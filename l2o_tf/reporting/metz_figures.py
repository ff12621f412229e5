"""Figure 6 of Metz et al. 2019, from whatever curves there are.

Curves on the paper's target and on what is unlike it, by updates and, where
they were measured, by seconds; and how two optimizers differ problem by
problem. References: spec metz.md 9.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from l2o_tf.evaluation.curves import Curve
from l2o_tf.reporting.figures import draw, notices_of, panels_of
from l2o_tf.reporting.looks import looks
from l2o_tf.reporting.panels import Drawing
from l2o_tf.reporting.sheet import Words, make_sheet, sample

OPTIMIZEES: Mapping[str, str] = MappingProxyType(
    {
        "metz_conv": "3 layers, outer-train classes",
        "metz_conv_test": "3 layers, outer-test classes",
        "metz_conv_cifar100": "3 layers, CIFAR-100, outer-train",
        "metz_conv_cifar100_test": "3 layers, CIFAR-100, outer-test",
        "metz_conv_imagenet32": "3 layers, ImageNet, outer-train",
        "metz_conv_imagenet32_test": "3 layers, ImageNet, outer-test",
        "mnist_six_conv": "6 layers on MNIST",
    }
)
"""Our words for the paper's problems, by their names."""

RIVAL = "decayed_adam"
"""Whom the paper compares with problem by problem: Adam with 8 settings."""

_TITLE = "Figure 6 of Metz et al. 2019: the learned optimizer and tuned ones"
_FEWEST = 10  # differences, for a histogram to say something
_BINS = 20


def _chosen(curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves of the paper's problems, panel by panel.

    First all problems with losses on train images, then with those on test.
    """
    order = list(OPTIMIZEES)
    found = [c for c in curves if c.optimizee in OPTIMIZEES]
    return sorted(
        found,
        key=lambda c: (c.measured is not None, order.index(c.optimizee)),
    )


def draw_metz_figure(
    curves: Sequence[Curve], drawing: Drawing
) -> Figure | None:
    """Draw what there is of Figure 6: the median of the runs, the middle half.

    Args:
        curves: of anything; those on the paper's problems are chosen.
        drawing: the running mean and the horizontal axis; line and band are
            the paper's.

    Returns:
        The picture, or None if there is no curve of it.

    Raises:
        ValueError: as `l2o_tf.reporting.figures.draw`.
    """
    chosen = _chosen(curves)
    if drawing.against == "seconds":
        chosen = [
            c for c in chosen if (c.optimizer, c.optimizee) in drawing.seconds
        ]
    if not chosen:
        return None
    as_published = dataclasses.replace(
        drawing, statistic="median", band="quartiles"
    )
    return draw(chosen, as_published, _TITLE, OPTIMIZEES)


def draw_by_seconds(curves: Sequence[Curve], drawing: Drawing) -> Figure | None:
    """Draw Figure 6 against seconds, as published.

    Returns:
        The picture, or None where no seconds were measured.
    """
    return draw_metz_figure(
        curves, dataclasses.replace(drawing, against="seconds")
    )


class Differences(NamedTuple):
    """An optimizer and its rival on the same problems, one for each seed.

    Attributes:
        optimizer: str.
        optimizee: str.
        splits: str, what the losses are of.
        values: float64 `[n]`, the optimizer's mean loss over all updates minus
            the rival's, of the seeds where both are finite.
        only_it: int, seeds where the optimizer alone diverged.
        only_rival: int, seeds where the rival alone diverged.
    """

    optimizer: str
    optimizee: str
    splits: str
    values: np.ndarray
    only_it: int
    only_rival: int


def differences(
    curves: Sequence[Curve], rival: str = RIVAL
) -> list[Differences]:
    """Compare every optimizer that was not tuned with one that was.

    A seed is a problem of its own, with its classes, start and minibatches. A
    pair of different lengths is left out.

    Args:
        curves: of any optimizers and problems.
        rival: the name of the other side.
    """
    others = [c for c in curves if c.optimizer != rival and c.tuning is None]
    of_rival = {
        (c.optimizee, c.splits, c.seed, c.steps): c
        for c in curves
        if c.optimizer == rival
    }
    pairs: dict[tuple[str, str, str], list[tuple[Curve, Curve]]] = {}
    for c in others:
        other = of_rival.get((c.optimizee, c.splits, c.seed, c.steps))
        if other is not None:
            key = c.optimizer, c.optimizee, c.splits
            pairs.setdefault(key, []).append((c, other))
    return [
        Differences(
            *key,
            np.array(
                [
                    a.mean() - b.mean()
                    for a, b in found
                    if not (a.diverged or b.diverged)
                ]
            ),
            sum(a.diverged and not b.diverged for a, b in found),
            sum(b.diverged and not a.diverged for a, b in found),
        )
        for key, found in pairs.items()
    ]


def draw_differences(curves: Sequence[Curve]) -> Figure | None:
    """Draw how much lower than its rival an optimizer is, over problems.

    Args:
        curves: of anything; those on the paper's problems are chosen.

    Returns:
        The picture, or None where no optimizer shares `_FEWEST` problems with
        the rival.
    """
    chosen = _chosen(curves)
    found = [d for d in differences(chosen) if len(d.values) >= _FEWEST]
    if not found:
        return None
    appearance = looks(d.optimizer for d in found)
    panels = [
        panel
        for panel in panels_of(chosen)
        if panel in {(d.optimizee, d.splits) for d in found}
    ]
    figure, places = make_sheet(
        len(panels),
        [sample(name, look) for name, look in appearance.items()],
        Words(
            f"Figure 6 of Metz et al. 2019: against {RIVAL}, by problem",
            "mean loss over all updates; one problem per seed",
            notices_of(chosen),
            [_counts(d) for d in found],
        ),
    )
    for axes, panel in zip(places, panels, strict=True):
        for one in found:
            if (one.optimizee, one.splits) == panel:
                axes.hist(
                    one.values,
                    _BINS,
                    histtype="stepfilled",
                    alpha=0.5,
                    color=appearance[one.optimizer].colour,
                )
        axes.axvline(0.0, color="grey", linewidth=0.6)
        axes.set_title(OPTIMIZEES[panel[0]])
        axes.set_xlabel(f"loss on {panel[1]}, less {RIVAL}'s")
        axes.set_ylabel("problems")
    return figure


def _counts(one: Differences) -> str:
    lower = int(np.sum(one.values < 0))
    words = (
        f"{one.optimizer}, {OPTIMIZEES[one.optimizee]}, {one.splits}: lower in "
        f"{lower} of {len(one.values)}, median {np.median(one.values):.3g}"
    )
    if one.only_it or one.only_rival:
        words += (
            f"; diverged alone in {one.only_it}, {RIVAL} in {one.only_rival}"
        )
    return words


CAPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "metz_6": "Metz et al. 2019, Figure 6. Losses by updates.",
        "metz_6_seconds": "Metz et al. 2019, Figure 6. Losses by seconds.",
        "metz_6_differences": "Metz et al. 2019, Figure 6. Differences to "
        f"{RIVAL}, which was tuned for such problems.",
    }
)
"""What a page says under each."""

METZ_FIGURES: Mapping[
    str, Callable[[Sequence[Curve], Drawing], Figure | None]
] = MappingProxyType(
    {
        "metz_6": draw_metz_figure,
        "metz_6_seconds": draw_by_seconds,
        "metz_6_differences": lambda curves, _: draw_differences(curves),
    }
)
"""What `python -m l2o_tf.plot` draws of the paper, by its names."""
