"""Guards for numbers that may not be finite. Cost: one reduction per tensor."""

from __future__ import annotations

import math

import tensorflow as tf

from l2o_tf.core.types import Nest, Scalar


def all_finite(nest: Nest) -> Scalar:
    """Return a bool scalar: is every float of the nest finite?"""
    checks = [
        tf.reduce_all(tf.math.is_finite(tensor))
        for tensor in tf.nest.flatten(nest)
        if tensor.dtype.is_floating
    ]
    return tf.reduce_all(tf.stack(checks)) if checks else tf.constant(True)


def select(condition: Scalar, chosen: Nest, otherwise: Nest) -> Nest:
    """Take `chosen` where the bool scalar holds, else `otherwise`."""
    return tf.nest.map_structure(
        lambda a, b: tf.where(condition, a, b), chosen, otherwise
    )


def nan_to_inf(number: float) -> float:
    """Read a cost that is not a number as +inf: never better than any other."""
    return math.inf if math.isnan(number) else number
