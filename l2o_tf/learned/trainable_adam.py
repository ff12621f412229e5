"""Adam with four learned numbers. Cost: two vectors of state."""

from __future__ import annotations

import math
from typing import Any

import gin
import keras
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.optimizers.adam import AdamState
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs

ROOT_EPSILON = 1e-10
"""Added under the root and, once more, beside it."""


def _logit(probability: float) -> float:
    return math.log(probability) - math.log1p(-probability)


@gin.register(module="l2o_tf.learned")
@keras.saving.register_keras_serializable(package="l2o_tf")
class TrainableAdam(OptimizerCell):
    """Run Adam with its rate, its two decays and its epsilon learned.

        b_i = sigmoid(beta_i_logit)
        m_t = b_1 m_{t-1} + (1 - b_1) g_t
        v_t = b_2 v_{t-1} + (1 - b_2) g_t^2
        m^  = m_t / (1 - b_1^t),    v^ = v_t / (1 - b_2^t)
        u_t = -exp(log_learning_rate) m^
              / (sqrt(v^ + 1e-10) + exp(log_epsilon) + 1e-10)

    Where t is `inputs.step`; the original counts it in its state. The weights
    are the four scalars log_learning_rate, beta_1_logit, beta_2_logit and
    log_epsilon. `l2o_tf.optimizers.adam.Adam` has its epsilon elsewhere.

    Deviation: a slip of the original program makes its second moment

        v_t = v_{t-1} / (1 - (g_t^2)^b_2)          (released_second_moment)

    which stays 0 (-0 behind a |g_t| > 1), so that u_t is momentum times
    exp(log_learning_rate) / (1e-5 + exp(log_epsilon) + 1e-10), about 100 times
    the rate at the start, and beta_2_logit has no effect. Where (g_t^2)^b_2
    rounds to 1, at |g_t| = 1 above all, v_t is 0 / 0: that coordinate is not a
    number from there on. A derivative in g_t is not a number at g_t = 0.

    Args:
        learning_rate: positive float, where the rate starts. Defaults to 0.001.
        beta_1: float in (0, 1), likewise. Defaults to 0.9.
        beta_2: float in (0, 1), likewise. Defaults to 0.999.
        epsilon: positive float, likewise. Defaults to 1e-8.
        released_second_moment: bool, whether v_t is the original program's.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Kingma & Ba, ICLR 2015, https://arxiv.org/abs/1412.6980, algorithm 1;
        the program of Wichrowska et al. 2017, https://arxiv.org/abs/1703.04813;
        spec l2o_scale.md 2.6.
    """

    coordinatewise = True

    def __init__(
        self,
        learning_rate: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        released_second_moment: bool = False,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.learning_rate = checks.real(
            "learning_rate", learning_rate, 0.0, low_open=True
        )
        self.beta_1 = checks.real(
            "beta_1", beta_1, 0.0, 1.0, low_open=True, high_open=True
        )
        self.beta_2 = checks.real(
            "beta_2", beta_2, 0.0, 1.0, low_open=True, high_open=True
        )
        self.epsilon = checks.real("epsilon", epsilon, 0.0, low_open=True)
        self.released_second_moment = checks.boolean(
            "released_second_moment", released_second_moment
        )
        self.log_learning_rate = self._scalar(
            "log_learning_rate", math.log(self.learning_rate)
        )
        self.beta_1_logit = self._scalar("beta_1_logit", _logit(self.beta_1))
        self.beta_2_logit = self._scalar("beta_2_logit", _logit(self.beta_2))
        self.log_epsilon = self._scalar("log_epsilon", math.log(self.epsilon))
        self.built = True

    def _scalar(self, name: str, start: float) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=(),
            initializer=lambda shape, dtype: tf.constant(start, dtype),
        )

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> AdamState:
        """Return m_0 = v_0 = 0, each `[N]`."""
        del seed
        zeros = tf.zeros([layout.size], self.compute_dtype)
        return AdamState(zeros, zeros)

    def keep_memory(self, fresh: AdamState, old: AdamState) -> AdamState:
        """Return fresh moments: old ones do not belong to step 1."""
        del old
        return fresh

    def call(
        self, inputs: OptimizerInputs, states: AdamState
    ) -> tuple[Vector, AdamState]:
        """Compute one update; see the class."""
        logit_1 = tf.convert_to_tensor(self.beta_1_logit)
        logit_2 = tf.convert_to_tensor(self.beta_2_logit)
        square = tf.square(inputs.gradient)
        m = _average(states.first_moment, inputs.gradient, logit_1)
        if self.released_second_moment:
            power = tf.pow(square, tf.sigmoid(logit_2))
            v = states.second_moment / (1.0 - power)
        else:
            v = _average(states.second_moment, square, logit_2)
        corrected_m = m / _bias_correction(logit_1, inputs.step)
        corrected_v = v / _bias_correction(logit_2, inputs.step)
        epsilon = tf.exp(tf.convert_to_tensor(self.log_epsilon))
        scale = tf.sqrt(corrected_v + ROOT_EPSILON) + epsilon + ROOT_EPSILON
        rate = tf.exp(tf.convert_to_tensor(self.log_learning_rate))
        return -rate * corrected_m / scale, AdamState(m, v)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "learning_rate": self.learning_rate,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "released_second_moment": self.released_second_moment,
            "dtype": self.compute_dtype,
            "name": self.name,
        }


def _average(old: Vector, new: Vector, logit: Scalar) -> Vector:
    # 1 - sigmoid(x) = sigmoid(-x), without the rounding of the difference.
    return tf.sigmoid(logit) * old + tf.sigmoid(-logit) * new


def _bias_correction(logit: Scalar, step: Scalar) -> Scalar:
    """Compute 1 - b^t = -expm1(t ln b) with ln b = log sigmoid(logit)."""
    time = tf.cast(step, logit.dtype)
    return -tf.math.expm1(time * tf.math.log_sigmoid(logit))
