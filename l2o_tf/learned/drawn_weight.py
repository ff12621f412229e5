"""A weight that starts from numbers which are already drawn."""

from __future__ import annotations

import keras
import tensorflow as tf


def drawn_weight(
    layer: keras.layers.Layer, name: str, value: tf.Tensor
) -> keras.Variable:
    """Add a weight of the shape of `value` that starts from it.

    `value` is cast to the layer's dtype.
    """
    return layer.add_weight(
        name=name,
        shape=tuple(value.shape),
        initializer=lambda shape, dtype: tf.cast(value, dtype),
    )
