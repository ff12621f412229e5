"""The coordinate-wise relative of the hierarchical RNN optimizer.

L2O-DM's stack of LSTMs, fed with a scaled gradient, which also sets the decay
of that scale and a learning rate per coordinate. Cost: L2O-DM's, plus three
vectors of state.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import gin
import keras
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Seed, Vector
from l2o_tf.learned.drawn_weight import drawn_weight
from l2o_tf.learned.gradient_scales import MEAN_SQUARE_EPSILON, ROOT_EPSILON
from l2o_tf.learned.gru import Affine, normal_weight
from l2o_tf.learned.learning_rates import check_range
from l2o_tf.learned.lstm import LSTMCell, LSTMState, gate_activations
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs

READOUT_SCALE = 0.5
DECAY_BIAS = 2.2
"""Where the bias of the decay starts: a decay of about 0.9."""


class CoordinatewiseRNNState(NamedTuple):
    """The state.

    Attributes:
        mean_square: `[N]`, s, from 1.
        decay: `[N]`, of the mean square, from 1.
        learning_rate: `[N]`.
        layers: one `LSTMState` of `[units, N]` per layer.
    """

    mean_square: Vector
    decay: Vector
    learning_rate: Vector
    layers: tuple[LSTMState, ...]


def mirrored_asinh(q: tf.Tensor) -> tf.Tensor:
    """Compute asinh(q) = sign(q) ln(|q| + sqrt(1 + q^2)).

    The original takes the formula of a positive q for a negative one as well.
    In float32 the sum is then 0, its logarithm -inf, from about q = -3e3 on;
    q is the raw gradient at this cell's first step, so that happens.
    """
    negative = q < 0.0
    # Not tf.abs, whose derivative at 0 is 0: that of asinh is 1.
    size = tf.where(negative, -q, q)
    result = tf.math.log(size + tf.sqrt(1.0 + tf.square(size)))
    return tf.where(negative, -result, result)


@gin.register(module="l2o_tf.learned")
@keras.saving.register_keras_serializable(package="l2o_tf")
class CoordinatewiseRNN(OptimizerCell):
    """Compute update, decay and rate of each coordinate by a shared LSTM.

        s_t   = (1 - d_{t-1}) (g_t^2 + 1e-12) + d_{t-1} s_{t-1}
        z_t   = asinh(g_t / sqrt(s_t + 1e-16))                 (1 feature)
        h_t   = LSTM_2(LSTM_1(z_t))
        d_t   = sigmoid(h_t w_decay + b_decay)
        eta_t = eta_{t-1} 2 sigmoid(h_t w_rate + b_rate)
        u_t   = -eta_t h_t w_update

    From s_0 = d_0 = 1, so that s_1 = 1 and z_1 is of the raw gradient; from
    LSTM states that are weights, the same for all coordinates; and from an
    eta_0 whose logarithm is uniform in the given range, drawn for each
    coordinate by the seed of the state. With the defaults there are 5,182
    weights: 1,760 + 3,280 in the LSTMs, 80 of their start, 20 + 21 + 21.

    Start of the weights: read-outs Normal(0, 0.25 / units), b_decay 2.2,
    b_rate 0, the LSTMs' start uniform in (-1, 1), the LSTMs as in `LSTMCell`.
    The original takes any kind of cell but works with LSTMs only.

    Args:
        units: tuple of int, one per LSTM layer. Defaults to `(20, 20)`.
        initial_learning_rate_range: tuple of two positive floats, the ends of
            eta_0's range; equal ones, as by default, set it to that number.
        seed: int, of the initial weights, and of eta_0 where
            `get_initial_state` gets no seed.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.

    References:
        The program of Wichrowska et al. 2017, https://arxiv.org/abs/1703.04813;
        spec l2o_scale.md 2.6 and 2.4.
    """

    coordinatewise = True

    def __init__(
        self,
        units: tuple[int, ...] = (20, 20),
        initial_learning_rate_range: tuple[float, float] = (1.0, 1.0),
        seed: int = 0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.units = tuple(checks.positive_int("units", u) for u in units)
        if not self.units:
            raise ValueError(
                "A CoordinatewiseRNN needs at least one layer. Received: "
                "units=()."
            )
        self.initial_learning_rate_range = check_range(
            "initial_learning_rate_range", initial_learning_rate_range
        )
        self.seed = seed
        root = seeds.make_seed(seed)
        self.cells = [
            LSTMCell(
                input_size,
                size,
                seeds.fold_in(root, i),
                name=f"lstm_{i + 1}",
                dtype=dtype,
            )
            for i, (input_size, size) in enumerate(
                zip((1, *self.units), self.units, strict=False)
            )
        ]
        self._add_own_weights(seeds.fold_in(root, len(self.units)))
        self.built = True

    def _add_own_weights(self, seed: Seed) -> None:
        units = self.units[-1]
        start = seeds.uniform(
            seeds.fold_in(seed, 0), [2 * sum(self.units)], -1.0, 1.0
        )
        self.initial_layers = drawn_weight(self, "initial_layers", start)
        self.w_update = normal_weight(
            self,
            "w_update",
            (units, 1),
            READOUT_SCALE / math.sqrt(units),
            seeds.fold_in(seed, 1),
        )
        self.decay, self.rate = (
            Affine(
                units,
                1,
                seeds.fold_in(seed, number),
                READOUT_SCALE,
                bias,
                name=name,
                dtype=self.compute_dtype,
            )
            for number, name, bias in (
                (2, "decay", DECAY_BIAS),
                (3, "rate", 0.0),
            )
        )

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> CoordinatewiseRNNState:
        """Return the state before the first step; see the class.

        Differentiable in the weights that the LSTMs start from.
        """
        ones = tf.ones([layout.size], self.compute_dtype)
        sizes = [size for units in self.units for size in (units, units)]
        columns = [
            column[:, tf.newaxis] * ones  # [units, N]
            for column in tf.split(
                tf.convert_to_tensor(self.initial_layers), sizes
            )
        ]
        # In the vector, each layer's memory lies before its hidden part.
        layers = tuple(
            LSTMState(hidden, memory)
            for memory, hidden in zip(columns[::2], columns[1::2], strict=True)
        )
        rates = self._initial_rates(layout.size, seed)
        return CoordinatewiseRNNState(ones, ones, rates, layers)

    def _initial_rates(self, size: int, seed: Seed | None) -> Vector:
        low, high = self.initial_learning_rate_range
        if low == high:
            return tf.fill([size], tf.constant(low, self.compute_dtype))
        if seed is None:
            seed = seeds.fold_in(
                seeds.make_seed(self.seed), len(self.units) + 1
            )
        logs = seeds.uniform(seed, [size], math.log(low), math.log(high))
        return tf.cast(tf.exp(logs), self.compute_dtype)

    def call(
        self, inputs: OptimizerInputs, states: CoordinatewiseRNNState
    ) -> tuple[Vector, CoordinatewiseRNNState]:
        """Compute one update; see the class."""
        hidden, mean_square = self._feature(inputs, states)
        layers = []
        for cell, state in zip(self.cells, states.layers, strict=True):
            hidden, state = cell.step(hidden, state)
            layers.append(state)
        weights = tf.convert_to_tensor(self.w_update)
        direction = tf.matmul(weights, hidden, transpose_a=True)[0]
        decay = tf.sigmoid(self.decay.call(hidden)[0])
        change = 2.0 * tf.sigmoid(self.rate.call(hidden)[0])
        rate = states.learning_rate * change
        return -rate * direction, CoordinatewiseRNNState(
            mean_square, decay, rate, tuple(layers)
        )

    def activations(
        self, inputs: OptimizerInputs, states: CoordinatewiseRNNState
    ) -> dict[str, tf.Tensor]:
        """Return what the LSTMs' gates do in one step."""
        feature, _ = self._feature(inputs, states)
        return gate_activations(self.cells, feature, states.layers)

    def _feature(
        self, inputs: OptimizerInputs, states: CoordinatewiseRNNState
    ) -> tuple[tf.Tensor, Vector]:
        """Return the first LSTM's input, `[1, N]`, and the new mean square."""
        # The hierarchical RNN leaves the decay out where a tensor's whole mean
        # square is 0, as at its start. Here it starts at 1 and stays above
        # 1e-12, being between that and g^2 + 1e-12: there is no such case.
        decay, square = states.decay, tf.square(inputs.gradient)
        mean_square = (1.0 - decay) * (square + MEAN_SQUARE_EPSILON)
        mean_square += decay * states.mean_square
        scaled = inputs.gradient / tf.sqrt(mean_square + ROOT_EPSILON)
        return mirrored_asinh(scaled)[tf.newaxis], mean_square

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "units": self.units,
            "initial_learning_rate_range": self.initial_learning_rate_range,
            "seed": self.seed,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
