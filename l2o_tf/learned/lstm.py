"""The LSTM cell of the released programs, as a Keras RNN cell.

Two entrances to one computation: `call` obeys Keras' contract (`[N, F]`, so
`keras.layers.RNN` takes the cell), `step` is features-first (`[F, N]`), which
is what the learned optimizers run: N is many thousands and F a few, and on a
CPU under XLA the features-first step takes 0.6 of the time of the other.

Reference: Hochreiter & Schmidhuber 1997; gate order and forget bias of
dm-sonnet's LSTM, which the released weights assume.
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

FORGET_BIAS = 1.0


class LSTMState(NamedTuple):
    """The state of one layer, both float `[units, N]`, zero at reset."""

    hidden: tf.Tensor
    memory: tf.Tensor


class LSTMGates(NamedTuple):
    """What the gates of one layer let through, all float `[units, N]`.

    Attributes:
        input: sigmoid(i), how much of the candidate is taken.
        candidate: tanh(j), what may be taken.
        forget: sigmoid(f + 1), how much of the memory is kept.
        output: sigmoid(o), how much of the memory is told.
    """

    input: tf.Tensor
    candidate: tf.Tensor
    forget: tf.Tensor
    output: tf.Tensor


def truncated_normal_weight(
    layer: keras.layers.Layer,
    name: str,
    shape: Sequence[int],
    fan_in: int,
    seed: Seed,
) -> keras.Variable:
    """Add a weight drawn from a truncated normal of sigma 1/sqrt(fan_in).

    "Truncated" at two sigma, so the numbers' standard deviation is 0.87963
    sigma (spec dm_rnnprop.md 2.2).
    """
    value = seeds.truncated_normal(seed, shape, 1.0 / math.sqrt(fan_in))
    return drawn_weight(layer, name, value)


class LSTMCell(keras.layers.Layer):
    """Run one LSTM step on every coordinate, all with the same weights.

        z = w_gates^T [x; h_{t-1}] + b_gates           i, j, f, o = rows of z
        c_t = sigmoid(f + 1) c_{t-1} + sigmoid(i) tanh(j)
        h_t = sigmoid(o) tanh(c_t)

    The forget bias 1 is added at run time, it is not inside `b_gates`. Both
    weights, the bias too, start from a truncated normal with
    sigma = 1/sqrt(input_size + units).

    Args:
        input_size: int, F, features per coordinate.
        units: int, H.
        seed: seed of the initial weights.
        name: str, the layer's name, first part of its weights' names.
        dtype: str, "float32" unless a test needs more.

    Attributes:
        w_gates: `[F + H, 4 H]`, input rows first, columns i, j, f, o.
        b_gates: `[4 H]`.
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
        self.input_size = checks.positive_int("input_size", input_size)
        self.units = checks.positive_int("units", units)
        fan_in = input_size + units
        self.w_gates = truncated_normal_weight(
            self, "w_gates", (fan_in, 4 * units), fan_in, seeds.fold_in(seed, 0)
        )
        self.b_gates = truncated_normal_weight(
            self, "b_gates", (4 * units,), fan_in, seeds.fold_in(seed, 1)
        )
        self.built = True

    @property
    def state_size(self) -> list[int]:
        """Sizes of h and c, as `keras.layers.RNN` asks for them."""
        return [self.units, self.units]

    @property
    def output_size(self) -> int:
        """Size of the output h."""
        return self.units

    def initial_state(self, num_coordinates: int) -> LSTMState:
        """Return zeros, each `[units, N]`."""
        zeros = tf.zeros([self.units, num_coordinates], self.compute_dtype)
        return LSTMState(zeros, zeros)

    def gates(self, inputs: tf.Tensor, state: LSTMState) -> LSTMGates:
        """Compute the gates of one step, features first.

        Args:
            inputs: float `[F, N]`.
            state: `LSTMState` of `[H, N]`.
        """
        columns = tf.concat([inputs, state.hidden], axis=0)  # [F + H, N]
        weights = tf.convert_to_tensor(self.w_gates)
        bias = tf.convert_to_tensor(self.b_gates)[:, tf.newaxis]
        gates = tf.matmul(weights, columns, transpose_a=True) + bias
        i, j, f, o = tf.split(gates, 4, axis=0)
        return LSTMGates(
            input=tf.sigmoid(i),
            candidate=tf.tanh(j),
            forget=tf.sigmoid(f + FORGET_BIAS),
            output=tf.sigmoid(o),
        )

    def step(
        self, inputs: tf.Tensor, state: LSTMState
    ) -> tuple[tf.Tensor, LSTMState]:
        """Run one step, features first.

        Args:
            inputs: float `[F, N]`.
            state: `LSTMState` of `[H, N]`.

        Returns:
            `(h_t [H, N], LSTMState)`.
        """
        gates = self.gates(inputs, state)
        memory = gates.forget * state.memory
        memory += gates.input * gates.candidate
        hidden = gates.output * tf.tanh(memory)
        return hidden, LSTMState(hidden, memory)

    def call(
        self, inputs: tf.Tensor, states: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Run one step under Keras' contract.

        Args:
            inputs: float `[N, F]`.
            states: h and c, each `[N, H]`.

        Returns:
            `(h_t [N, H], [h_t, c_t])`.
        """
        hidden, state = self.step(
            tf.transpose(inputs), LSTMState(*map(tf.transpose, states))
        )
        return tf.transpose(hidden), [tf.transpose(s) for s in state]


def gate_activations(
    cells: Sequence[LSTMCell],
    inputs: tf.Tensor,
    states: Sequence[LSTMState],
) -> dict[str, tf.Tensor]:
    """Return the gates of every layer of a stack, "<layer>/<gate>".

    Args:
        cells: the layers, in series.
        inputs: float `[F, N]`, of the first one.
        states: one `LSTMState` per layer.
    """
    activations = {}
    for cell, state in zip(cells, states, strict=True):
        for gate, values in cell.gates(inputs, state)._asdict().items():
            activations[f"{cell.name}/{gate}"] = values
        inputs, _ = cell.step(inputs, state)
    return activations
