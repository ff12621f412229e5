"""LSTMs and a read-out, as the coordinate-wise cells have them."""

from __future__ import annotations

import keras
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Seed, Vector
from l2o_tf.learned.linear import Linear
from l2o_tf.learned.lstm import LSTMCell, LSTMState, gate_activations


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
        readout: a `Linear` map to one number, named linear.
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
        self.readout = Linear(
            sizes[-1],
            1,
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
        return self.readout.call(hidden)[0], tuple(new_states)

    def activations(
        self, features: tf.Tensor, states: tuple[LSTMState, ...]
    ) -> dict[str, tf.Tensor]:
        """Return what the gates do in one step; the arguments of `call`."""
        return gate_activations(self.cells, features, states)
