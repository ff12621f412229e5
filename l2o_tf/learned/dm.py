"""L2O-DM: the coordinate-wise LSTM optimizer."""

from __future__ import annotations

import gin
import keras
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Seed, Vector
from l2o_tf.learned import features
from l2o_tf.learned.lstm import LSTMState
from l2o_tf.learned.network import CoordinateNetwork
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


@gin.register(module="l2o_tf.learned")
@keras.saving.register_keras_serializable(package="l2o_tf")
class DMLSTM(OptimizerCell):
    """Compute each coordinate's update by an LSTM that all coordinates share.

        z_t = LogAndSign(g_t)                              (2 features)
        u_t, h_t = linear(LSTM_2(LSTM_1(z_t, h_{t-1})))
        x_{t+1} = x_t + output_scale u_t

    With the defaults there are 5,141 weights: 22 x 80 + 80, 40 x 80 + 80,
    20 + 1.

    Args:
        units: tuple of int, one per LSTM layer. Defaults to `(20, 20)`.
        preprocessing: "log_and_sign" (2 features) or "identity" (the raw
            gradient, as the released program has for its quadratics).
        log_scale: float, k of LogAndSign. Defaults to 5.
        output_scale: float, defaults to 0.01 (1 goes with "identity").
        seed: int, of the initial weights.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Andrychowicz et al., NeurIPS 2016, https://arxiv.org/abs/1606.04474;
        constants of the released program, spec dm_rnnprop.md 2.1.
    """

    coordinatewise = True

    def __init__(
        self,
        units: tuple[int, ...] = (20, 20),
        preprocessing: str = "log_and_sign",
        log_scale: float = 5.0,
        output_scale: float = 0.01,
        seed: int = 0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.units = tuple(units)
        self.preprocessing = checks.one_of(
            "preprocessing", preprocessing, ("log_and_sign", "identity")
        )
        self.log_scale = checks.real(
            "log_scale", log_scale, low=0.0, low_open=True
        )
        self.output_scale = checks.real("output_scale", output_scale)
        self.seed = seed
        self.network = CoordinateNetwork(
            input_size=2 if preprocessing == "log_and_sign" else 1,
            units=self.units,
            seed=seeds.make_seed(seed),
            dtype=dtype,
        )
        self.built = True

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> tuple[LSTMState, ...]:
        """Return zeros: one `LSTMState` of `[units, N]` per layer."""
        del seed
        return self.network.initial_states(layout.size)

    def features(self, gradient: Vector) -> tf.Tensor:
        """Turn the gradient `[N]` into the network's input `[F, N]`."""
        if self.preprocessing == "identity":
            return features.identity(gradient)
        return features.log_and_sign(gradient, self.log_scale)

    def call(
        self, inputs: OptimizerInputs, states: tuple[LSTMState, ...]
    ) -> tuple[Vector, tuple[LSTMState, ...]]:
        """Compute one update; see the class."""
        output, states = self.network.call(
            self.features(inputs.gradient), states
        )
        return self.output_scale * output, states

    def activations(
        self, inputs: OptimizerInputs, states: tuple[LSTMState, ...]
    ) -> dict[str, tf.Tensor]:
        """Return what the LSTMs' gates do in one step."""
        return self.network.activations(self.features(inputs.gradient), states)

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {
            "units": self.units,
            "preprocessing": self.preprocessing,
            "log_scale": self.log_scale,
            "output_scale": self.output_scale,
            "seed": self.seed,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
