"""One function that loads a learned optimizer, by name or from a path."""

from __future__ import annotations

import difflib
import os
import pathlib

from l2o_tf.interop.model_cards import FOLDER, names
from l2o_tf.interop.released_weights import load_released
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.runtime.arrays import CheckpointError
from l2o_tf.runtime.run_dir import RunPaths


def load(
    name_or_path: str | os.PathLike[str],
    *,
    cell: type[OptimizerCell] | None = None,
) -> OptimizerCell:
    """Load a learned optimizer with its trained weights.

    Which it is, a name or a path, is decided by how it is written, never by
    what happens to exist: a str with a slash or a dot in it is a path, as is
    any `pathlib.Path`; every other str is a name. So "rnnprop" is the
    optimizer in the package even where there is a folder rnnprop, which is
    "./rnnprop".

    The weights of the cell are ordinary Keras weights that can be trained
    further. No file is unpickled.

    Args:
        name_or_path: a name that `l2o_tf.pretrained()` lists; or the path of a
            weights file (.npz), of a training run's directory, whose best
            weights are taken, or of a file released with the paper, as
            `l2o_tf.interop.released_weights.load_released` takes it.
        cell: a class, if weights of any other are to be refused.

    Raises:
        TypeError: if `name_or_path` is neither str nor path, or `cell` is not
            a class of optimizers.
        ValueError: if there is no optimizer of this name, or the run has no
            weights yet.
        CheckpointError: if there is nothing at the path, or the file is
            damaged, cut off, holds anything else than weights, or those of
            another cell.

    Example:
    >>> cell = load("rnnprop_cl_il")
    >>> cell.get_config()["units"]
    (20, 20)
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise TypeError(
            "A trained optimizer is loaded by its name or from a path. "
            f"Received: name_or_path={name_or_path!r}."
        )
    if cell is not None and not (
        isinstance(cell, type) and issubclass(cell, OptimizerCell)
    ):
        raise TypeError(
            "`cell` must be a class of optimizers, as DMLSTM, or None for any. "
            f"Received: cell={cell!r}."
        )
    if isinstance(name_or_path, str) and _is_name(name_or_path):
        path = _path_of_name(name_or_path)
    else:
        path = _existing(pathlib.Path(name_or_path))
    loaded = load_released(path)
    if cell is not None and not isinstance(loaded, cell):
        raise CheckpointError(
            f"Weights of {cell.__name__} were asked for. Received: weights of "
            f"{type(loaded).__name__}, path={str(path)!r}."
        )
    return loaded


def _is_name(text: str) -> bool:
    return not any(mark in text for mark in ("/", os.sep, "."))


def _path_of_name(name: str) -> pathlib.Path:
    """Return the weights file of a name, or refuse it with the near ones."""
    known = names()
    if name in known:
        return FOLDER / f"{name}.npz"
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    here = (
        f" What lies here under this name is {os.path.join('.', name)!r}."
        if name and os.path.exists(name)
        else ""
    )
    raise ValueError(
        "There is no trained optimizer of this name. Received: "
        f"name_or_path={name!r}.{hint} The package has: {', '.join(known)}. "
        f"A path is written with a slash or a dot.{here}"
    )


def _existing(path: pathlib.Path) -> pathlib.Path:
    """Return what to read for a path: a file, or a checkpoint's folder."""
    run = RunPaths(path)
    if run.exists():
        return run.trained_weights()
    # A TensorFlow checkpoint is named by what its files have in common.
    index = path.parent / f"{path.name}.index"
    if not path.exists() and not index.is_file():
        raise CheckpointError(
            "There is no such file or directory. Received: path="
            f"{str(path)!r}. A trained optimizer in the package is loaded by "
            f"its name alone: {', '.join(names())}."
        )
    return path
