"""A backward pass through many coordinates, some at a time.

Where no coordinate knows of another, gradients of the weights are a sum over
blocks of coordinates. In a block, what a cell keeps inside a step fits a
processor's cache: with 393,216 coordinates a step of L2O-DM back takes 175 ms
instead of 340, in blocks of 512 to 4,096; with 32,768 15 instead of 21; with
16,384 nothing is gained. A GPU does best with all at once.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from l2o_tf.core.types import Scalar
from l2o_tf.runtime.devices import has_gpu

LONG = 32_768  # coordinates, from which on they are cut
BLOCK = 4_096


def worthwhile(size: int) -> bool:
    """Return whether so many coordinates are gone through in blocks."""
    return size >= LONG and not has_gpu()


def _axis(stack: tf.Tensor, size: int) -> int | None:
    """Return the axis of coordinates, None if there is none. Axis 0 is time."""
    found = [i for i, n in enumerate(stack.shape) if i and n == size]
    return found[0] if found else None


def cut(
    stack: tf.Tensor, size: int, begin: int | Scalar, width: int
) -> tf.Tensor:
    """Return some coordinates of recorded tensors; all of what has none."""
    axis = _axis(stack, size)
    if axis is None:
        return stack
    begins = [begin if i == axis else 0 for i in range(stack.shape.rank)]
    widths = [width if i == axis else n for i, n in enumerate(stack.shape)]
    return tf.slice(stack, begins, widths)


def sum_over_blocks(
    of_block: Callable[
        [int | Scalar, int], tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]
    ],
    size: int,
    meta_params: tuple[tf.Tensor, ...],
    states: list[tf.Tensor],
) -> tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]:
    """Put together what the adjoint gives for each block.

    Args:
        of_block: takes the first coordinate and the number of a block.
        size: int, N.
        meta_params: the weights; their gradients are summed.
        states: the recorded ones that are floats; the cotangents of what has
            coordinates are laid side by side, of the rest summed.
    """
    count, rest = divmod(size, BLOCK)
    axes = [_axis(stack, size) for stack in states]

    def first(axis: int | None, stack: tf.Tensor) -> tf.Tensor | tf.TensorArray:
        if axis is None:
            return tf.zeros_like(stack[0])
        shape = stack.shape.as_list()
        shape[axis] = BLOCK
        return tf.TensorArray(stack.dtype, count, element_shape=shape[1:])

    def body(
        block: Scalar, d_meta: tuple, d_states: list
    ) -> tuple[Scalar, tuple, list]:
        d_meta_b, d_states_b = of_block(block * BLOCK, BLOCK)
        d_states = [
            total + d if axis is None else total.write(block, d)
            for axis, total, d in zip(axes, d_states, d_states_b, strict=True)
        ]
        d_meta = tf.nest.map_structure(tf.add, d_meta, d_meta_b)
        return block + 1, d_meta, d_states

    _, d_meta, d_states = tf.while_loop(
        lambda block, *_: block < count,
        body,
        (
            tf.constant(0),
            tf.nest.map_structure(tf.zeros_like, meta_params),
            list(map(first, axes, states)),
        ),
        maximum_iterations=count,
    )
    if rest:
        d_meta_b, last = of_block(size - rest, rest)
        d_meta = tf.nest.map_structure(tf.add, d_meta, d_meta_b)
    else:
        last = [None] * len(states)
    joined = [
        total + (0 if d is None else d)
        if axis is None
        else _side_by_side(total, axis - 1, d)
        for axis, total, d in zip(axes, d_states, last, strict=True)
    ]
    return d_meta, joined


def _side_by_side(
    blocks: tf.TensorArray, axis: int, last: tf.Tensor | None
) -> tf.Tensor:
    """Lay tensors end to end along an axis, and then the last one."""
    stack = blocks.stack()  # [blocks, ...]
    order = [*range(1, stack.shape.rank)]
    order.insert(axis, 0)
    shape = stack.shape.as_list()[1:]
    shape[axis] = -1
    joined = tf.reshape(tf.transpose(stack, order), shape)
    return joined if last is None else tf.concat([joined, last], axis)
