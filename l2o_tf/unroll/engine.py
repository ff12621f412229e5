"""The only loop that runs an optimizer on an optimizee.

Meta-training, validation, teachers and evaluation all call `unroll`; what
differs is what they collect from each step. Memory: the carry, plus what is
collected; nothing grows with the number of steps otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs
from l2o_tf.unroll.carry import Carry, batch_seed, boundary_seed


class Step(NamedTuple):
    """One inner step, as `collect` sees it.

    Attributes:
        loss: float scalar, f_t, differentiable (`inputs.loss` may not be).
        inputs: the `OptimizerInputs` the cell was given.
        params: float `[N]`, the params before the step.
        states: the cell's state before the step.
        update: float `[N]`, what was added to the params.
        next_params: float `[N]`, the params after the step.
        constants: the optimizee's constants.
        batch_seed: the seed of the step's minibatch.
    """

    loss: Scalar
    inputs: OptimizerInputs
    params: Vector
    states: Nest
    update: Vector
    next_params: Vector
    constants: Nest
    batch_seed: Seed


Collect = Callable[[Step], Nest]


def inner_step(
    cell: OptimizerCell,
    optimizee: Optimizee,
    carry: Carry,
    meta_params: tuple[tf.Tensor, ...] | None = None,
    second_derivatives: bool = False,
) -> tuple[Carry, Step]:
    """Take one step.

        f_t, g_t = loss and gradient at x_t on a fresh minibatch
        u_t, s_{t+1} = cell(g_t, s_t);     x_{t+1} = x_t + u_t

    A cell that looks ahead gets f_t and g_t where it looks.

    Args:
        cell: the optimizer.
        optimizee: the problem.
        carry: the episode so far.
        meta_params: tensors in place of the cell's weights, or None.
        second_derivatives: whether meta-gradients see how g_t and x_t, as the
            cell's inputs, depend on earlier updates. Without, they are
            constants, as in every baseline of Chen et al. 2020.

    Returns:
        `(carry, Step)`.
    """
    seed = batch_seed(carry)
    loss, gradient = optimizee.loss_and_gradient(
        cell.look_ahead(carry.params, carry.states),
        carry.constants,
        optimizee.sample(seed),
    )
    seen = tf.identity if second_derivatives else tf.stop_gradient
    inputs = OptimizerInputs(
        gradient=seen(gradient),
        params=seen(carry.params) if cell.reads_params else (),
        loss=seen(loss),
        step=carry.step + 1,
    )
    update, states = cell.stateless_update(meta_params, inputs, carry.states)
    step = Step(
        loss=loss,
        inputs=inputs,
        params=carry.params,
        states=carry.states,
        update=update,
        next_params=carry.params + update,
        constants=carry.constants,
        batch_seed=seed,
    )
    carry = carry._replace(
        params=step.next_params, states=states, step=carry.step + 1
    )
    return carry, step


def _checked_capacity(length: int | Scalar, capacity: int | None) -> int:
    if isinstance(length, int):
        checks.positive_int("length", length)
        capacity = length if capacity is None else capacity
    if capacity is None:
        raise ValueError(
            "A `length` that is a tensor needs `capacity`, its largest "
            f"value. Received: length={length}, capacity=None."
        )
    checks.positive_int("capacity", capacity)
    if isinstance(length, int) and length > capacity:
        raise ValueError(
            "`length` must be at most `capacity`. "
            f"Received: length={length}, capacity={capacity}."
        )
    return capacity


def unroll(
    cell: OptimizerCell,
    optimizee: Optimizee,
    carry: Carry,
    length: int | Scalar,
    *,
    meta_params: tuple[tf.Tensor, ...] | None = None,
    second_derivatives: bool = False,
    collect: Collect | None = None,
    capacity: int | None = None,
) -> tuple[Carry, Nest]:
    """Take `length` inner steps.

    Args:
        cell: the optimizer.
        optimizee: the problem.
        carry: where to start.
        length: int, or an int32 scalar tensor with a `capacity`. A tensor lets
            one compiled function serve every length.
        meta_params: tensors in place of the cell's weights, or None.
        second_derivatives: see `inner_step`.
        collect: what to keep of each `Step`, a nest of tensors; None for
            nothing.
        capacity: int, the largest `length`; where a tensor asks for more, the
            loop ends at the capacity. Defaults to `length`.

    Returns:
        `(carry, trajectory)`; the trajectory has the structure of `collect`'s
        result, each tensor with a leading axis of `capacity`, zero beyond
        `length`; `()` without `collect`.

    Raises:
        ValueError: if `length` is an int below 1 or above `capacity`, or a
            tensor without `capacity`; or if `capacity` is not a positive int.
    """
    capacity = _checked_capacity(length, capacity)

    def advance(carry: Carry) -> tuple[Carry, Nest]:
        carry, step = inner_step(
            cell, optimizee, carry, meta_params, second_derivatives
        )
        return carry, () if collect is None else collect(step)

    carry = tf.nest.map_structure(tf.convert_to_tensor, carry)
    structure: Nest = ()
    if collect is not None:
        # For the structure and shapes alone: nothing reads the numbers, so
        # both graph runtimes drop the computation.
        _, structure = advance(carry)
    arrays = [
        tf.TensorArray(like.dtype, capacity, element_shape=like.shape)
        for like in tf.nest.flatten(structure)
    ]

    def body(
        i: Scalar, carry: Carry, arrays: list[tf.TensorArray]
    ) -> tuple[Scalar, Carry, list[tf.TensorArray]]:
        carry, kept = advance(carry)
        arrays = [
            array.write(i, value)
            for array, value in zip(arrays, tf.nest.flatten(kept), strict=True)
        ]
        return i + 1, carry, arrays

    _, carry, arrays = tf.while_loop(
        lambda i, *_: i < length,
        body,
        (tf.constant(0), carry, arrays),
        maximum_iterations=capacity,
    )
    stacked = [array.stack() for array in arrays]
    return carry, tf.nest.pack_sequence_as(structure, stacked)


def last_loss(optimizee: Optimizee, carry: Carry) -> Scalar:
    """Compute f at the carry's params on one more fresh minibatch."""
    batch = optimizee.sample(boundary_seed(carry))
    return optimizee.loss(carry.params, carry.constants, batch)
