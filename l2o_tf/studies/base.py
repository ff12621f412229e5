"""What a study is: something computed about the loss, with all that fixes it.

A study looks at the loss as a function of an optimizer's weights (Metz et al.
2019, Figures 2 and 3). It knows its own configuration, so that a result can
say of what it is the result, and gives arrays; it neither writes nor draws.
"""

from __future__ import annotations

import abc
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.optimizees.base import Optimizee

Progress = Callable[[], bool]
"""Called after each unit of work; whether to go on."""

_DIGITS = 16


def _digest(array: Any) -> str:
    array = np.asarray(array)
    head = f"{array.dtype}{array.shape}".encode()
    return hashlib.sha256(head + array.tobytes()).hexdigest()[:_DIGITS]


def described_optimizee(optimizee: Optimizee) -> dict[str, Any]:
    """Describe a problem, as JSON.

    Returns:
        "class", "shapes", the split and the notice of its data, and what of
        its attributes is a number, a word, a problem, an array (as a hash), or
        a sequence of such.
    """
    parts = {k: _described(v) for k, v in sorted(vars(optimizee).items())}
    return {
        "class": type(optimizee).__name__,
        "shapes": [list(shape) for shape in optimizee.layout.shapes],
        "split": optimizee.split,
        "notice": optimizee.notice,
        **{name: part for name, part in parts.items() if part is not None},
    }


def _described(value: Any) -> Any:
    """Return a value as JSON, None if it is of no kind that has a form."""
    if isinstance(value, Optimizee):
        return described_optimizee(value)
    if isinstance(value, (np.ndarray, tf.Tensor)):
        return _digest(value)
    if isinstance(value, (tuple, list)):
        items = [_described(item) for item in value]
        return None if None in items else items
    return value if isinstance(value, (str, int, float)) else None


def checked_lengths(name: str, lengths: Sequence[int]) -> tuple[int, ...]:
    """Return numbers of steps if they are positive ints in rising order.

    Raises:
        ValueError: otherwise.
    """
    for length in lengths:
        checks.positive_int(name, length)
    if not lengths or sorted(set(lengths)) != list(lengths):
        raise ValueError(
            f"`{name}` must be positive ints in rising order. "
            f"Received: {name}={lengths!r}."
        )
    return tuple(lengths)


class Study(abc.ABC):
    """Compute something about the loss as a function of weights.

    Args:
        name: str, of the result's file and in legends.

    Attributes:
        kind: str, of the class: which picture shows it.
        units: int, how often `run` reports progress.
        notice: None, or what a reader must know of the data.

    Raises:
        ValueError: if `name` cannot be a file's name.
    """

    kind: str
    units: int = 1
    notice: str | None = None

    def __init__(self, name: str) -> None:
        if not name or name != os.path.basename(name) or name.startswith("."):
            raise ValueError(
                "A study's name is part of a file's name. "
                f"Received: name={name!r}. Use letters, digits and '_'."
            )
        self.name = name

    @abc.abstractmethod
    def config(self) -> Mapping[str, Any]:
        """Return all that the numbers depend on, as JSON."""

    @abc.abstractmethod
    def run(self, progress: Progress) -> dict[str, np.ndarray] | None:
        """Compute.

        Args:
            progress: called after each of `units` units of work.

        Returns:
            Name to array; None if `progress` said to stop.
        """


def map_points(
    function: Callable[[tf.Tensor], Any], points: tf.Tensor, like: Any
) -> Any:
    """Apply a function to every row of `points`, one after the other.

    A loop in the graph, in the memory of one row.

    Args:
        function: of a row, to a nest of tensors.
        points: `[P, ...]`.
        like: the nest of dtypes that `function` returns.

    Returns:
        The nest, each tensor with a leading axis of P.
    """
    return tf.map_fn(
        function, points, fn_output_signature=like, parallel_iterations=1
    )
