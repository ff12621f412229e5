"""The yardstick: L2O-DM as a plain TensorFlow 2 program, tensor by tensor.

What one writes without this package: a list of tensors per optimizee, one LSTM
call per tensor on `[n, features]`, a `tf.while_loop` over the window, one
`tf.GradientTape` around the loop, the optimizee's gradients held constant, and
Adam on the list of weights; one call of a compiled function per window. It
computes the package's numbers (tests/tools/bench_unroll_test.py says so): it
draws the same starts and gathers the same minibatches, and shares no other
computation with the package.

Memory: the activations of all steps of a window, of the optimizee and the
LSTMs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Nest, Scalar, Seed
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.mlp import ACTIVATIONS, MLP
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.unroll.carry import Carry, batch_seed, boundary_seed

Tensors = list[tf.Tensor]
Loss = Callable[[Tensors, Nest, Nest], Scalar]

_UNITS = 20
_EPSILON = float(np.finfo(np.float32).eps)


class Inner(NamedTuple):
    """An episode: tensors, each one's LSTM states h, c, h, c; constants; t."""

    params: Tensors
    states: list[Tensors]
    constants: Nest
    step: Scalar


class Outer(NamedTuple):
    """The LSTM's weights, Adam's moments (one tensor each) and its step."""

    weights: Tensors
    first: Tensors
    second: Tensors
    step: Scalar


def plain_loss(optimizee: Optimizee) -> Loss:
    """Write the loss of a problem of the package on a list of tensors.

    Raises:
        ValueError: if the yardstick has no such program.
    """
    if isinstance(optimizee, MLP):
        activate = ACTIVATIONS[optimizee.activation]

        def mlp(params: Tensors, constants: Nest, batch: Nest) -> Scalar:
            del constants
            images, labels = batch
            hidden = tf.reshape(images, [images.shape[0], -1])
            for i in range(0, len(params), 2):
                hidden = activate(hidden) if i else hidden
                hidden = tf.matmul(hidden, params[i]) + params[i + 1]
            return tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, hidden)
            )

        return mlp
    if isinstance(optimizee, Quadratic):

        def quadratic(params: Tensors, constants: Nest, batch: Nest) -> Scalar:
            del batch
            w, y = constants
            error = tf.linalg.matvec(w, params[0]) - y
            return tf.reduce_mean(tf.reduce_sum(error**2, axis=1))

        return quadratic
    if isinstance(optimizee, Simple):
        return lambda params, constants, batch: params[0] ** 2
    raise ValueError(
        "The yardstick has no per-tensor program of this problem; write one in "
        f"tools/yardstick.py. Received: optimizee={type(optimizee).__name__}."
    )


def lstm(
    inputs: tf.Tensor, h: tf.Tensor, c: tf.Tensor, w: tf.Tensor, b: tf.Tensor
) -> Tensors:
    """Run one LSTM layer on `[n, F]`; return `[h, c]`, each `[n, 20]`."""
    gates = tf.matmul(tf.concat([inputs, h], axis=1), w) + b
    i, j, f, o = tf.split(gates, 4, axis=1)
    c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(j)
    return [tf.sigmoid(o) * tf.tanh(c), c]


def update(
    weights: Tensors, gradient: tf.Tensor, states: Tensors
) -> tuple[tf.Tensor, Tensors]:
    """Turn one tensor's gradient into its update and new LSTM states."""
    w_1, b_1, w_2, b_2, w, b = weights
    g = tf.reshape(gradient, [-1, 1])
    log_part = tf.maximum(tf.math.log(tf.abs(g) + _EPSILON) / 5.0, -1.0)
    sign_part = tf.clip_by_value(g * math.exp(5.0), -1.0, 1.0)
    features = tf.concat([log_part, sign_part], axis=1)  # [n, 2]
    first = lstm(features, states[0], states[1], w_1, b_1)
    second = lstm(first[0], states[2], states[3], w_2, b_2)
    output = 0.01 * (tf.matmul(second[0], w) + b)
    return tf.reshape(output, gradient.shape), [*first, *second]


class Yardstick:
    """The plain program for one problem.

    Args:
        optimizee: the problem.
        unroll_length: int, steps per window.
        jit_compile: bool, XLA or the graph runtime.

    Raises:
        ValueError: if there is no per-tensor program of the problem.
    """

    def __init__(
        self, optimizee: Optimizee, unroll_length: int, jit_compile: bool
    ) -> None:
        self._optimizee = optimizee
        self._loss = plain_loss(optimizee)
        self._length = unroll_length
        self.start = compiled(self._start, jit_compile)
        self.train_window = compiled(self._train_window, jit_compile)
        self.final_loss = compiled(self._final_loss, jit_compile)

    def _start(self, seed: Seed) -> Inner:
        # Child 0 of the seed: the start that `start_episode` draws.
        flat, constants = self._optimizee.reset(seeds.fold_in(seed, 0))
        params = list(self._optimizee.layout.split(flat))
        states = [
            [tf.zeros([math.prod(p.shape), _UNITS]) for _ in range(4)]
            for p in params
        ]
        return Inner(params, states, constants, tf.constant(0))

    def _f(
        self, inner: Inner, seed: Seed, stream: Callable[[Carry], Seed]
    ) -> Scalar:
        carry = Carry((), (), (), inner.step, seed)
        batch = self._optimizee.sample(stream(carry))
        return self._loss(inner.params, inner.constants, batch)

    def _step(
        self, weights: Tensors, inner: Inner, seed: Seed
    ) -> tuple[Scalar, Inner]:
        with tf.GradientTape() as tape:
            tape.watch(inner.params)
            loss = self._f(inner, seed, batch_seed)
        gradients = tape.gradient(loss, inner.params)
        params, states = [], []
        for x, g, s in zip(inner.params, gradients, inner.states, strict=True):
            change, s = update(weights, tf.stop_gradient(g), s)
            params.append(x + change)
            states.append(s)
        return loss, Inner(params, states, inner.constants, inner.step + 1)

    def _run(
        self, weights: Tensors, inner: Inner, seed: Seed, length: int | Scalar
    ) -> tuple[Scalar, Inner]:
        """Take `length` steps; return the sum of their losses and the end."""

        def body(
            i: Scalar, total: Scalar, inner: Inner
        ) -> tuple[Scalar, Scalar, Inner]:
            loss, inner = self._step(weights, inner, seed)
            return i + 1, total + loss, inner

        _, total, inner = tf.while_loop(
            lambda i, *_: i < length,
            body,
            (tf.constant(0), tf.constant(0.0), inner),
            maximum_iterations=length,
        )
        return total, inner

    def meta_gradient(
        self, weights: Tensors, inner: Inner, seed: Seed
    ) -> tuple[Scalar, Scalar, Tensors, Inner]:
        """Return a window's `(meta-loss, last loss, meta-gradient, inner)`."""
        with tf.GradientTape() as tape:
            tape.watch(weights)
            total, inner = self._run(weights, inner, seed, self._length)
            last = self._f(inner, seed, boundary_seed)
            total = total + last
        return total, last, tape.gradient(total, weights), inner

    def _train_window(
        self, outer: Outer, inner: Inner, seed: Seed
    ) -> tuple[Scalar, Outer, Inner]:
        """Take one window and one step of Adam(1e-3, 0.9, 0.999, 1e-8)."""
        total, _, gradient, inner = self.meta_gradient(
            outer.weights, inner, seed
        )
        t = tf.cast(outer.step + 1, tf.float32)
        rate = 1e-3 * tf.sqrt(1.0 - 0.999**t) / (1.0 - 0.9**t)
        both = list(zip(outer.first, outer.second, gradient, strict=True))
        first = [0.9 * m + 0.1 * g for m, _, g in both]
        second = [0.999 * v + 0.001 * g**2 for _, v, g in both]
        weights = [
            w - rate * m / (tf.sqrt(v) + 1e-8)
            for w, m, v in zip(outer.weights, first, second, strict=True)
        ]
        return total, Outer(weights, first, second, outer.step + 1), inner

    def _final_loss(
        self, weights: Tensors, seed: Seed, length: Scalar
    ) -> Scalar:
        _, inner = self._run(weights, self._start(seed), seed, length)
        return self._f(inner, seed, boundary_seed)


def first_outer(weights: Sequence[tf.Tensor]) -> Outer:
    """Return weights with Adam's moments at 0."""
    zeros = [tf.zeros_like(w) for w in weights]
    return Outer(list(weights), zeros, list(zeros), tf.constant(0))
