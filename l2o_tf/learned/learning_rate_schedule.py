"""Gradient descent with one learned rate per step. Cost: num_steps numbers."""

from __future__ import annotations

from typing import Any

import gin
import keras
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Seed, Vector
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


@gin.register(module="l2o_tf.learned")
@keras.saving.register_keras_serializable(package="l2o_tf")
class LearningRateSchedule(OptimizerCell):
    """Step against the gradient at a rate that was learned for this step.

        u_t = -rates[min(t, num_steps) - 1] g_t,       t = 1, 2, ...

    The original counts the steps in its state; here t is `inputs.step`. That
    is the same for an episode that starts afresh. Where an episode goes on
    with another's state, the original goes on in the schedule, this cell
    begins it again.

    Args:
        num_steps: int, the number of rates; the last is used from there on.
            Defaults to 1000.
        initial_learning_rate: float, where every rate starts, of either sign.
            Defaults to 0, the original's: its first update is no move.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.

    References:
        The program of Wichrowska et al. 2017, https://arxiv.org/abs/1703.04813;
        spec l2o_scale.md 2.6.
    """

    coordinatewise = True

    def __init__(
        self,
        num_steps: int = 1000,
        initial_learning_rate: float = 0.0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.num_steps = checks.positive_int("num_steps", num_steps)
        self.initial_learning_rate = checks.real(
            "initial_learning_rate", initial_learning_rate
        )
        self.rates = self.add_weight(
            name="rates",
            shape=(num_steps,),
            initializer=keras.initializers.Constant(self.initial_learning_rate),
        )
        self.built = True

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> tuple[()]:
        """Return no state."""
        del layout, seed
        return ()

    def call(
        self, inputs: OptimizerInputs, states: tuple[()]
    ) -> tuple[Vector, tuple[()]]:
        """Compute one update; see the class."""
        index = tf.minimum(inputs.step, self.num_steps) - 1
        rates = tf.convert_to_tensor(self.rates)
        # Not a gather: its derivative would be sparse, all others are dense.
        present = tf.equal(tf.range(self.num_steps), index)
        rate = tf.reduce_sum(tf.where(present, rates, tf.zeros_like(rates)))
        return -rate * inputs.gradient, states

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "num_steps": self.num_steps,
            "initial_learning_rate": self.initial_learning_rate,
            "dtype": self.compute_dtype,
            "name": self.name,
        }
