"""The recurrent cell of the hierarchical optimizer: a GRU biased from above.

Cost per column and step: 3 H (F + H) multiplications and additions in two
matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Seed
from l2o_tf.learned.drawn_weight import drawn_weight


class Affine(keras.layers.Layer):
    """Map columns: w^T x + b.

    Args:
        input_size: int, F.
        units: int, H.
        seed: seed of `w`, normal with standard deviation scale / sqrt(F).
        scale: float.
        bias: float, where all of `b` starts.
        name: str.
        dtype: str.
    """

    def __init__(
        self,
        input_size: int,
        units: int,
        seed: Seed,
        scale: float = 0.5,
        bias: float = 0.0,
        name: str | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.w = normal_weight(
            self, "w", (input_size, units), scale / math.sqrt(input_size), seed
        )
        self.b = constant_weight(self, "b", units, bias)
        self.built = True

    def call(self, columns: tf.Tensor) -> tf.Tensor:
        """Turn `[F, N]` into `[H, N]`."""
        return affine(self.w, self.b, (columns,))


class GRUGates(NamedTuple):
    """What the gates let through, all float `[H, N]`.

    Attributes:
        reset: r, how much of the old state the candidate sees.
        update: z, how much of the old state is kept.
        candidate: c, what takes the place of the rest.
    """

    reset: tf.Tensor
    update: tf.Tensor
    candidate: tf.Tensor

    def next_hidden(self, hidden: tf.Tensor) -> tf.Tensor:
        """Compute h' = z h + (1 - z) c."""
        return self.update * hidden + (1.0 - self.update) * self.candidate


class BiasedGRU(keras.layers.Layer):
    """Step a GRU, features first, with a bias that comes with the input.

        [a_r, a_z] = W_g^T [x; h] + b_g
        r = sigmoid(a_r + beta_r),  z = sigmoid(a_z + beta_z)
        c = tanh(W_c^T [x; r h] + b_c + beta_c)
        h' = z h + (1 - z) c

    z = 1 keeps the old state. Rows of the weights: input first, then state;
    columns of W_g: reset, then update.

    Args:
        input_size: int, F.
        units: int, H.
        seed: seed of the weights, normal with sigma = scale / sqrt(F + H).
        scale: float, defaults to 0.5.
        gate_bias: float, where b_g starts, defaults to 2.2; b_c starts at 0.
        name: str.
        dtype: str.

    References:
        Wichrowska et al., ICML 2017, section 3; spec l2o_scale.md 2.1.
    """

    def __init__(
        self,
        input_size: int,
        units: int,
        seed: Seed,
        scale: float = 0.5,
        gate_bias: float = 2.2,
        name: str | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.units = checks.positive_int("units", units)
        rows, columns = input_size + units, 2 * units
        stddev = scale / math.sqrt(rows)
        self.w_gates = normal_weight(
            self, "w_gates", (rows, columns), stddev, seeds.fold_in(seed, 0)
        )
        self.b_gates = constant_weight(self, "b_gates", columns, gate_bias)
        self.w_candidate = normal_weight(
            self, "w_candidate", (rows, units), stddev, seeds.fold_in(seed, 1)
        )
        self.b_candidate = constant_weight(self, "b_candidate", units, 0.0)
        self.built = True

    def gates(
        self, columns: tf.Tensor, hidden: tf.Tensor, bias: tf.Tensor | None
    ) -> GRUGates:
        """Compute the gates of a step; its result is their `next_hidden`.

        Args:
            columns: float `[F, N]`.
            hidden: float `[H, N]`.
            bias: float `[3 H, N]` or `[3 H, 1]`, beta in the order r, z, c;
                None for 0.
        """
        gates = affine(self.w_gates, self.b_gates, (columns, hidden))
        if bias is not None:
            gates += bias[: 2 * self.units]
        reset, update = tf.split(tf.sigmoid(gates), 2, axis=0)
        candidate = affine(
            self.w_candidate, self.b_candidate, (columns, reset * hidden)
        )
        if bias is not None:
            candidate += bias[2 * self.units :]
        return GRUGates(reset, update, tf.tanh(candidate))


def affine(
    w: keras.Variable, b: keras.Variable, parts: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Compute w^T x + b, `[H, N]`, x being `parts` one below the other."""
    columns = parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
    bias = tf.convert_to_tensor(b)[:, tf.newaxis]
    weights = tf.convert_to_tensor(w)
    return tf.matmul(weights, columns, transpose_a=True) + bias


def constant_weight(
    layer: keras.layers.Layer, name: str, size: int, value: float
) -> keras.Variable:
    """Add a vector that starts from one number."""
    return layer.add_weight(
        name=name,
        shape=(size,),
        initializer=keras.initializers.Constant(value),
    )


def normal_weight(
    layer: keras.layers.Layer,
    name: str,
    shape: tuple[int, ...],
    stddev: float,
    seed: Seed,
) -> keras.Variable:
    """Add a weight drawn from Normal(0, stddev**2)."""
    return drawn_weight(layer, name, seeds.normal(seed, shape, stddev))
