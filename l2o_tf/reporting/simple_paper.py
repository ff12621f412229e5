"""What "Learning to learn with better convergence" shows, and says of it.

The paper of SimpleOptimizer (submitted to ICLR 2020). Where its curves end is
not known to us: they are judged by what it says of them, see
`l2o_tf.reporting.simple_claims`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from l2o_tf.evaluation.curves import Curve
from l2o_tf.evaluation.wall_clock import WallClockRow

TITLE = "Learning to learn with better convergence"
SPLIT = "train"
"""Its losses are training losses: what is optimised on is measured."""

TRAINED = 200
"""Updates of a trajectory of training."""

UPDATES = 10_000
"""Updates of the long runs on the base MLP."""

BASE = "base_mlp"
OPTIMIZEES: Mapping[str, str] = MappingProxyType(
    {
        BASE: "Base MLP",
        "lenet_mnist": "LeNet on MNIST",
        "lenet_cifar": "LeNet on CIFAR-10",
        "five_layer_mlp": "Five-layer MLP",
        "inception_cifar": "Inception v1 on CIFAR-10",
    }
)
"""Our words for the optimizees of the paper, by their names."""

OPTIMIZERS: Mapping[str, str] = MappingProxyType(
    {
        "simple": "SimpleOptimizer",
        "simple_fine_tuned": "SimpleOptimizer, fine-tuned",
        "dm_base_mlp": "L2O-DM, same training",
        "rnnprop_base_mlp": "RNNprop, same training",
        "simple_bias": "with biases",
        "simple_no_aggregate": "without the aggregate",
        "simple_uniform_loss": "without the weighted loss",
        "adam": "Adam, tuned",
        "sgd": "SGD, tuned",
    }
)
"""Our words for its optimizers, by the names of their results."""


class Panel(NamedTuple):
    """One panel of a figure.

    Attributes:
        optimizee: str.
        optimizers: names of results, in the order of the legend.
        updates: int, where longer curves are cut off; None for nowhere.
    """

    optimizee: str
    optimizers: tuple[str, ...]
    updates: int | None = None


class Figure(NamedTuple):
    """One figure of the paper.

    Attributes:
        name: str, of the picture, as "simple_2".
        number: str, in the paper.
        title: str.
        panels: tuple of `Panel`.
        ours: bool, whether the paper has no such figure.
    """

    name: str
    number: str
    title: str
    panels: tuple[Panel, ...]
    ours: bool = False


_LEARNED = ("simple", "dm_base_mlp", "rnnprop_base_mlp")
_ABLATIONS = ("simple_bias", "simple_no_aggregate", "simple_uniform_loss")
_TUNED = ("sgd", "adam")
FIGURES: tuple[Figure, ...] = (
    Figure(
        "simple_2",
        "2",
        "Against the learned optimizers before it",
        (Panel(BASE, _LEARNED, TRAINED), Panel(BASE, _LEARNED, UPDATES)),
    ),
    Figure(
        "simple_3",
        "3",
        "Without one of its parts",
        (Panel(BASE, ("simple", *_ABLATIONS), UPDATES),),
    ),
    Figure(
        "simple_4",
        "4",
        "On LeNet",
        (
            Panel("lenet_mnist", ("simple", *_TUNED)),
            Panel("lenet_cifar", ("simple_fine_tuned", *_TUNED)),
        ),
    ),
    Figure(
        "simple_5",
        "5",
        "On larger networks",
        (
            Panel("five_layer_mlp", ("simple", *_TUNED)),
            Panel("inception_cifar", ("simple_fine_tuned", *_TUNED)),
        ),
    ),
    Figure(
        "simple_A1",
        "A1",
        "SimpleOptimizer against tuned SGD and Adam where it was trained",
        (
            Panel(BASE, ("simple", *_TUNED), TRAINED),
            Panel(BASE, ("simple", *_TUNED), UPDATES),
        ),
        ours=True,
    ),
)
"""What `python -m l2o_tf.plot` draws of the paper; A1 is ours."""


class Cost(NamedTuple):
    """What an optimizer costs.

    Attributes:
        weights: int.
        milliseconds: float, of an update of the base MLP.
    """

    weights: int
    milliseconds: float


TABLE_1: Mapping[str, Cost] = MappingProxyType(
    {
        "simple": Cost(132, 1.96),
        "dm_base_mlp": Cost(5301, 21.88),
        "rnnprop_base_mlp": Cost(6801, 37.02),
    }
)
"""The paper's Table 1. Its LSTMs have two biases per gate, ours one."""


def is_of_paper(measured: Curve | WallClockRow) -> bool:
    """Return whether that is of one of the paper's optimizees."""
    return measured.optimizee in OPTIMIZEES


def cut(curve: Curve, updates: int | None) -> Curve:
    """Return a curve's first updates; its times stay those of the whole."""
    if updates is None or curve.steps <= updates:
        return curve
    return dataclasses.replace(curve, losses=curve.losses[:updates])


def panel_curves(panel: Panel, curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves of a panel, in its order, cut to its updates."""
    return [
        cut(curve, panel.updates)
        for optimizer in panel.optimizers
        for curve in curves
        if (curve.optimizer, curve.optimizee, curve.splits)
        == (optimizer, panel.optimizee, SPLIT)
    ]


def panel_title(panel: Panel) -> str:
    """Return the word of its optimizee, with the updates if they are set."""
    word = OPTIMIZEES[panel.optimizee]
    return f"{word}, {panel.updates:,} updates" if panel.updates else word
