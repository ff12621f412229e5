"""The weights that Chen et al. (2020) released, read without running anything.

Their `.l2l` files (`cw.l2l-0` for L2O-DM, `rp.l2l-0` for RNNprop) are pickles:
module name -> variable name -> float32 array. A pickle is a program, so it is
taken in three steps, each of which refuses what the released files do not
need:

1. its opcodes are listed, not run: only those that name, call, store or build
   what is below, at most `_MAX_OPCODES` of them;
2. it is run, but every global it names is looked up in the stand-ins of
   pickle_stand_ins.py, each of which can be called in one way only; NumPy's
   and dill's functions, which the files name, are never reached;
3. what it made must be a dict of dicts of finite float32 arrays.

L2O-Scale's are a checkpoint of TensorFlow, see released_checkpoint.py;
`load_released` takes both.

The tests read pickles that were rebuilt opcode by opcode from a description of
the released files, and compare their arrays with the released ones; the files
themselves were not at hand.

Reference: Chen et al., NeurIPS 2020, "Training Stronger Baselines for Learning
to Optimize"; the format, spec dm_rnnprop.md 9.
"""

from __future__ import annotations

import io
import pathlib
import pickle
import pickletools
import re
import reprlib
import warnings
from collections.abc import Iterable
from typing import Any

import gin
import numpy as np

from l2o_tf.interop.pickle_stand_ins import GLOBALS, Array, StandIn
from l2o_tf.interop.released_checkpoint import (
    is_released_checkpoint,
    is_tensorflow_checkpoint,
    load_released_checkpoint,
)
from l2o_tf.learned.weights import cell_from_arrays, load_cell
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.runtime.arrays import CheckpointError, DamagedFileError

_PICKLE_NAME = re.compile(r".+\.l2l(-\d+)?")
_MAX_BYTES = 2**20  # forty times a released file
# Ten times a released file; bounds how deep tuples nest, whose hash recurses.
_MAX_OPCODES = 4_000
# What a malformed pickle makes `pickle` and `pickletools` raise.
_DAMAGE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
)
_OPCODES = """
    PROTO FRAME STOP MARK GLOBAL STACK_GLOBAL REDUCE BUILD
    BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET
    NONE NEWTRUE NEWFALSE BININT BININT1 BININT2
    BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT SETITEM SETITEMS
"""


class _Unpickler(pickle.Unpickler):
    """Run a pickle whose every global is a stand-in."""

    def find_class(self, module: str, name: str) -> StandIn:
        """Look a global up in the table; nothing is imported."""
        if (module, name) not in GLOBALS:
            full_name = reprlib.repr(f"{module}.{name}")
            raise pickle.UnpicklingError(
                f"it names {full_name}, which they do not have"
            )
        return GLOBALS[module, name]


def _read_bytes(path: pathlib.Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise CheckpointError(
            f"Could not read the weights: {error.strerror}. Received: "
            f"path={str(path)!r}. Give the path of a readable .l2l file."
        ) from error
    if len(data) > _MAX_BYTES:
        raise CheckpointError(
            f"Released weights have at most {_MAX_BYTES:,} bytes. Received: a "
            f"larger file, path={str(path)!r}."
        )
    return data


def _check_opcodes(data: bytes) -> None:
    """List the opcodes without running them.

    Raises:
        pickle.UnpicklingError: if one has no place in released weights.
        ValueError: if the bytes are no pickle, cut off or too long.
    """
    allowed = frozenset(_OPCODES.split())
    opcodes: Iterable[tuple[Any, Any, Any]] = pickletools.genops(data)
    position = None
    with warnings.catch_warnings():
        # Of escape sequences in text that is no pickle.
        warnings.simplefilter("ignore", DeprecationWarning)
        for count, (opcode, argument, position) in enumerate(opcodes):
            if opcode.name not in allowed:
                raise pickle.UnpicklingError(
                    f"it uses the opcode {opcode.name} at byte {position}"
                )
            if count >= _MAX_OPCODES:
                raise pickle.UnpicklingError(
                    f"it has more than {_MAX_OPCODES:,} opcodes"
                )
            # The place is an index of a list that grows to reach it.
            if opcode.name == "LONG_BINPUT" and argument > _MAX_OPCODES:
                raise pickle.UnpicklingError(f"it memorises at {argument}")
    if position != len(data) - 1:
        raise ValueError("bytes follow its end")


def _checked(content: Any, size: int) -> dict[str, np.ndarray]:
    """Return module/variable -> array of what `size` bytes of pickle made."""
    if type(content) is not dict:
        raise pickle.UnpicklingError("it does not hold a dict of modules")
    arrays: dict[str, np.ndarray] = {}
    for module, variables in content.items():
        if not _is_name(module) or type(variables) is not dict:
            raise pickle.UnpicklingError(
                f"its module {reprlib.repr(module)} is not a named dict"
            )
        for variable, array in variables.items():
            if not _is_name(variable) or type(array) is not Array:
                raise pickle.UnpicklingError(
                    f"its {reprlib.repr(variable)} of {module} is not a named "
                    "array"
                )
            name = f"{module}/{variable}"
            if array.value is None:
                raise pickle.UnpicklingError(f"its {name} has no numbers")
            if not np.isfinite(array.value).all():
                raise pickle.UnpicklingError(f"its {name} is not finite")
            size -= array.value.nbytes
            if size < 0:
                raise pickle.UnpicklingError(
                    "its arrays have more bytes than it has"
                )
            arrays[name] = array.value.astype(np.float32)
    return arrays


def _is_name(value: Any) -> bool:
    return type(value) is str and value.isidentifier() and len(value) <= 100


def read_pickle(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """Read an `.l2l` file; nothing that it says is executed.

    Args:
        path: the file.

    Returns:
        "module/variable" (as "lstm_1/w_gates") to float32 array.

    Raises:
        CheckpointError: if the file cannot be read, or has in it anything else
            than a dict of dicts of finite float32 arrays.
        DamagedFileError: if it is cut off or not a pickle.
    """
    path = pathlib.Path(path)
    data = _read_bytes(path)
    try:
        _check_opcodes(data)
        return _checked(_Unpickler(io.BytesIO(data)).load(), len(data))
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"The pickle is not of released weights: {error}. Received: "
            f"path={str(path)!r}. Nothing of it was executed."
        ) from error
    except _DAMAGE as error:
        raise DamagedFileError(
            f"The file is damaged, cut off or not a pickle ({error}). "
            f"Received: path={str(path)!r}."
        ) from error


def is_pickle(path: str | pathlib.Path) -> bool:
    """Whether a file's name is that of a pickle, `NAME.l2l` or `NAME.l2l-0`."""
    return _PICKLE_NAME.fullmatch(pathlib.Path(path).name) is not None


def model_name(path: str | pathlib.Path) -> str:
    """Return what to call the optimizer whose weights a file has.

    The file's name without its ending; of a pickle or a TensorFlow checkpoint
    its folder's name, for the released ones are called `dm/cw.l2l-0`,
    `dm_cl/cw.l2l-0` and so on.
    """
    path = pathlib.Path(path).resolve()
    if is_pickle(path):
        return path.parent.name
    if is_tensorflow_checkpoint(path):
        return path.name if path.is_dir() else path.parent.name
    return path.stem


@gin.register(module="l2o_tf.interop")
def load_released(
    path: str | pathlib.Path, folder: str | pathlib.Path = ""
) -> OptimizerCell:
    """Rebuild a learned optimizer from a file of weights of any kind.

    Args:
        path: an `.l2l` file of the released program; the checkpoint of
            L2O-Scale as `load_released_checkpoint` takes it; or an `.npz`
            file as `learned.weights.load_cell` takes it.
        folder: what a relative path is relative to; "" for the working
            directory.

    Raises:
        CheckpointError: as `read_pickle`, `load_released_checkpoint` and
            `load_cell`, or if the arrays are of no known cell.
    """
    path = pathlib.Path(folder) / path
    if is_pickle(path):
        return cell_from_arrays(read_pickle(path), path)
    if is_released_checkpoint(path):
        return load_released_checkpoint(path).cell
    return load_cell(path)[0]
