"""Named arrays with metadata in one file that runs no code when it is read.

A file is an uncompressed `.npz`, so `np.load` opens it too. Beside the arrays
it holds one reserved member, UTF-8 JSON as uint8:

    {"format": name, "version": int, "arrays": [names], "metadata": {...}}

Every member carries a CRC-32; a file that is cut, changed, foreign or of
another version is refused in words. Nothing is ever unpickled: only arrays of
numbers are written and read. Cost: three copies in memory while
reading, two while writing.
"""

from __future__ import annotations

import io
import json
import math
import os
import pathlib
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from l2o_tf.runtime import atomic

_METADATA = "__metadata__"
_MEMBER = ".npy"
_NUMBERS = "biufc"  # NumPy's kinds: bool, int, unsigned int, float, complex
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class Format(NamedTuple):
    """What a file holds, and in which version of its writer's convention."""

    name: str
    version: int


class _Record(NamedTuple):
    """The reserved member, read."""

    format: Format
    names: list[str]
    metadata: dict[str, Any]


class CheckpointError(ValueError):
    """A file of arrays that cannot be used as asked."""


class DamagedFileError(CheckpointError):
    """A file of arrays whose bytes are not what was written."""


def _check_json(value: Any, name: str) -> None:
    """Refuse what JSON would turn into something else, or not take at all."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(
                    "The keys of metadata must be str, as JSON would make "
                    f"them so. Received: key={key!r} in {name}."
                )
            _check_json(item, f"{name}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _check_json(item, f"{name}[{i}]")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise ValueError(
            "Metadata must be JSON: dict, list, str, int, float, bool or None. "
            f"Received: {name}={value!r}. Convert it, or save it as an array."
        )


def _checked_array(name: Any, value: Any) -> np.ndarray:
    if (
        not isinstance(name, str)
        or not name
        or not name.isprintable()
        or name == _METADATA
    ):
        raise ValueError(
            "An array's name must be a printable str other than "
            f"{_METADATA!r}. Received: name={name!r}."
        )
    array = np.asarray(value)
    if array.dtype.kind not in _NUMBERS:
        raise ValueError(
            "Only arrays of NumPy's numbers can be saved. "
            f"Received: dtype={array.dtype} of {name!r}."
        )
    return array


def save_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Any],
    metadata: Mapping[str, Any],
    format: Format,
) -> None:
    """Write arrays and metadata to one file, whole or not at all.

    Args:
        path: the file; its folder exists.
        arrays: name to array of numbers, or what `np.asarray` makes one of.
        metadata: JSON with str keys; floats keep every bit, NaN and infinities
            are allowed, a tuple comes back as a list.
        format: what the file is, asked for again by `load_arrays`.

    Raises:
        ValueError: if an array or the metadata cannot be stored so that it
            comes back the same.
        OSError: as `atomic.write_bytes`.
    """
    metadata = dict(metadata)
    _check_json(metadata, "metadata")
    checked = {name: _checked_array(name, a) for name, a in arrays.items()}
    record = {
        "format": format.name,
        "version": format.version,
        "arrays": list(checked),
        "metadata": metadata,
    }
    text = json.dumps(record).encode("utf-8")
    checked[_METADATA] = np.frombuffer(text, np.uint8)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in checked.items():
            # ZipInfo's constant date: the same arrays give the same bytes.
            info = zipfile.ZipInfo(name + _MEMBER)
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    atomic.write_bytes(path, buffer.getvalue())


def _read_members(path: pathlib.Path) -> dict[str, bytes]:
    """Read every member of a zip file, with its checksum."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise CheckpointError(
            f"Could not read the arrays: {error.strerror}. Received: "
            f"path={str(path)!r}. Give the path of a readable .npz file."
        ) from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {i.filename: archive.read(i) for i in archive.infolist()}
    except _DAMAGE as error:
        raise DamagedFileError(
            "The file is damaged, cut off or not an .npz file "
            f"({error}). Received: path={str(path)!r}."
        ) from error


def _decode(path: pathlib.Path, name: str, data: bytes) -> np.ndarray:
    """Turn the bytes of a `.npy` member into an array, without pickle."""
    where = f"Received: {name!r} in path={str(path)!r}."
    member = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(member)
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version](member)
    except (
        ValueError,
        KeyError,
        RecursionError,
        tokenize.TokenError,
    ) as error:
        raise CheckpointError(
            f"The file holds something that is not a plain array. {where}"
        ) from error
    shape, fortran_order, dtype = header
    if dtype.kind not in _NUMBERS:
        raise CheckpointError(
            f"The file holds an array of {dtype}; only numbers are read, "
            f"because reading objects can run code. {where} "
            "Save its numbers as plain arrays."
        )
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) - member.tell():
        raise CheckpointError(
            f"An array of shape {shape} and type {dtype} does not have "
            f"{len(data) - member.tell()} bytes. {where}"
        )
    array = np.frombuffer(data, dtype, count, member.tell())
    shaped = array.reshape(shape, order="F" if fortran_order else "C")
    return shaped.copy(order="K")  # what lies in `bytes` cannot be written to


def _decode_all(
    path: pathlib.Path, members: Mapping[str, bytes]
) -> dict[str, np.ndarray]:
    return {
        name.removesuffix(_MEMBER): _decode(path, name, data)
        for name, data in members.items()
        if name != _METADATA + _MEMBER
    }


def _record(path: pathlib.Path, members: Mapping[str, bytes]) -> _Record | None:
    """Read the reserved member; None where there is none."""
    name = _METADATA + _MEMBER
    if name not in members:
        return None
    text = _decode(path, name, members[name]).tobytes()
    try:
        record = json.loads(text)
        return _Record(
            Format(record["format"], record["version"]),
            record["arrays"],
            record["metadata"],
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            "The file's metadata is not what this package writes. "
            f"Received: path={str(path)!r}."
        ) from error


def format_of(path: str | os.PathLike[str]) -> Format | None:
    """Return a file's format, or None for one that has no metadata.

    Raises:
        CheckpointError: if there is no readable `.npz` file.
    """
    path = pathlib.Path(path)
    record = _record(path, _read_members(path))
    return None if record is None else record.format


def load_arrays(
    path: str | os.PathLike[str], format: Format
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file that `save_arrays` wrote.

    Args:
        path: the file.
        format: the format it must have, name and version.

    Returns:
        `(arrays, metadata)` as they were saved; the arrays may be written to.

    Raises:
        CheckpointError: if there is no such file, it has no metadata, or is of
            another format or version.
        DamagedFileError: if it is not a zip file, is cut off or fails a
            checksum.
    """
    path = pathlib.Path(path)
    members = _read_members(path)
    record = _record(path, members)
    expected = f"{format.name!r}, version {format.version}"
    if record is None:
        raise CheckpointError(
            f"The file has no metadata, so it is not of the format {expected}. "
            f"Received: path={str(path)!r}."
        )
    if record.format != format:
        raise CheckpointError(
            f"The file must be of the format {expected}. Received: format="
            f"{record.format.name!r}, version={record.format.version!r}, "
            f"path={str(path)!r}. Give the right file, or use the program "
            "version that wrote it."
        )
    arrays = _decode_all(path, members)
    if list(arrays) != record.names:
        raise DamagedFileError(
            f"The file should hold the arrays {record.names}. "
            f"Received: {list(arrays)} in path={str(path)!r}."
        )
    return arrays, record.metadata


def load_plain_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read an `.npz` file that another program wrote.

    Returns:
        Name to array of numbers.

    Raises:
        CheckpointError: if there is no such file, it holds something else than
            arrays of numbers, or it is one of this package's own, which
            `load_arrays` reads.
        DamagedFileError: if it is not a zip file, is cut off or fails a
            checksum.
    """
    path = pathlib.Path(path)
    members = _read_members(path)
    record = _record(path, members)
    if record is not None:
        raise CheckpointError(
            "Expected a plain .npz file without this package's metadata. "
            f"Received: format={record.format.name!r}, path={str(path)!r}. "
            "Read it with `load_arrays`."
        )
    return _decode_all(path, members)
