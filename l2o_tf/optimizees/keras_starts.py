"""Where the weights of a Keras model start, as pure functions of a seed.

A Keras initializer draws with a seed of its own, and Keras' draws are others
under XLA. So the distribution is taken from the initializer and the numbers
from core/seeds.py: the same ones eagerly, in a graph and under XLA.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import initializers

from l2o_tf.core import seeds
from l2o_tf.core.types import Seed

Draw = Callable[[Seed, tuple[int, ...]], tf.Tensor]
"""From a seed and a shape to a tensor, float32, of that shape."""

_CONSTANT = (
    initializers.Zeros,
    initializers.Ones,
    initializers.Constant,
    initializers.Identity,
)
_SCALED = (
    initializers.VarianceScaling,
    initializers.GlorotUniform,
    initializers.GlorotNormal,
    initializers.HeUniform,
    initializers.HeNormal,
    initializers.LecunUniform,
    initializers.LecunNormal,
)
# Initializers that a layer of Keras writes down and does not offer.
_WRITTEN_DOWN = {
    (keras.layers.RMSNormalization, "scale"): "ones",
    (keras.layers.Attention, "scale"): "ones",
    (keras.layers.Attention, "concat_score_weight"): "ones",
    (keras.layers.AdditiveAttention, "scale"): "glorot_uniform",
}
# Of a normal distribution that is cut at two standard deviations.
_TRUNCATED_STDDEV = 0.87962566103423978

Axes = Sequence[int]


def as_draw(initializer: Any) -> Draw:
    """Turn an initializer into a pure function of a seed and a shape.

    | initializer of Keras | distribution |
    |---|---|
    | Zeros, Ones, Constant, Identity | its own numbers |
    | RandomUniform | U(minval, maxval) |
    | RandomNormal, TruncatedNormal | mean + Normal(0, stddev**2), cut or not |
    | VarianceScaling, Glorot*, He*, Lecun* | by the fans, as Keras has it |
    | Orthogonal | gain Q, with A = Q R of a standard normal A, diag R > 0 |

    Args:
        initializer: a Keras initializer of the table, or its name; or a
            function of `(seed, shape)`, which is returned as it is.

    Raises:
        ValueError: if it is another initializer, or no known name.
    """
    if isinstance(initializer, str):
        initializer = initializers.get(initializer)
    kind = type(initializer)
    if kind in _CONSTANT:
        return lambda seed, shape: initializer(shape, dtype="float32")
    if kind in _SCALED:
        axes = (
            getattr(initializer, "input_axes", None),
            getattr(initializer, "output_axes", None),
        )
        return _scaled(initializer, *axes)
    if kind is initializers.RandomUniform:
        return lambda seed, shape: seeds.uniform(
            seed, shape, initializer.minval, initializer.maxval
        )
    if kind is initializers.RandomNormal:
        return lambda seed, shape: (
            initializer.mean + seeds.normal(seed, shape, initializer.stddev)
        )
    if kind is initializers.TruncatedNormal:
        return lambda seed, shape: (
            initializer.mean
            + seeds.truncated_normal(seed, shape, initializer.stddev)
        )
    if kind is initializers.Orthogonal:
        return lambda seed, shape: _orthogonal(seed, shape, initializer.gain)
    if isinstance(initializer, initializers.Initializer) or not callable(
        initializer
    ):
        raise ValueError(
            "An initializer must be one of Keras' zeros, ones, constant, "
            "identity, random_uniform, random_normal, truncated_normal, "
            "variance_scaling, glorot_*, he_*, lecun_*, orthogonal, or a "
            "function of (seed, shape). Received: "
            f"initializer={initializer!r}."
        )
    return initializer


def layer_draw(layer: keras.layers.Layer, name: str) -> Draw | None:
    """Find how a layer draws its weight of that name.

    By Keras' convention the initializer of `kernel` is the attribute
    `kernel_initializer`; that of `recurrent_kernel`, `depthwise_kernel` or
    `pointwise_kernel` is `recurrent_initializer`, and so on.

    Args:
        layer: to which the weight belongs directly.
        name: the weight's, such as "kernel".

    Returns:
        The function, or None if the layer names no initializer for the weight.

    Raises:
        ValueError: if it is one that `as_draw` does not know.
    """
    written = _WRITTEN_DOWN.get((type(layer), name))
    if written is not None:
        return as_draw(written)
    attributes = [
        f"{name}_initializer",
        f"{name.removesuffix('_kernel')}_initializer",
    ]
    if name == "kernel":  # A depthwise convolution's.
        attributes.append("depthwise_initializer")
    found = [getattr(layer, a) for a in attributes if hasattr(layer, a)]
    if not found:
        return None
    initializer = found[0]
    if not isinstance(initializer, initializers.Initializer):
        raise ValueError(
            "A layer's initializer must be an object of Keras: a function has "
            "no seed of ours. Received: "
            f"initializer={initializer!r} of {layer.name!r}."
        )
    if isinstance(layer, keras.layers.EinsumDense) and name == "kernel":
        return _einsum_draw(layer, initializer)
    draw = as_draw(initializer)
    if name == "bias" and getattr(layer, "unit_forget_bias", False):
        return _with_forget_bias(draw)
    return draw


def _fans(
    shape: Sequence[int], inputs: Axes | None, outputs: Axes | None
) -> tuple[int, int]:
    """Count the inputs and outputs of a unit, as Keras does."""
    if inputs is not None and outputs is not None:
        return (
            math.prod(shape[axis] for axis in inputs),
            math.prod(shape[axis] for axis in outputs),
        )
    if len(shape) < 2:
        return (math.prod(shape),) * 2
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


def _scaled(
    initializer: initializers.VarianceScaling,
    inputs: Axes | None,
    outputs: Axes | None,
) -> Draw:
    """Draw with variance scale / n, n the fan that the mode names."""

    def draw(seed: Seed, shape: tuple[int, ...]) -> tf.Tensor:
        fan_in, fan_out = _fans(shape, inputs, outputs)
        n = {
            "fan_in": fan_in,
            "fan_out": fan_out,
            "fan_avg": (fan_in + fan_out) / 2.0,
        }[initializer.mode]
        stddev = math.sqrt(initializer.scale / max(1.0, n))
        if initializer.distribution == "uniform":
            # The product alone is rounded, the same way everywhere.
            limit = math.sqrt(3.0) * stddev
            return limit * seeds.uniform(seed, shape, -1.0, 1.0)
        if initializer.distribution == "truncated_normal":
            return seeds.truncated_normal(
                seed, shape, stddev / _TRUNCATED_STDDEV
            )
        return seeds.normal(seed, shape, stddev)

    return draw


def _orthogonal(seed: Seed, shape: tuple[int, ...], gain: float) -> tf.Tensor:
    rows, columns = math.prod(shape[:-1]), shape[-1]
    matrix = seeds.normal(seed, [max(rows, columns), min(rows, columns)])
    q, r = tf.linalg.qr(matrix)
    q *= tf.sign(tf.linalg.diag_part(r))
    if rows < columns:
        q = tf.transpose(q)
    return gain * tf.reshape(q, shape)


def _einsum_draw(
    layer: keras.layers.EinsumDense, initializer: initializers.Initializer
) -> Draw:
    """Count fans by the equation's letters, where Keras does."""
    by_axes = hasattr(initializer, "input_axes") and (
        initializer.input_axes is None or initializer.output_axes is None
    )
    if not by_axes:
        return as_draw(initializer)
    _, _, rest = layer.equation.replace(" ", "").partition(",")
    kernel, _, output = rest.partition("->")
    axes: tuple[list[int], list[int]] = ([], [])
    for i, letter in enumerate(kernel):
        axes[letter in output].append(i)
    return _scaled(initializer, *axes)


def _with_forget_bias(draw: Draw) -> Draw:
    """Let the second quarter of an LSTM's bias start from one."""

    def with_ones(seed: Seed, shape: tuple[int, ...]) -> tf.Tensor:
        units = shape[0] // 4
        rest = draw(seed, (3 * units,))
        return tf.concat([rest[:units], tf.ones([units]), rest[units:]], 0)

    return with_ones
