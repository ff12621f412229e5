"""The one interface of learned and hand-designed optimizers.

An `OptimizerCell` is a Keras layer with the contract of an RNN cell whose
batch axis is the coordinates and whose sequence is the gradients: teacher,
baseline and learner are interchangeable, and all are unrolled by the same
loop. A cell is pure: everything that changes is in `states`.
"""

from __future__ import annotations

import abc
from typing import NamedTuple

import keras
import tensorflow as tf

from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Nest, Scalar, Seed, Vector


class OptimizerInputs(NamedTuple):
    """What an optimizer sees at one inner step.

    Attributes:
        gradient: float `[N]`, of the loss on this step's minibatch.
        params: float `[N]`, where the gradient was taken; `()` for a cell
            that does not declare `reads_params`.
        loss: float scalar, on the same minibatch.
        step: int32 scalar, the number of this update, counted from 1.
    """

    gradient: Vector
    params: Vector | tuple[()]
    loss: Scalar
    step: Scalar


class OptimizerCell(keras.layers.Layer, abc.ABC):
    """Turn a gradient and a state into an update and a new state.

        u_t, s_{t+1} = cell(inputs_t, s_t),        x_{t+1} = x_t + u_t

    The weights of a learned optimizer are the layer's trainable weights; they
    exist as soon as the cell does. A hand-designed optimizer has none.

    Attributes:
        reads_params: bool, whether `call` looks at `inputs.params`. If not,
            it gets `()`, and no trajectory of params is kept for the backward
            pass.
        looks_ahead: bool, whether gradients are to be taken at `look_ahead`
            of the params.
        repairs_gradients: bool, whether `call` gives a finite update for a
            gradient that is not finite.
        coordinatewise: bool, whether what happens to one coordinate depends on
            that coordinate (and the step) alone, so that a vector may be cut
            anywhere. Only a cell that says so is exported for any number of
            coordinates, and called on blocks of a long vector.
    """

    reads_params: bool = False
    looks_ahead: bool = False
    repairs_gradients: bool = False
    coordinatewise: bool = False

    @abc.abstractmethod
    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> Nest:
        """Return the state before the first step.

        It may depend on the weights (a learned initial state).

        Args:
            layout: where each tensor of the optimizee lies in the vector.
            seed: int32 `[2]`, of what a cell draws at random; None for a seed
                of the cell's own.

        Returns:
            A nest of tensors (a NamedTuple by convention, `()` for none) whose
            structure, shapes and dtypes `call` keeps.
        """

    def keep_memory(self, fresh: Nest, old: Nest) -> Nest:
        """Return a state that begins an episode with an old one's memory.

        What a cell counts as memory, the rest being `fresh`: its recurrent
        part, as the released program leaks it into imitation (spec
        dm_rnnprop.md 12, B2). Here everything.

        Args:
            fresh: a state as `get_initial_state` returns it.
            old: the state at the end of another episode, of the same shapes.
        """
        del fresh
        return old

    def look_ahead(self, params: Vector, states: Nest) -> Vector:
        """Return where the next gradient is to be taken, `[N]`: the params."""
        del states
        return params

    @abc.abstractmethod
    def call(
        self, inputs: OptimizerInputs, states: Nest
    ) -> tuple[Vector, Nest]:
        """Compute one update.

        Args:
            inputs: an `OptimizerInputs`.
            states: as `get_initial_state` returns it.

        Returns:
            `(updates, states)`; `updates` is `[N]`, to be ADDED to the params.
        """

    @property
    def meta_layout(self) -> Layout:
        """How the trainable weights lie in the flat vector of meta-parameters.

        Raises:
            ValueError: if the cell has no trainable weight.
        """
        if not self.trainable_variables:
            raise ValueError(
                f"{type(self).__name__} has no weight to train: it is a "
                "hand-designed optimizer. Use a learned one, as DMLSTM."
            )
        return Layout(
            tuple(v.path for v in self.trainable_variables),
            tuple(tuple(v.shape) for v in self.trainable_variables),
        )

    def meta_params(self) -> Vector:
        """Return the trainable weights as one vector, `[M]`."""
        return self.meta_layout.flatten(
            [tf.convert_to_tensor(v) for v in self.trainable_variables]
        )

    def assign_meta_params(self, meta_params: Vector) -> None:
        """Set the trainable weights from one vector, `[M]`."""
        values = self.meta_layout.split(tf.convert_to_tensor(meta_params))
        for variable, value in zip(
            self.trainable_variables, values, strict=True
        ):
            variable.assign(value)

    def stateless_update(
        self,
        meta_params: tuple[tf.Tensor, ...] | None,
        inputs: OptimizerInputs,
        states: Nest,
    ) -> tuple[Vector, Nest]:
        """Run `call` with the given tensors in place of the weights.

        Args:
            meta_params: one tensor per trainable weight, in their order, or
                None to use the weights themselves.
            inputs: as in `call`.
            states: as in `call`.

        Returns:
            As `call`; differentiable in `meta_params`, `inputs` and `states`.
        """
        if meta_params is None:
            return self.call(inputs, states)
        mapping = list(zip(self.trainable_variables, meta_params, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return self.call(inputs, states)

    def stateless_initial_state(
        self,
        meta_params: tuple[tf.Tensor, ...] | None,
        layout: Layout,
        seed: Seed,
    ) -> Nest:
        """Run `get_initial_state` with the given tensors as the weights.

        Args:
            meta_params: as in `stateless_update`.
            layout: as in `get_initial_state`.
            seed: as in `get_initial_state`.

        Returns:
            As `get_initial_state`; differentiable in `meta_params`.
        """
        if meta_params is None:
            return self.get_initial_state(layout, seed)
        mapping = list(zip(self.trainable_variables, meta_params, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return self.get_initial_state(layout, seed)
