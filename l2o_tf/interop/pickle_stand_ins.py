"""What the globals of a pickle of arrays are replaced by while it is read.

A pickle calls what it names. `GLOBALS` gives each of the few names that a
dict of NumPy arrays needs an object of this file, which can be called with the
arguments of that use only and refuses any other by `pickle.UnpicklingError`.
No function of NumPy or dill is among them.

The names are those of dill with Python 3.7 and NumPy 1 (the released weights),
those of newer versions of both, and those of pickle alone.
"""

from __future__ import annotations

import math
import pickle
import reprlib
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np


class StandIn:
    """Stand for a global: it can be passed on, or called in the given ways.

    Args:
        name: str, for messages.
        calls: the tuples of arguments it may be called with.
        result: what such a call makes.
    """

    __slots__ = ("_calls", "_name", "_result")

    def __init__(
        self,
        name: str,
        calls: tuple[tuple[Any, ...], ...] = (),
        result: Callable[[], Any] = dict,
    ) -> None:
        self._name = name
        self._calls = calls
        self._result = result

    def __call__(self, *arguments: Any) -> Any:
        """Make the result, or refuse the arguments."""
        if arguments not in self._calls:
            raise pickle.UnpicklingError(
                f"it calls {self._name} with {reprlib.repr(arguments)}"
            )
        return self._result()

    def __setstate__(self, state: Any) -> NoReturn:
        # Without this method BUILD would set attributes of the table's entry.
        raise pickle.UnpicklingError(f"it gives {self._name} a state")

    def __repr__(self) -> str:
        return self._name


class Float32:
    """Stand for `numpy.dtype("<f4")`, once its state has come."""

    __slots__ = ("complete",)

    def __init__(self) -> None:
        self.complete = False

    def __setstate__(self, state: Any) -> None:
        if state != (3, "<", None, None, None, -1, -1, 0):
            raise pickle.UnpicklingError(
                "only little-endian float32 is read, and it has a type of "
                f"state {reprlib.repr(state)}"
            )
        self.complete = True


class Array:
    """Stand for a `numpy.ndarray`, and hold it once its state has come.

    The array is a view of the pickle's bytes: a stream that uses the same
    bytes for many arrays makes no copies of them.
    """

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        if not _is_array_state(state) or self.value is not None:
            raise pickle.UnpicklingError(
                f"it gives an array the state {reprlib.repr(state)}"
            )
        _, shape, _, fortran_order, data = state
        if 4 * math.prod(shape) != len(data):
            raise pickle.UnpicklingError(
                f"an array of shape {reprlib.repr(shape)} has {len(data)} bytes"
            )
        flat = np.frombuffer(data, "<f4")
        self.value = flat.reshape(shape, order="F" if fortran_order else "C")


def _is_array_state(state: Any) -> bool:
    """Whether it is (1, shape, dtype, is Fortran, bytes), by exact types."""
    if type(state) is not tuple or len(state) != 5:
        return False
    version, shape, dtype, fortran_order, data = state
    return (
        version == 1
        and type(shape) is tuple
        and all(type(size) is int and size > 0 for size in shape)
        and type(dtype) is Float32
        and dtype.complete
        and fortran_order in (False, True)
        and type(data) is bytes
    )


_DICT = StandIn("dict")
_NDARRAY = StandIn("numpy.ndarray")
_RECONSTRUCT = StandIn("numpy's _reconstruct", ((_NDARRAY, (0,), b"b"),), Array)
_MODULE = StandIn("numpy's C module")
_LOAD_TYPE = StandIn("dill's _load_type", (("dict",),), lambda: _DICT)
_IMPORT_MODULE = StandIn(
    "dill's _import_module",
    (("numpy.core._multiarray_umath",), ("numpy.core.multiarray",)),
    lambda: _MODULE,
)
_GET_ATTR = StandIn(
    "dill's _get_attr", ((_MODULE, "_reconstruct"),), lambda: _RECONSTRUCT
)
GLOBALS = {
    ("collections", "defaultdict"): StandIn(
        "collections.defaultdict", ((_DICT,),), dict
    ),
    ("builtins", "dict"): _DICT,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): StandIn("numpy.dtype", (("f4", False, True),), Float32),
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("dill._dill", "_load_type"): _LOAD_TYPE,
    ("dill._dill", "_import_module"): _IMPORT_MODULE,
    ("dill._dill", "_get_attr"): _GET_ATTR,
    ("dill.dill", "_load_type"): _LOAD_TYPE,
    ("dill.dill", "_import_module"): _IMPORT_MODULE,
    ("dill.dill", "_get_attr"): _GET_ATTR,
}
