"""The named optimizees: one function per problem of the papers.

A gin file binds one (`train.optimizee = @mlp_orig()`), the command line names
one (`--optimizee=mlp_relu`); both reach the same function.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

import gin

from l2o_tf.datasets.images import load_images
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.quadratics import Quadratic, Simple


@gin.register(module="l2o_tf.optimizees")
def mlp_orig(split: str = "train") -> MLP:
    """Build MLP-orig: MNIST, one hidden layer of 20 sigmoid units."""
    return MLP(load_images("mnist"), split, (20,), "sigmoid")


@gin.register(module="l2o_tf.optimizees")
def mlp_relu(split: str = "train") -> MLP:
    """Build MLP-ReLU: MNIST, one hidden layer of 20 ReLU units."""
    return MLP(load_images("mnist"), split, (20,), "relu")


@gin.register(module="l2o_tf.optimizees")
def mlp_deeper(split: str = "train") -> MLP:
    """Build MLP-deeper: MNIST, two hidden layers of 20 sigmoid units."""
    return MLP(load_images("mnist"), split, (20, 20), "sigmoid")


def _quadratic(split: str) -> Quadratic:
    del split  # no data
    return Quadratic()


def _simple(split: str) -> Simple:
    del split  # no data
    return Simple()


OPTIMIZEES: dict[str, Callable[[str], Optimizee]] = {
    "mlp_orig": mlp_orig,
    "mlp_relu": mlp_relu,
    "mlp_deeper": mlp_deeper,
    "quadratic": _quadratic,
    "simple": _simple,
}


def named_optimizee(name: str, split: str) -> Optimizee:
    """Build the optimizee of that name on a data split.

    Args:
        name: a key of `OPTIMIZEES`.
        split: "train", "inner_valid", "meta_valid" or "test"; without effect
            on a problem that has no data.

    Raises:
        ValueError: if there is no such name, with the nearest ones.
    """
    if name not in OPTIMIZEES:
        near = difflib.get_close_matches(name, OPTIMIZEES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"There is no optimizee of that name. Received: optimizee={name!r}."
            f"{hint} Known: {', '.join(sorted(OPTIMIZEES))}."
        )
    return OPTIMIZEES[name](split)
