"""An affine map of columns, as all networks of the package have it."""

from __future__ import annotations

import keras
import tensorflow as tf

from l2o_tf.core.types import Seed
from l2o_tf.learned.lstm import truncated_normal_weight


class Linear(keras.layers.Layer):
    """Map columns, W^T x + b, where the last inputs may be everybody's.

    Args:
        input_size: int, F + C.
        units: int, H.
        seed: seed of `w` (truncated normal, sigma 1/sqrt(F + C)); `b` starts
            at 0.
        name: str.
        dtype: str.
    """

    def __init__(
        self,
        input_size: int,
        units: int,
        seed: Seed,
        name: str | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.w = truncated_normal_weight(
            self, "w", (input_size, units), input_size, seed
        )
        self.b = self.add_weight(name="b", shape=(units,), initializer="zeros")
        self.built = True

    def call(
        self, columns: tf.Tensor, shared: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Turn `[F, N]` and `[C, 1]`, or None if C = 0, into `[H, N]`.

        What all columns share is multiplied once and joins the bias.
        """
        weights = tf.convert_to_tensor(self.w)
        bias = tf.convert_to_tensor(self.b)[:, tf.newaxis]
        if shared is not None:
            size = columns.shape[0]
            bias += tf.matmul(weights[size:], shared, transpose_a=True)
            weights = weights[:size]
        return tf.matmul(weights, columns, transpose_a=True) + bias
