"""Cells that exist to be seen through: each shows one seam of the unroll."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from l2o_tf.optimizers.base import OptimizerCell


class WeightDecay(OptimizerCell):
    """u_t = -eta g_t - decay x_t, both learned: a cell that reads params."""

    reads_params = True
    coordinatewise = True

    def __init__(self, eta=0.1, decay=0.01, dtype="float32", name=None):
        super().__init__(name=name, dtype=dtype)
        self.eta = self._number("eta", eta)
        self.decay = self._number("decay", decay)
        self.built = True

    def _number(self, name, value):
        return self.add_weight(
            name=name,
            shape=(),
            initializer=lambda shape, dtype: tf.constant(value, dtype),
        )

    def get_initial_state(self, layout, seed=None):
        return ()

    def call(self, inputs, states):
        eta, decay = map(tf.convert_to_tensor, (self.eta, self.decay))
        return -eta * inputs.gradient - decay * inputs.params, states


class Velocity(NamedTuple):
    """The state of `LearnableMomentum`."""

    velocity: tf.Tensor


class Counted(NamedTuple):
    """The state of `LearnedStart`."""

    velocity: tf.Tensor
    count: tf.Tensor


class LearnableMomentum(OptimizerCell):
    """a_t = mu a_{t-1} + g_t, u_t = -eta a_t; both learned, one state."""

    def __init__(self, eta=0.1, mu=0.5, dtype="float32", name=None):
        super().__init__(name=name, dtype=dtype)
        self.weights_vector = self.add_weight(
            name="eta_and_mu",
            shape=(2,),
            initializer=lambda shape, dtype: tf.constant([eta, mu], dtype),
        )
        self.built = True

    def get_initial_state(self, layout, seed=None):
        return Velocity(tf.zeros([layout.size], self.compute_dtype))

    def call(self, inputs, states):
        eta, mu = tf.unstack(tf.convert_to_tensor(self.weights_vector))
        a = mu * states.velocity + inputs.gradient
        return -eta * a, Velocity(a)


class StepScaled(OptimizerCell):
    """u_t = -eta t f_t g_t: reads the loss and the number of the step."""

    def __init__(self, eta=0.1, dtype="float32", name=None):
        super().__init__(name=name, dtype=dtype)
        self.eta = eta
        self.built = True

    def get_initial_state(self, layout, seed=None):
        return ()

    def call(self, inputs, states):
        step = tf.cast(inputs.step, inputs.gradient.dtype)
        return -self.eta * step * inputs.loss * inputs.gradient, states


class DecayedDescent(OptimizerCell):
    """u_t = -0.1 g_t - 0.02 x_t: a hand-designed cell that reads params."""

    reads_params = True

    def get_initial_state(self, layout, seed=None):
        return ()

    def call(self, inputs, states):
        return -0.1 * inputs.gradient - 0.02 * inputs.params, states


class LearnedStart(OptimizerCell):
    """a_t = mu a_{t-1} + g_t, u_t = -eta a_t, a_0 = start everywhere.

    All three are learned: a cell whose initial state is a weight. The steps
    it counts are an int of its state.
    """

    def __init__(self, eta=0.1, mu=0.5, start=0.3, dtype="float32", name=None):
        super().__init__(name=name, dtype=dtype)
        self.rule = self.add_weight(
            name="eta_and_mu",
            shape=(2,),
            initializer=lambda shape, dtype: tf.constant([eta, mu], dtype),
        )
        self.first = self.add_weight(
            name="start",
            shape=(),
            initializer=lambda shape, dtype: tf.constant(start, dtype),
        )
        self.built = True

    def get_initial_state(self, layout, seed=None):
        ones = tf.ones([layout.size], self.compute_dtype)
        return Counted(ones * tf.convert_to_tensor(self.first), tf.constant(0))

    def call(self, inputs, states):
        eta, mu = tf.unstack(tf.convert_to_tensor(self.rule))
        a = mu * states.velocity + inputs.gradient
        return -eta * a, Counted(a, states.count + 1)


class Ahead(LearnedStart):
    """A `LearnedStart` whose gradients are taken at x_t - 0.1 a_t."""

    looks_ahead = True

    def look_ahead(self, params, states):
        return params - 0.1 * states.velocity
