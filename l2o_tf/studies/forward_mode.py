"""Learn one number of an optimizer, its derivative carried forwards.

Backpropagation through a window keeps what its steps computed: 10,000 steps
of a small network are gigabytes. For ONE number theta the derivative can go
forwards instead, beside the trajectory: the tangents dx_t / d theta and
ds_t / d theta are each as large as x_t and s_t, whatever the window. Setting
them to zero is the cut between two windows, so one compiled function serves
every window length. The numbers are those of `TruncatedBackpropagation`.

Reference: Williams & Zipser 1989 (real-time recurrent learning).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs
from l2o_tf.unroll.carry import Carry, boundary_seed, start_episode
from l2o_tf.unroll.engine import inner_step

_ZERO = tf.UnconnectedGradients.ZERO


class Ray(NamedTuple):
    """Weights that one number moves: phi = origin + theta direction.

    Attributes:
        origin: float `[M]`.
        direction: float `[M]`.
    """

    origin: Vector
    direction: Vector


class Learned(NamedTuple):
    """What a meta-update changes.

    Attributes:
        theta: float scalar.
        slots: the meta-optimizer's state.
        updates: int32 scalar, meta-updates made.
    """

    theta: Scalar
    slots: Nest
    updates: Scalar


class Record(NamedTuple):
    """One episode of T steps, each `[T]`.

    Attributes:
        losses: f(x_t) of step t, on its minibatch.
        slopes: its derivative, to which a window's last step adds that of the
            loss at the window's end.
        thetas: theta after step t.
    """

    losses: Vector
    slopes: Vector
    thetas: Vector


def first_learned(meta_optimizer: OptimizerCell) -> Learned:
    """Return theta = 0 and fresh slots."""
    slots = meta_optimizer.get_initial_state(Layout(("theta",), ((1,),)))
    dtype = meta_optimizer.compute_dtype
    return Learned(tf.zeros([], dtype), slots, tf.constant(0))


def _advance(
    cell: OptimizerCell,
    optimizee: Optimizee,
    weights: Vector,
    direction: Vector,
    carry: Carry,
    tangents: tuple[Vector, Nest],
    second_derivatives: bool,
) -> tuple[Carry, tuple[Vector, Nest], Scalar, Scalar]:
    """Take one step, and the tangents with it.

    Returns:
        `(carry, tangents, f_t, d f_t / d theta)`.
    """
    moving = weights, carry.params, carry.states
    velocities = direction, *tangents
    with tf.autodiff.ForwardAccumulator(
        tf.nest.flatten(moving), tf.nest.flatten(velocities)
    ) as accumulator:
        carry, step = inner_step(
            cell,
            optimizee,
            carry,
            cell.meta_layout.split(weights),
            second_derivatives,
        )
    slope = accumulator.jvp(step.loss, _ZERO)
    after = tf.nest.map_structure(
        lambda x: accumulator.jvp(x, _ZERO), (carry.params, carry.states)
    )
    return carry, after, step.loss, slope


def _end_slope(optimizee: Optimizee, carry: Carry, tangent: Vector) -> Scalar:
    """Compute d f / d theta where a window ends, on a minibatch of its own."""
    batch = optimizee.sample(boundary_seed(carry))
    _, gradient = optimizee.value_and_gradient(
        carry.params, carry.constants, batch
    )
    return tf.reduce_sum(gradient * tangent)


def _updated(
    meta_optimizer: OptimizerCell,
    learned: Learned,
    gradient: Scalar,
    loss: Scalar,
    due: tf.Tensor,
) -> Learned:
    """Make a meta-update if it is due and its gradient is finite."""
    inputs = OptimizerInputs(
        gradient[tf.newaxis], (), loss, learned.updates + 1
    )
    update, slots = meta_optimizer.call(inputs, learned.slots)
    new = Learned(learned.theta + update[0], slots, learned.updates + 1)
    made = tf.logical_and(due, tf.math.is_finite(gradient))
    return tf.nest.map_structure(
        lambda a, b: tf.where(made, a, b), new, learned
    )


def learn_episode(
    cell: OptimizerCell,
    optimizee: Optimizee,
    meta_optimizer: OptimizerCell,
    ray: Ray,
    learned: Learned,
    seed: Seed,
    window: Scalar,
    period: Scalar,
    horizon: int,
    second_derivatives: bool = True,
) -> tuple[Learned, Record]:
    """Run an episode, differentiated in windows, with meta-updates on the way.

    The window of the steps a .. b - 1 has the meta-loss

        f(x_a) + ... + f(x_b),    x_a and s_a constant,

    f(x_t) on the minibatch of step t, but f(x_b) on one of its own, as
    `TruncatedBackpropagation` with `SumOfLosses` has it: a window's derivative
    is the sum of the slopes of its steps. After every `period` steps the
    meta-optimizer gets the mean of their slopes; one that is not finite is
    skipped.

    Args:
        cell: the optimizer, whose first state does not depend on its weights.
        optimizee: the problem.
        meta_optimizer: of the one number theta.
        ray: which weights theta stands for.
        learned: theta before the episode.
        seed: int32 `[2]`, of the episode.
        window: int32 scalar tensor, steps of a window; it divides `period`.
        period: int32 scalar tensor, steps between two meta-updates; it divides
            `horizon`.
        horizon: int, steps of the episode.
        second_derivatives: bool, whether the optimizee's gradients are
            differentiated too.

    Returns:
        `(learned, Record)`.
    """
    carry = start_episode(
        cell, optimizee, seed, cell.meta_layout.split(ray.origin)
    )
    still = tf.nest.map_structure(tf.zeros_like, (carry.params, carry.states))
    dtype = carry.params.dtype

    def body(
        t: Scalar,
        carry: Carry,
        tangents: tuple[Vector, Nest],
        total: Scalar,
        learned: Learned,
        arrays: tuple[tf.TensorArray, ...],
    ) -> tuple[Scalar, Carry, Nest, Scalar, Learned, tuple[Any, ...]]:
        tangents = tf.nest.map_structure(
            lambda x: tf.where(t % window == 0, tf.zeros_like(x), x), tangents
        )
        carry, tangents, loss, slope = _advance(
            cell,
            optimizee,
            ray.origin + learned.theta * ray.direction,
            ray.direction,
            carry,
            tangents,
            second_derivatives,
        )
        slope += tf.cond(
            (t + 1) % window == 0,
            lambda: _end_slope(optimizee, carry, tangents[0]),
            lambda: tf.zeros([], dtype),
        )
        due = (t + 1) % period == 0
        total += slope
        mean = total / tf.cast(period, dtype)
        learned = _updated(meta_optimizer, learned, mean, loss, due)
        total = tf.where(due, tf.zeros_like(total), total)
        kept = loss, slope, learned.theta
        arrays = tuple(a.write(t, x) for a, x in zip(arrays, kept, strict=True))
        return t + 1, carry, tangents, total, learned, arrays

    arrays = tuple(
        tf.TensorArray(dtype, horizon, element_shape=[]) for _ in range(3)
    )
    *_, learned, arrays = tf.while_loop(
        lambda t, *_: t < horizon,
        body,
        (tf.constant(0), carry, still, tf.zeros([], dtype), learned, arrays),
        maximum_iterations=horizon,
    )
    return learned, Record(*(array.stack() for array in arrays))
