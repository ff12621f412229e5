"""What Chen et al. 2020 published: end values, and what each figure shows.

The end values are natural logarithms of the loss at 10,000 steps, the mean of
ten runs, read by eye off the published pictures (spec paper_figures.md): marks
to compare with, not golden values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

STEPS = 10_000
SEEDS = 10

OPTIMIZEES: Mapping[str, str] = MappingProxyType(
    {
        "mlp_orig": "MLP-orig",
        "mlp_relu": "MLP-ReLU",
        "mlp_deeper": "MLP-deeper",
        "mnist_conv": "Conv-MNIST",
        "cifar_conv": "Conv-CIFAR",
        "nas": "NAS-CIFAR",
        "lenet": "LeNet",
    }
)
"""The paper's word for each optimizee it evaluates on."""

OPTIMIZERS: Mapping[str, str] = MappingProxyType(
    {
        "dm": "L2O-DM",
        "dm_aug": "L2O-DM-AUG",
        "dm_il": "L2O-DM-IL",
        "dm_cl": "L2O-DM-CL",
        "dm_cl_il": "L2O-DM-CL-IL",
        "rnnprop": "RNNprop",
        "rnnprop_cl_il": "RNNprop-CL-IL",
        "scale": "L2O-Scale",
        "scale_il": "L2O-Scale-IL",
        "scale_self_improving": "L2O-Scale-SI",
        "scale_cl_il": "L2O-Scale-CL-IL",
        "scale_meta": "L2O-Scale-Meta",
        "adam": "Adam, tuned",
        "rmsprop": "RMSProp, tuned",
        "sgd": "SGD, tuned",
    }
)
"""The paper's word for each optimizer, by the name of its results."""

_PANELS = ("mlp_orig", "mlp_relu", "mlp_deeper", "mnist_conv", "cifar_conv")
_CURVES: Mapping[str, tuple[float, ...]] = {
    "dm": (0.0, 1.2, 0.1, 1.7, 0.834),
    "dm_aug": (-3.2, -0.8, -0.8, -0.9, 0.83),
    "dm_il": (-3.1, -1.0, -2.9, -2.0, 0.70),
    "dm_cl": (-5.5, -4.0, -4.0, 0.3, 0.76),
    "dm_cl_il": (-11.0, -7.0, -7.0, -4.9, 0.33),
    "rnnprop": (-6.0, -4.0, -4.0, 0.35, 0.834),
    "rnnprop_cl_il": (-10.4, -5.5, -7.5, -6.8, 0.00),
    "scale": (-1.0, -3.0, -1.0, -0.4, 0.765),
    "scale_cl_il": (-1.8, -4.0, -2.0, -1.55, 0.45),
    "scale_meta": (-0.4, -2.5, -2.2, -2.7, 0.655),
}

PUBLISHED: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        (optimizer, optimizee): value
        for optimizer, values in _CURVES.items()
        for optimizee, value in zip(_PANELS, values, strict=True)
    }
    | {
        ("scale_self_improving", "mnist_conv"): -0.87,
        ("scale_il", "mnist_conv"): -1.55,
    }
)
"""(optimizer, optimizee) to the published ln loss at 10,000 steps."""


def reading_error(optimizee: str) -> float:
    """Return how exactly the published value was read, in ln loss."""
    return 0.02 if optimizee == "cifar_conv" else 0.2


class PaperFigure(NamedTuple):
    """One figure of the paper.

    Attributes:
        number: str, as "2" or "A1".
        title: str.
        optimizers: names of results, in the order of the legend.
        optimizees: one panel each.
        claim: str, what the paper says the figure shows.
        ours: bool, whether the paper has no such figure.
    """

    number: str
    title: str
    optimizers: tuple[str, ...]
    optimizees: tuple[str, ...]
    claim: str
    ours: bool = False


_TUNED = ("adam", "rmsprop", "sgd")
FIGURES: tuple[PaperFigure, ...] = (
    PaperFigure(
        "2",
        "L2O-DM with all techniques against the learned optimizers before it",
        ("dm", "rnnprop", "scale", "scale_meta", "dm_cl_il"),
        _PANELS,
        "L2O-DM-CL-IL ends lowest.",
    ),
    PaperFigure(
        "3",
        "The techniques on RNNprop and L2O-Scale",
        ("rnnprop", "rnnprop_cl_il", "scale", "scale_cl_il"),
        _PANELS,
        "CL-IL ends lower than the same optimizer without.",
    ),
    PaperFigure(
        "4",
        "Exploration and exploitation: L2O-DM by episodes of training",
        (),
        ("mlp_orig",),
        "More episodes at short horizons hurt; at longer ones they hurt less.",
    ),
    PaperFigure(
        "5",
        "One technique at a time on L2O-DM",
        ("dm", "dm_aug", "dm_il", "dm_cl", "dm_cl_il"),
        _PANELS,
        "Curriculum and imitation each end lower than L2O-DM, and than more "
        "optimizees and longer horizons (AUG) alone.",
    ),
    PaperFigure(
        "6",
        "Imitation against self-improving, on L2O-Scale",
        ("scale", "scale_self_improving", "scale_il"),
        ("mnist_conv",),
        "Self-improving ends below the baseline, imitation below both.",
    ),
    PaperFigure(
        "7",
        "Against hand-designed optimizers, tuned by grid search",
        (*_TUNED, "dm", "dm_cl_il"),
        ("mlp_orig", "mnist_conv", "nas", "lenet"),
        "L2O-DM-CL-IL beats all three tuned optimizers where L2O-DM diverges "
        "(MLP-orig, Conv-MNIST), and optimises NAS-CIFAR and LeNet where "
        "L2O-DM fails.",
    ),
    PaperFigure(
        "A1",
        "Exploration and exploitation, on optimizees not trained on",
        (),
        ("mlp_relu", "mnist_conv"),
        "As Figure 4.",
    ),
    PaperFigure(
        "A2",
        "Every optimizer on every optimizee",
        (*_CURVES, *_TUNED),
        tuple(OPTIMIZEES),
        "No claim: all curves in one place.",
        ours=True,
    ),
    PaperFigure(
        "A3",
        "The same against seconds",
        (*_CURVES, *_TUNED),
        tuple(OPTIMIZEES),
        "No claim: what a step costs, measured alone.",
        ours=True,
    ),
)
"""What `python -m l2o_tf.plot` draws of the paper.

Of the figures of the appendix only A1's subject is known to us (more of Figure
4, on which networks is not); A2 and A3 are ours: everything in one place, by
updates and by seconds.
"""


def figures_on(optimizees: Collection[str]) -> tuple[PaperFigure, ...]:
    """Return `FIGURES` with the panels of some optimizees alone.

    A figure without any of them is left out.
    """
    return tuple(
        figure._replace(optimizees=panels)
        for figure in FIGURES
        if (panels := tuple(o for o in figure.optimizees if o in optimizees))
    )
