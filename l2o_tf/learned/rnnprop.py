"""RNNprop: a coordinate-wise LSTM optimizer fed with Adam's normalised moments.

Cost: L2O-DM's, plus two vectors of state and a wider first layer.
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
from l2o_tf.learned.features import normalized_moments
from l2o_tf.learned.linear import Linear
from l2o_tf.learned.lstm import LSTMState
from l2o_tf.learned.network import CoordinateNetwork
from l2o_tf.optimizers.adam import AdamState
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


class RNNpropState(NamedTuple):
    """The state, all zero at reset.

    Attributes:
        moments: m and v, each `[N]`.
        layers: one `LSTMState` of `[units, N]` per layer.
    """

    moments: AdamState
    layers: tuple[LSTMState, ...]


@gin.register(module="l2o_tf.learned")
@keras.saving.register_keras_serializable(package="l2o_tf")
class RNNprop(OptimizerCell):
    """Compute each coordinate's update from Adam-like inputs by a shared LSTM.

        m~_t, g~_t = normalized_moments(g_1 .. g_t)        (2 features)
        z_t = ELU(W [m~_t, g~_t] + b)                      (projection_units)
        u_t = output_scale tanh(linear(LSTM_2(LSTM_1(z_t))))
        x_{t+1} = x_t + u_t,        so |u_t| <= |output_scale|

    With the defaults there are 6,641 weights: 60 + 3,280 + 3,280 + 21. The
    step number of the bias corrections is `inputs.step`.

    The optimizer of Lv et al. is `output_scale=-0.1` (it subtracts),
    `gradient_first=True`, `initial_weights="lv"`.

    Args:
        units: tuple of int, one per LSTM layer. Defaults to `(20, 20)`.
        projection_units: int, defaults to 20.
        beta_1: float in [0, 1), defaults to 0.95.
        beta_2: float in [0, 1), defaults to 0.95.
        epsilon: positive float, outside the root. Defaults to 1e-8.
        output_scale: float, defaults to 0.01.
        gradient_first: bool, whether the features are [g~, m~] instead.
        initial_weights: "fan_in": truncated normal numbers with
            sigma = 1/sqrt(fan in), the LSTMs' biases too, other biases 0 (the
            program of Chen et al.); "lv": `draw_lv_weights`.
        seed: int, of the initial weights.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Lv, Jiang, Li, ICML 2017, https://arxiv.org/abs/1703.03633; constants
        of Chen et al. 2020's program, spec dm_rnnprop.md 2.3 and 10.1.
    """

    coordinatewise = True

    def __init__(
        self,
        units: tuple[int, ...] = (20, 20),
        projection_units: int = 20,
        beta_1: float = 0.95,
        beta_2: float = 0.95,
        epsilon: float = 1e-8,
        output_scale: float = 0.01,
        gradient_first: bool = False,
        initial_weights: str = "fan_in",
        seed: int = 0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.units = tuple(units)
        self.projection_units = checks.positive_int(
            "projection_units", projection_units
        )
        self.beta_1 = checks.real("beta_1", beta_1, 0.0, 1.0, high_open=True)
        self.beta_2 = checks.real("beta_2", beta_2, 0.0, 1.0, high_open=True)
        self.epsilon = checks.real("epsilon", epsilon, low=0.0, low_open=True)
        self.output_scale = checks.real("output_scale", output_scale)
        self.gradient_first = checks.boolean("gradient_first", gradient_first)
        self.initial_weights = checks.one_of(
            "initial_weights", initial_weights, ("fan_in", "lv")
        )
        self.seed = seed
        root = seeds.make_seed(seed)
        self.projection = Linear(
            2,
            projection_units,
            seeds.fold_in(root, 0),
            name="input_projection",
            dtype=dtype,
        )
        self.network = CoordinateNetwork(
            input_size=projection_units,
            units=self.units,
            seed=seeds.fold_in(root, 1),
            dtype=dtype,
        )
        self.built = True
        if initial_weights == "lv":
            self.assign_meta_params(
                draw_lv_weights(self.meta_layout, root, self.compute_dtype)
            )

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> RNNpropState:
        """Return zero moments and zero LSTM states."""
        del seed
        zeros = tf.zeros([layout.size], self.compute_dtype)
        return RNNpropState(
            AdamState(zeros, zeros), self.network.initial_states(layout.size)
        )

    def keep_memory(
        self, fresh: RNNpropState, old: RNNpropState
    ) -> RNNpropState:
        """Return the old LSTM states with fresh moments."""
        return fresh._replace(layers=old.layers)

    def call(
        self, inputs: OptimizerInputs, states: RNNpropState
    ) -> tuple[Vector, RNNpropState]:
        """Compute one update; see the class."""
        projected, moments = self._projected(inputs, states.moments)
        output, layers = self.network.call(projected, states.layers)
        update = self.output_scale * tf.tanh(output)
        return update, RNNpropState(moments, layers)

    def activations(
        self, inputs: OptimizerInputs, states: RNNpropState
    ) -> dict[str, tf.Tensor]:
        """Return what the LSTMs' gates do in one step."""
        projected, _ = self._projected(inputs, states.moments)
        return self.network.activations(projected, states.layers)

    def _projected(
        self, inputs: OptimizerInputs, moments: AdamState
    ) -> tuple[tf.Tensor, AdamState]:
        """Return the first LSTM's input, `[H, N]`, and the new moments."""
        average, present, moments = normalized_moments(
            inputs.gradient,
            moments,
            self.beta_1,
            self.beta_2,
            self.epsilon,
            inputs.step,
        )
        pair = (present, average) if self.gradient_first else (average, present)
        return tf.nn.elu(self.projection.call(tf.stack(pair))), moments

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "units": self.units,
            "projection_units": self.projection_units,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "output_scale": self.output_scale,
            "gradient_first": self.gradient_first,
            "initial_weights": self.initial_weights,
            "seed": self.seed,
            "dtype": self.compute_dtype,
            "name": self.name,
        }


def draw_lv_weights(layout: Layout, seed: Seed, dtype: str) -> Vector:
    """Draw the initial weights of Lv et al.'s program, `[M]`.

    Dense weights from a truncated normal of sigma 0.1; the LSTMs' from a
    uniform distribution of standard deviation 1/sqrt(fan in), the default of
    TensorFlow 0.12, which their program leaves to it; every bias 0.
    """
    tensors = []
    for i, (name, shape) in enumerate(
        zip(layout.names, layout.shapes, strict=True)
    ):
        child = seeds.fold_in(seed, i)
        if len(shape) == 1:
            tensors.append(tf.zeros(shape))
        elif name.endswith("w_gates"):
            bound = math.sqrt(3.0 / shape[0])
            tensors.append(seeds.uniform(child, shape, -bound, bound))
        else:
            tensors.append(seeds.truncated_normal(child, shape, 0.1))
    return tf.cast(layout.flatten(tensors), dtype)
