"""Float64 quadratics whose unrolls with `LearnableSGD` are known exactly."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.optimizees.base import Optimizee


class DiagonalQuadratic(Optimizee):
    """f(x) = 1/2 sum_i h_i x_i^2 from a given start."""

    def __init__(self, curvature, start, dtype="float64") -> None:
        self.h = np.asarray(curvature, dtype)
        self.x0 = np.asarray(start, dtype)
        self.layout = Layout(("x",), (self.h.shape,))

    def reset(self, seed):
        return tf.constant(self.x0), ()

    def sample(self, seed):
        return ()

    def loss(self, params, constants, batch):
        return 0.5 * tf.reduce_sum(self.h * params**2)

    def at(self, eta, t):
        """x_t of gradient descent with rate eta."""
        return (1.0 - eta * self.h) ** t * self.x0

    def total_loss(self, eta, length):
        """The sum of f(x_0) .. f(x_length)."""
        return sum(
            0.5 * np.sum(self.h * self.at(eta, t) ** 2)
            for t in range(length + 1)
        )

    def first_order_gradient(self, eta, length):
        """d total / d eta with every gradient held constant."""
        g = [self.h * self.at(eta, t) for t in range(length + 1)]
        return sum(
            -np.dot(g[s], g[t]) for s in range(length + 1) for t in range(s)
        )

    def exact_gradient(self, eta, length):
        """d total / d eta, x_t = (1 - eta h)^t x_0 differentiated."""
        total = 0.0
        for t in range(1, length + 1):
            slope = -t * self.h * (1 - eta * self.h) ** (t - 1) * self.x0
            total += np.sum(self.h * self.at(eta, t) * slope)
        return total


class NoisyQuadratic(DiagonalQuadratic):
    """f(x; b) = 1/2 sum_i h_i (x_i - b_i)^2, every minibatch its own b."""

    def sample(self, seed):
        return tf.cast(seeds.normal(seed, self.h.shape), self.h.dtype)

    def loss(self, params, constants, batch):
        return 0.5 * tf.reduce_sum(self.h * (params - batch) ** 2)


class Slope(NoisyQuadratic):
    """f(x; b) = sum_i h_i b_i x_i: gradients that x does not change."""

    def loss(self, params, constants, batch):
        return tf.reduce_sum(self.h * batch * params)
