"""Stateless randomness: the only source of random numbers in the package.

Every function is pure in its seed, and gives the same numbers eagerly, in a
graph and under XLA. Three things are needed for that: the generator is always
Philox (the "auto" choice depends on the device); floats are made here from
random integers, because TensorFlow turns the same bits into different floats
in its CPU kernel and under XLA; and normal numbers are the inverse
distribution function of uniform ones.

Reference: Salmon et al., SC 2011 (Philox, "Parallel random numbers: as easy
as 1, 2, 3").
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from l2o_tf.core.types import Scalar, Seed

_ALGORITHM = "philox"
_INT32 = np.iinfo(np.int32)


def make_seed(seed: int) -> Seed:
    """Turn a Python int into a seed, int32 `[2]`.

    Args:
        seed: int, from -2**31 to 2**31 - 1. Zero is a seed like any other.

    Raises:
        ValueError: if `seed` is not an int of that range.
    """
    is_int = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not is_int or not _INT32.min <= seed <= _INT32.max:
        raise ValueError(
            "A seed must be an int from -2**31 to 2**31 - 1. "
            f"Received: seed={seed!r}."
        )
    return tf.constant([0, int(seed)], tf.int32)


def fold_in(seed: Seed, number: int | Scalar) -> Seed:
    """Derive the `number`-th child of a seed; each number, another child."""
    number = tf.cast(number, tf.int32)
    return tf.random.experimental.stateless_fold_in(
        seed, number, alg=_ALGORITHM
    )


def _open_unit(seed: Seed, shape: Sequence[int]) -> tf.Tensor:
    """Draw from the 2**23 odd multiples of 2**-24 in (0, 1), uniformly."""
    bits = tf.random.stateless_uniform(
        shape, seed, None, None, tf.int32, alg=_ALGORITHM
    )
    # 23 bits, so that 2 k + 1 is exact in float32.
    k = tf.bitwise.bitwise_and(bits, 2**23 - 1)
    return tf.cast(2 * k + 1, tf.float32) * 2.0**-24


def uniform(
    seed: Seed,
    shape: Sequence[int],
    minval: float = 0.0,
    maxval: float = 1.0,
) -> tf.Tensor:
    """Draw float32 numbers uniformly from `[minval, maxval]`.

    minval + (maxval - minval) u, with u on a symmetric grid of 2**23 points
    that leaves out 0 and 1. The same bits everywhere where the product and the
    sum are exact, as on (0, 1) and (-1, 1); elsewhere XLA fuses them into one
    rounding, and the last bit may differ.
    """
    return minval + (maxval - minval) * _open_unit(seed, shape)


def integers(seed: Seed, shape: Sequence[int], maxval: int) -> tf.Tensor:
    """Draw int32 numbers uniformly from `0 .. maxval - 1`."""
    return tf.random.stateless_uniform(
        shape, seed, 0, maxval, tf.int32, alg=_ALGORITHM
    )


def permutation(seed: Seed, count: int) -> tf.Tensor:
    """Draw an order of the int32 numbers `0 .. count - 1`.

    They are sorted by random keys of 31 bits, so that equal keys leave two of
    them in order: for 55,000, less than one pair.
    """
    return tf.argsort(integers(seed, [count], 2**31 - 1), stable=True)


def normal(seed: Seed, shape: Sequence[int], stddev: float = 1.0) -> tf.Tensor:
    """Draw float32 numbers from Normal(0, stddev**2).

    x = stddev sqrt(2) erfinv(2 u - 1), with u from a symmetric grid of 2**23
    points in (0, 1): every number is finite, |x| <= 5.3 stddev.
    """
    u = uniform(seed, shape, -1.0, 1.0)
    return stddev * math.sqrt(2.0) * tf.math.erfinv(u)


def truncated_normal(
    seed: Seed, shape: Sequence[int], stddev: float = 1.0
) -> tf.Tensor:
    """Draw float32 numbers from Normal(0, stddev**2) conditioned on 2 stddev.

    The same distribution as redrawing beyond two standard deviations; its own
    standard deviation is 0.87963 `stddev`.
    """
    bound = math.erf(math.sqrt(2.0))  # P(|x| < 2) for a standard normal
    u = uniform(seed, shape, -bound, bound)
    return stddev * math.sqrt(2.0) * tf.math.erfinv(u)
