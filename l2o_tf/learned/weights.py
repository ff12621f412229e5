"""The weights of a learned optimizer in a file, with how to rebuild the cell.

A weights file is an .npz with one array per weight, named by its path
(lstm_1/w_gates, ...), and metadata that names the cell and its arguments.
"""

from __future__ import annotations

import pathlib
import re
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from l2o_tf.core.types import Vector
from l2o_tf.learned.collection import LEARNED_CELLS
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.runtime.arrays import (
    CheckpointError,
    Format,
    format_of,
    load_arrays,
    load_plain_arrays,
    save_arrays,
)

FORMAT = Format("l2o_tf.weights", 1)


def save_weights(
    path: str | pathlib.Path,
    cell: OptimizerCell,
    meta_params: Vector,
    training: Mapping[str, Any],
) -> None:
    """Write a weights file, atomically.

    Args:
        path: where to, ending in .npz.
        cell: the cell whose weights they are.
        meta_params: `[M]`.
        training: JSON-serialisable facts of where they come from.
    """
    tensors = cell.meta_layout.split(meta_params)
    arrays = {
        name: tensor.numpy()
        for name, tensor in zip(cell.meta_layout.names, tensors, strict=True)
    }
    metadata = {
        "cell": type(cell).__name__,
        "config": cell.get_config(),
        "training": dict(training),
    }
    save_arrays(path, arrays, metadata, FORMAT)


def load_cell(
    path: str | pathlib.Path,
) -> tuple[OptimizerCell, dict[str, Any]]:
    """Rebuild a learned optimizer from a weights file.

    A file without metadata, as other programs write them, is matched by its
    arrays, see `cell_from_arrays`.

    Returns:
        `(cell, training)`, the facts that `save_weights` was given.

    Raises:
        CheckpointError: if the file cannot be read, is of no known cell, or its
            numbers are not finite.
    """
    if format_of(path) is not None:
        arrays, metadata = load_arrays(path, FORMAT)
        _check_metadata(path, metadata)
        cell = _cell_of(path, metadata["cell"], metadata["config"])
        if not _fits(cell, arrays):
            raise CheckpointError(_mismatch(path, arrays, [cell]))
        _assign(cell, arrays, path)
        return cell, metadata["training"]
    return cell_from_arrays(load_plain_arrays(path), path), {}


def _check_metadata(path: str | pathlib.Path, metadata: Any) -> None:
    """Refuse metadata that `save_weights` did not write."""
    kinds = {"cell": str, "config": dict, "training": dict}
    if not isinstance(metadata, dict) or not all(
        isinstance(metadata.get(name), kind) for name, kind in kinds.items()
    ):
        raise CheckpointError(
            "The metadata of a weights file are a cell, its config and facts "
            f"of its training. Received: {path}, "
            f"metadata={reprlib.repr(metadata)}."
        )


def _cell_of(
    path: str | pathlib.Path, kind: str, config: Mapping[str, Any]
) -> OptimizerCell:
    """Build the cell that a file names, with weights of its own."""
    if kind not in LEARNED_CELLS:
        raise CheckpointError(
            "The weights are of a cell this version does not know. "
            f"Received: {path}, cell={kind!r}. "
            f"Known: {', '.join(LEARNED_CELLS)}."
        )
    # Of a dict Keras would make an object of a class that the file names.
    dtype = config.get("dtype", "float32")
    if not isinstance(dtype, str):
        raise CheckpointError(
            "The dtype of a weights file's cell must be a str. Received: "
            f"{path}, dtype={reprlib.repr(dtype)}."
        )
    try:
        return LEARNED_CELLS[kind].from_config(dict(config))
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            "The weights' cell has arguments that this version does not "
            f"know. Received: {path}, {kind} with {config}: {error}"
        ) from error


def cell_from_arrays(
    arrays: Mapping[str, np.ndarray], path: str | pathlib.Path
) -> OptimizerCell:
    """Build the named cell whose default arguments give just these arrays.

    Args:
        arrays: one per weight, by its path in the cell ("lstm_1/w_gates",
            "hierarchical_rnn/update_weights").
        path: where they come from, for the message.

    Raises:
        CheckpointError: if no cell of `LEARNED_CELLS` has exactly these names
            and shapes, or they are not finite real numbers.
    """
    candidates = [
        kind(name=_plain_name(word)) for word, kind in LEARNED_CELLS.items()
    ]
    for cell in candidates:
        if _fits(cell, arrays):
            _assign(cell, arrays, path)
            return cell
    raise CheckpointError(_mismatch(path, arrays, candidates))


def _plain_name(kind: str) -> str:
    """Return Keras' name for the first object of a class, in snake case.

    A weight that a cell holds itself has it in its path; for later objects
    Keras appends a number.
    """
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind)
    return re.sub(r"([A-Z])([A-Z][a-z])", r"\1_\2", words).lower()


def _shapes(cell: OptimizerCell) -> dict[str, tuple[int, ...]]:
    layout = cell.meta_layout
    return dict(zip(layout.names, layout.shapes, strict=True))


def _fits(cell: OptimizerCell, arrays: Mapping[str, np.ndarray]) -> bool:
    return _shapes(cell) == {k: a.shape for k, a in arrays.items()}


def _assign(
    cell: OptimizerCell,
    arrays: Mapping[str, np.ndarray],
    path: str | pathlib.Path,
) -> None:
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise CheckpointError(
                "Weights must be finite real numbers. Received: "
                f"dtype={array.dtype} of {name!r} in {path}, "
                f"{np.count_nonzero(~np.isfinite(array))} not finite."
            )
    for variable in cell.trainable_variables:
        variable.assign(arrays[variable.path])


def _mismatch(
    path: str | pathlib.Path,
    arrays: Mapping[str, np.ndarray],
    cells: list[OptimizerCell],
) -> str:
    expected = "; ".join(f"{type(c).__name__}: {_shapes(c)}" for c in cells)
    received = {k: a.shape for k, a in arrays.items()}
    return (
        f"The arrays of {path} are not the weights of such a cell. "
        f"Expected {expected}. Received: {received}."
    )
