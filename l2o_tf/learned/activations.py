"""What can be seen inside a learned optimizer: its gates, at one step."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import keras
import tensorflow as tf

from l2o_tf.core.types import Nest
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs


@runtime_checkable
class ShowsActivations(Protocol):
    """A cell with gates; `call` does not compute more for having them."""

    def activations(
        self, inputs: OptimizerInputs, states: Any
    ) -> dict[str, tf.Tensor]:
        """Return what the gates do in a step from `states`.

        Args:
            inputs: as `OptimizerCell.call` takes them.
            states: as `OptimizerCell.call` takes them.

        Returns:
            "<layer>/<gate>" to the numbers after the gate's own sigmoid or
            tanh, so inside [-1, 1]: `[units, columns]`, a column per
            coordinate or per tensor.
        """
        raise NotImplementedError


def stateless_activations(
    cell: OptimizerCell,
    meta_params: tuple[tf.Tensor, ...],
    inputs: OptimizerInputs,
    states: Nest,
) -> dict[str, tf.Tensor]:
    """Return a cell's activations with the given tensors as its weights.

    Args:
        cell: the optimizer.
        meta_params: one tensor per trainable weight, in their order.
        inputs: as in `OptimizerCell.call`.
        states: as in `OptimizerCell.call`.

    Returns:
        As `ShowsActivations.activations`; nothing of a cell that shows none.
    """
    if not isinstance(cell, ShowsActivations):
        return {}
    mapping = list(zip(cell.trainable_variables, meta_params, strict=True))
    with keras.StatelessScope(state_mapping=mapping):
        return cell.activations(inputs, states)
