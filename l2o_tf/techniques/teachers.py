"""The hand-designed optimizers that learned ones are trained beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gin

from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD


def _nag(learning_rate: float) -> Momentum:
    return Momentum(learning_rate, momentum=0.9, nesterov=True)


TEACHERS: dict[str, Callable[[float], OptimizerCell]] = {
    "adam": Adam,
    "sgd": SGD,
    "adagrad": Adagrad,
    "rmsprop": RMSProp,
    "nag": _nag,
}


@gin.register(module="l2o_tf.techniques")
def teachers(
    names: tuple[str, ...] = ("adam", "sgd", "adagrad"),
    learning_rate: float = 0.01,
) -> tuple[OptimizerCell, ...]:
    """Build hand-designed optimizers, by name, at one learning rate.

    Everything else is at TensorFlow 1's defaults: Adam 0.9, 0.999, 1e-8;
    Adagrad's accumulator from 0.1; RMSProp 0.9, its mean square from 1, 1e-10
    inside the root; "nag" is Nesterov's momentum, 0.9.

    Args:
        names: of `TEACHERS`. Defaults to the paper's three; the released
            program knows adam, rmsprop and nag, and uses adam alone.
        learning_rate: positive float.

    Raises:
        ValueError: if a name is unknown or comes twice, or there is none.

    References:
        Chen et al. 2020, section 5; spec dm_rnnprop.md 6.1, 10 #1 and #2.
    """
    is_sequence = isinstance(names, (tuple, list)) and len(names) > 0
    if not is_sequence or not all(
        isinstance(name, str) and name in TEACHERS for name in names
    ):
        raise ValueError(
            "`names` must be a tuple of at least one of "
            f"{', '.join(map(repr, TEACHERS))}. Received: names={names!r}."
        )
    if len(set(names)) != len(names):
        raise ValueError(
            "`names` must name each teacher once: uniform choice weighs them "
            f"equally. Received: names={names!r}."
        )
    return tuple(TEACHERS[name](learning_rate) for name in names)


def teacher_kind(cell: OptimizerCell) -> str:
    """Return the word for a teacher: its class, or "nag" for Nesterov's."""
    if isinstance(cell, Momentum) and cell.nesterov:
        return "nag"
    return type(cell).__name__.lower()


def check_optimizers(
    argument: str, cells: Sequence[OptimizerCell]
) -> tuple[OptimizerCell, ...]:
    """Return a tuple of at least one `OptimizerCell`.

    Raises:
        ValueError: if it is something else.
    """
    is_sequence = isinstance(cells, (tuple, list)) and len(cells) > 0
    if not is_sequence or not all(isinstance(c, OptimizerCell) for c in cells):
        raise ValueError(
            f"`{argument}` must be a tuple of at least one OptimizerCell. "
            f"Received: {argument}={cells!r}. In gin: @teachers(), or a list "
            "of objects as [@Adam(), @SGD()]."
        )
    return tuple(cells)
