"""The parts of the coordinate-wise cells: a projection, LSTMs, a read-out."""

from __future__ import annotations

import keras
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Seed, Vector
from l2o_tf.learned.lstm import (
    LSTMCell,
    LSTMState,
    gate_activations,
    truncated_normal_weight,
)


class InputProjection(keras.layers.Layer):
    """Map features to the first LSTM's input: ELU(w^T z + b).

    Args:
        input_size: int, F.
        units: int, H.
        seed: seed of `w` (truncated normal, sigma 1/sqrt(F)); `b` starts at 0.
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

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Turn `[F, N]` into `[H, N]`."""
        weights = tf.convert_to_tensor(self.w)
        bias = tf.convert_to_tensor(self.b)[:, tf.newaxis]
        return tf.nn.elu(tf.matmul(weights, features, transpose_a=True) + bias)


class Readout(keras.layers.Layer):
    """Map the last hidden layer to one number per coordinate: w^T h + b.

    Args:
        input_size: int, H.
        seed: seed of `w` (truncated normal, sigma 1/sqrt(H)); `b` starts at 0.
        name: str.
        dtype: str.
    """

    def __init__(
        self,
        input_size: int,
        seed: Seed,
        name: str | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.w = truncated_normal_weight(
            self, "w", (input_size, 1), input_size, seed
        )
        self.b = self.add_weight(name="b", shape=(1,), initializer="zeros")
        self.built = True

    def call(self, hidden: tf.Tensor) -> Vector:
        """Turn `[H, N]` into `[N]`."""
        weights = tf.convert_to_tensor(self.w)
        row = tf.matmul(weights, hidden, transpose_a=True)  # [1, N]
        return row[0] + tf.convert_to_tensor(self.b)


class CoordinateNetwork(keras.layers.Layer):
    """Stack LSTM layers and a linear read-out over features `[F, N]`.

    Args:
        input_size: int, F.
        units: tuple of int, one per LSTM layer, in series without skips.
        seed: seed of all initial weights.
        dtype: str.

    Attributes:
        cells: the `LSTMCell`s, named lstm_1, lstm_2, ...;
            `keras.layers.RNN(keras.layers.StackedRNNCells(cells))` runs them.
        readout: the `Readout`, named linear.
    """

    def __init__(
        self,
        input_size: int,
        units: tuple[int, ...],
        seed: Seed,
        dtype: str = "float32",
    ) -> None:
        super().__init__(dtype=dtype)
        sizes = (
            checks.positive_int("input_size", input_size),
            *(checks.positive_int("units", u) for u in units),
        )
        self.cells = [
            LSTMCell(
                sizes[i],
                sizes[i + 1],
                seeds.fold_in(seed, i),
                name=f"lstm_{i + 1}",
                dtype=dtype,
            )
            for i in range(len(units))
        ]
        self.readout = Readout(
            sizes[-1],
            seeds.fold_in(seed, len(units)),
            name="linear",
            dtype=dtype,
        )
        self.built = True

    def initial_states(self, num_coordinates: int) -> tuple[LSTMState, ...]:
        """Return zero states, one `LSTMState` per layer."""
        return tuple(c.initial_state(num_coordinates) for c in self.cells)

    def call(
        self, features: tf.Tensor, states: tuple[LSTMState, ...]
    ) -> tuple[Vector, tuple[LSTMState, ...]]:
        """Run one step.

        Args:
            features: float `[F, N]`.
            states: one `LSTMState` per layer.

        Returns:
            `(output [N], states)`.
        """
        hidden, new_states = features, []
        for cell, state in zip(self.cells, states, strict=True):
            hidden, state = cell.step(hidden, state)
            new_states.append(state)
        return self.readout.call(hidden), tuple(new_states)

    def activations(
        self, features: tf.Tensor, states: tuple[LSTMState, ...]
    ) -> dict[str, tf.Tensor]:
        """Return what the gates do in one step; the arguments of `call`."""
        return gate_activations(self.cells, features, states)
