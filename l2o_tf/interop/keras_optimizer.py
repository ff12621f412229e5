"""Any optimizer of the package as a Keras optimizer.

`model.compile(optimizer=keras_optimizer("rnnprop_cl_il"), ...)` trains a Keras
model with it. Cost beside the cell's own: the gradients are laid end to end
and the updates cut again, 8 bytes moved per parameter.
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.compile import prefer_wide_vectors
from l2o_tf.core.layout import Layout
from l2o_tf.interop.coordinate_blocks import CoordinateBlocks
from l2o_tf.interop.pretrained import load

# Imported for Keras to know them when it loads a model.
from l2o_tf.optimizers import decayed_adam, repaired  # noqa: F401
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs

BLOCK_SIZE = 1_048_576


class _UnknownLoss:
    """Stands where the loss would be; not to be computed with."""

    def __tf_tensor__(self, dtype: Any = None, name: Any = None) -> Any:
        raise TypeError(
            "This optimizer reads the loss (`inputs.loss`), which Keras does "
            "not tell an optimizer. Received: no loss. Unroll it instead, or "
            "use one that reads gradients only."
        )


@keras.saving.register_keras_serializable(package="l2o_tf")
class KerasOptimizer(keras.optimizers.Optimizer):
    """Train a Keras model with an `OptimizerCell`, learned or hand-designed.

        g <- clipped gradients;    x <- x - learning_rate weight_decay x
        u_t, s_{t+1} = cell(g_t, s_t);    x_{t+1} = x_t + learning_rate u_t

    All trainable variables are one vector to the cell, as everywhere in this
    package; it sees gradients summed over the replicas of a
    `tf.distribute` strategy, as Keras' own optimizers do, and its state is
    float32 whatever the model's precision. A variable that gets no gradient
    stays as it is; the cell sees gradient 0 there.

    Memory: the cell's state, `state_bytes`, for the whole of training. L2O-DM
    keeps 320 bytes per parameter, RNNprop 328 (Adam: 8), so 3.2 GB for ten
    million; and what one step of the cell needs, for `block_size` parameters
    at a time (L2O-DM: 850 bytes for each). Under XLA the next state stands
    beside the state while a step is made, where there is more than one block.

    The weights of a learned optimizer are part of its configuration: a saved
    model needs no other file to be trained further, and goes on as it would
    have without the interruption. The file holds the state too. The program
    that loads it must have imported this module (`from l2o_tf import
    keras_optimizer`).

    Keras does not tell an optimizer the loss: a cell that reads it is refused
    at the first step. It does not let gradients be accumulated under a
    distribution strategy.

    Args:
        cell: `OptimizerCell`.
        learning_rate: float, schedule or callable, multiplies the cell's
            update; learned optimizers were trained with 1, the default.
        weight_decay: float or None, as in Keras.
        clipnorm: float or None, as in Keras.
        clipvalue: float or None, as in Keras.
        global_clipnorm: float or None, as in Keras.
        use_ema: bool, as in Keras.
        ema_momentum: float, as in Keras.
        ema_overwrite_frequency: int or None, as in Keras.
        loss_scale_factor: float or None, as in Keras.
        gradient_accumulation_steps: int or None, as in Keras; a step of the
            cell is one of accumulated gradients.
        block_size: int, the most parameters of one call of the cell; 2**20 by
            default. A cell that is not `coordinatewise` is called on all.
        seed: int, of what the cell draws for its first state.
        name: str, defaults to the cell's.

    Raises:
        ValueError: if an argument is out of range, the cell looks ahead, or
            (when built) the model is of another `tf.distribute` strategy.

    Example:
    >>> import keras
    >>> from l2o_tf.optimizers.adam import Adam
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile(KerasOptimizer(Adam(0.1)), loss="mse")
    """

    def __init__(
        self,
        cell: OptimizerCell,
        learning_rate: float
        | keras.optimizers.schedules.LearningRateSchedule
        | Callable[[], tf.Tensor] = 1.0,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        block_size: int = BLOCK_SIZE,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        checks.instance("cell", cell, OptimizerCell)
        if cell.looks_ahead:
            raise ValueError(
                "Keras takes gradients at the variables; an optimizer that "
                "wants them elsewhere cannot be used. Received: "
                f"cell={type(cell).__name__} with looks_ahead=True."
            )
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name or cell.name,
        )
        prefer_wide_vectors()  # `fit` compiles by XLA unless told otherwise.
        self.cell = cell
        self.block_size = checks.positive_int("block_size", block_size)
        seeds.make_seed(seed)  # It must be one.
        self.seed = seed

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make the variables of the cell's state; does nothing a second time.

        Args:
            variables: the trainable variables.

        Raises:
            ValueError: if they belong to another `tf.distribute` strategy than
                the optimizer.
        """
        if self.built:
            return
        self._check_strategy(variables)
        super().build(variables)
        self._states: list[keras.Variable] = []
        if not variables:  # All are frozen.
            return
        self._layout = Layout(
            tuple(f"{i}:{v.name}" for i, v in enumerate(variables)),
            tuple(tuple(v.shape) for v in variables),
        )
        with tf.init_scope():
            self._blocks = CoordinateBlocks(
                self.cell,
                self._layout,
                self.block_size,
                seeds.make_seed(self.seed),
            )
        self._states = [
            self.add_variable(
                shape=tuple(spec.shape),
                dtype=spec.dtype.name,
                name=f"state_{number}",
            )
            for number, spec in enumerate(self._blocks.specs)
        ]
        with tf.init_scope():
            parts = map(self._parts, (state.value for state in self._states))
            for on_device in zip(*parts, strict=True):
                self._blocks.start(on_device)

    def _check_strategy(self, variables: Sequence[keras.Variable]) -> None:
        own = self._distribution_strategy
        for variable in map(_tf_variable, variables):
            theirs = getattr(variable, "distribute_strategy", None)
            if theirs is not None and theirs is not own:
                raise ValueError(
                    "An optimizer is made in the scope of the model's "
                    "strategy. Received: variables of a "
                    f"{type(theirs).__name__}, an optimizer of a "
                    f"{type(own).__name__}. Make it inside `with "
                    "strategy.scope():`."
                )

    def __dir__(self) -> list[str]:
        """Return the attributes without the cell.

        Keras saves and loads what it finds here. The cell's weights are part
        of the configuration; loaded from a file, those of another optimizer
        would take their place.
        """
        return [name for name in super().__dir__() if name != "cell"]

    def _parts(self, variable: tf.Variable) -> tuple[tf.Variable, ...]:
        """Return a variable's copy on each device of this process."""
        strategy = self._distribution_strategy
        return strategy.experimental_local_results(variable)

    @property
    def state_bytes(self) -> int:
        """The size of the cell's state, in bytes.

        Raises:
            ValueError: if the optimizer has not seen the variables yet.
        """
        if not self.built:
            raise ValueError(
                "The size of the state is known once the optimizer knows the "
                "variables: call `build(model.trainable_variables)` or "
                f"`model.fit(...)` first. Received: {self.name} without."
            )
        return sum(
            math.prod(state.shape) * tf.as_dtype(state.dtype).size
            for state in self._states
        )

    def _distributed_tf_update_step(
        self,
        distribution: tf.distribute.Strategy,
        grads_and_vars: Sequence[tuple[tf.Tensor, tf.Variable]],
        learning_rate: tf.Tensor,
    ) -> None:
        # Keras calls this once for all replicas, with gradients summed over
        # them. Its own version goes on variable by variable; a cell wants all
        # gradients together. `update` makes one call per device, with that
        # device's part of the first and of each gradient.
        gradients: list[tf.Tensor | None] = [None] * len(self._layout.names)
        for gradient, variable in grads_and_vars:
            gradients[self._get_variable_index(variable)] = gradient
        variables = [_tf_variable(v) for v in self._trainable_variables]
        states = [state.value for state in self._states]

        def on_device(
            first: tf.Variable,
            gradients: Sequence[tf.Tensor | None],
            rate: tf.Tensor,
        ) -> None:
            copies = self._parts(variables[0])
            (device,) = (i for i, v in enumerate(copies) if v is first)
            self._update_on_device(
                gradients,
                [self._parts(variable)[device] for variable in variables],
                [self._parts(state)[device] for state in states],
                rate,
            )

        distribution.extended.update(
            variables[0],
            on_device,
            args=(gradients, learning_rate),
            group=False,
        )

    def _update_on_device(
        self,
        gradients: Sequence[tf.Tensor | None],
        variables: Sequence[tf.Variable],
        states: Sequence[tf.Variable],
        learning_rate: tf.Tensor,
    ) -> None:
        dtype = self.cell.compute_dtype
        dense = [
            tf.zeros(variable.shape, dtype)
            if gradient is None
            else tf.cast(tf.convert_to_tensor(gradient), dtype)
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        inputs = OptimizerInputs(
            self._layout.flatten(dense),
            self._layout.flatten([tf.cast(v, dtype) for v in variables])
            if self.cell.reads_params
            else (),
            _UnknownLoss(),
            tf.cast(self.iterations, tf.int32) + 1,
        )
        updates = self._blocks.update(inputs, states)
        updates *= tf.cast(learning_rate, dtype)
        for gradient, variable, update in zip(
            gradients, variables, self._layout.split(updates), strict=True
        ):
            if gradient is not None:
                self.assign_add(variable, update)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, and the weights of the cell."""
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "cell_weights": _encoded(self.cell),
            "block_size": self.block_size,
            "seed": self.seed,
        }

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, Any] | None = None,
    ) -> KerasOptimizer:
        """Rebuild the optimizer from `get_config`'s answer.

        Raises:
            ValueError: if the weights are not those of the cell.
        """
        config = dict(config)
        weights = config.pop("cell_weights")
        cell = keras.saving.deserialize_keras_object(
            config.pop("cell"), custom_objects=custom_objects
        )
        _assign_decoded(cell, weights)
        return super().from_config({**config, "cell": cell}, custom_objects)


def keras_optimizer(
    optimizer: str | os.PathLike[str] | OptimizerCell, **arguments: Any
) -> KerasOptimizer:
    """Make a Keras optimizer of a trained optimizer, or of any cell.

    Args:
        optimizer: the name of an optimizer that comes with the package (see
            `l2o_tf.pretrained()`), the path of a weights file or of a training
            run, or an `OptimizerCell`.
        **arguments: of `KerasOptimizer`: Keras' own, `block_size`, `seed`.

    Raises:
        ValueError: if there is no such optimizer, or an argument is out of
            range.

    Example:
    >>> optimizer = keras_optimizer("rnnprop_cl_il", global_clipnorm=1.0)
    """
    if not isinstance(optimizer, OptimizerCell):
        optimizer = load(optimizer)
    return KerasOptimizer(optimizer, **arguments)


def _tf_variable(variable: keras.Variable | tf.Variable) -> tf.Variable:
    return variable.value if isinstance(variable, keras.Variable) else variable


def _encoded(cell: OptimizerCell) -> str:
    """Return the weights, little-endian numbers end to end, in base 64."""
    if not cell.trainable_variables:
        return ""
    weights = cell.meta_params().numpy()
    return base64.b64encode(
        weights.astype(weights.dtype.newbyteorder("<")).tobytes()
    ).decode("ascii")


def _assign_decoded(cell: OptimizerCell, text: str) -> None:
    size = cell.meta_layout.size if cell.trainable_variables else 0
    dtype = np.dtype(cell.compute_dtype)
    content = base64.b64decode(text)
    if len(content) != size * dtype.itemsize:
        raise ValueError(
            "The configuration's weights are not those of its cell. Expected "
            f"{size} numbers of {dtype}. Received: {len(content)} bytes for a "
            f"{type(cell).__name__}."
        )
    if size:
        cell.assign_meta_params(
            np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype)
        )
