"""A cell run on a long vector, block by block, with its state in variables.

Memory: the state, and what the cell needs for one block. Under XLA the next
state stands beside the state: a block that is written into a variable inside a
loop would cost it a copy of the whole variable.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf

from l2o_tf.core.compile import compiled_by_xla
from l2o_tf.core.layout import Layout
from l2o_tf.core.seeds import fold_in
from l2o_tf.core.types import Nest, Seed, Vector
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


class CoordinateBlocks:
    """Run a cell on a vector `[N]` in P equal blocks of B coordinates.

        P = ceil(N / block_size),    B = ceil(N / P)

    The last block is filled up with coordinates of gradient 0, which nobody
    reads. A cell that is not `coordinatewise` is called once, on the whole
    vector.

    Each leaf of the cell's state is one variable: of the leaf's shape if P is
    1, with a leading axis of P otherwise.

    Args:
        cell: the optimizer.
        layout: of the vector.
        block_size: positive int, the most coordinates of a block.
        seed: of what the cell draws for its first state; block i has the i-th
            child of it, if there is more than one.
    """

    def __init__(
        self, cell: OptimizerCell, layout: Layout, block_size: int, seed: Seed
    ) -> None:
        self.cell = cell
        self.layout = layout
        self._seed = seed
        cut = cell.coordinatewise and layout.size > block_size
        self.count = -(-layout.size // block_size) if cut else 1
        self.size = -(-layout.size // self.count)
        stacked = () if self.count == 1 else (self.count,)
        state = tf.nest.map_structure(
            lambda leaf: tf.TensorSpec([*stacked, *leaf.shape], leaf.dtype),
            self._initial_state(0),
        )
        self._pack = functools.partial(tf.nest.pack_sequence_as, state)
        self.specs: tuple[tf.TensorSpec, ...] = tuple(tf.nest.flatten(state))

    def _initial_state(self, block: int) -> Nest:
        if self.count == 1:
            return self.cell.get_initial_state(self.layout, self._seed)
        layout = Layout(("block",), ((self.size,),))
        seed = fold_in(self._seed, block)
        return self.cell.get_initial_state(layout, seed)

    def start(self, variables: Sequence[tf.Variable]) -> None:
        """Set the variables, one per entry of `specs`, to the first state."""
        for variable in variables:
            # Those made while a function is traced have no value yet.
            if not variable.is_initialized():
                variable.assign(tf.zeros(variable.shape, variable.dtype))
        for block in range(self.count):
            leaves = tf.nest.flatten(self._initial_state(block))
            self._write(variables, leaves, tf.constant(block))

    def _write(
        self,
        variables: Sequence[tf.Variable],
        leaves: Sequence[tf.Tensor],
        block: tf.Tensor,
    ) -> None:
        for variable, leaf in zip(variables, leaves, strict=True):
            if self.count == 1:
                variable.assign(leaf)
            else:
                variable.scatter_update(
                    tf.IndexedSlices(leaf[tf.newaxis], block[tf.newaxis])
                )

    def update(
        self, inputs: OptimizerInputs, variables: Sequence[tf.Variable]
    ) -> Vector:
        """Compute one update, and move the variables on to the next state.

        Args:
            inputs: of the whole vector.
            variables: one per entry of `specs`.

        Returns:
            `[N]`, to be added to the params.
        """
        if self.count > 1:
            return self._update_by_blocks(inputs, variables)
        states = self._pack([tf.convert_to_tensor(v) for v in variables])
        updates, states = self.cell.call(inputs, states)
        self._write(variables, tf.nest.flatten(states), tf.constant(0))
        return updates

    def _update_by_blocks(
        self, inputs: OptimizerInputs, variables: Sequence[tf.Variable]
    ) -> Vector:
        gradients = self._cut(inputs.gradient)
        params = self._cut(inputs.params) if self.cell.reads_params else ()
        next_states = (
            [self._stack(v.dtype, v.shape[1:]) for v in variables]
            if compiled_by_xla()
            else []
        )

        def body(
            block: tf.Tensor,
            updates: tf.TensorArray,
            next_states: list[tf.TensorArray],
        ) -> tuple[tf.Tensor, tf.TensorArray, list[tf.TensorArray]]:
            of_block = inputs._replace(
                gradient=gradients[block],
                params=params[block] if self.cell.reads_params else (),
            )
            states = self._pack([v.sparse_read(block) for v in variables])
            update, states = self.cell.call(of_block, states)
            leaves = tf.nest.flatten(states)
            if next_states:
                next_states = [
                    array.write(block, leaf)
                    for array, leaf in zip(next_states, leaves, strict=True)
                ]
            else:
                self._write(variables, leaves, block)
            return block + 1, updates.write(block, update), next_states

        _, updates, next_states = tf.while_loop(
            lambda block, *_: block < self.count,
            body,
            (
                tf.constant(0),
                self._stack(gradients.dtype, [self.size]),
                next_states,
            ),
            parallel_iterations=1,
            maximum_iterations=self.count,
        )
        if next_states:
            for variable, array in zip(variables, next_states, strict=True):
                variable.assign(array.stack())
        return tf.reshape(updates.stack(), [-1])[: self.layout.size]

    def _stack(
        self, dtype: tf.DType, shape: Sequence[int | None]
    ) -> tf.TensorArray:
        """Return an empty array of one tensor per block."""
        return tf.TensorArray(dtype, self.count, element_shape=shape)

    def _cut(self, vector: Vector) -> tf.Tensor:
        """Return a vector as `[P, B]`."""
        padding = self.count * self.size - self.layout.size
        return tf.reshape(
            tf.pad(vector, [[0, padding]]), [self.count, self.size]
        )
