"""Files that are written whole or not at all, also when the process dies.

A file is written under a temporary name in its own folder, forced to the disk
and then renamed: whoever reads it finds the old contents or the new ones,
never a part, after a kill, a full disk or a power cut. Cost: the data is
written once, plus two fsync calls.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import shutil
from typing import Any

_PREFIX, _SUFFIX = ".", ".partial"
_SPACE = (
    "Free some space or choose a folder on another disk, then run the same "
    "command again."
)
_RIGHTS = "Choose a folder in which you may write."
_ADVICE = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
}


def _free_bytes(folder: pathlib.Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free:,}"
    except OSError:
        return "an unknown number"


def write_error(path: pathlib.Path, size: int, error: OSError) -> OSError:
    """Word a failed write, for the caller to raise.

    Args:
        path: the file that was to be written.
        size: bytes that had to be written.
        error: what the operating system said.

    Returns:
        An error of the same kind and `errno`.
    """
    advice = _ADVICE.get(
        error.errno or 0, "Mend the cause, then run the same command again."
    )
    return OSError(
        error.errno,
        f"Could not write {path}: {error.strerror or error}. It needs "
        f"{size:,} bytes; {_free_bytes(path.parent)} are free there. What the "
        f"file held before is intact. {advice}",
    )


def _write_and_sync(path: pathlib.Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: pathlib.Path) -> None:
    """Force a rename to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have nothing to force at a folder.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all.

    Args:
        path: the file, in a folder that exists; replaced if it exists.
        data: its contents.

    Raises:
        OSError: if it cannot be written, saying how many bytes were needed,
            how many are free and what to do. The old file is intact and the
            temporary one removed.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f"{_PREFIX}{path.name}.{os.getpid()}{_SUFFIX}")
    try:
        _write_and_sync(temporary, data)
        os.replace(temporary, path)
    except BaseException as error:
        # Where even this fails, `remove_leftovers` will find it.
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise write_error(path, len(data), error) from error
        raise
    _sync_folder(path.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 file whole or not at all; errors as `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file whole or not at all; errors as `write_bytes`.

    Floats keep every bit; NaN and infinities are written as Python's `json`
    reads them.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def make_folder(path: str | os.PathLike[str]) -> pathlib.Path:
    """Create a folder with its parents, unless it exists, and return it.

    Raises:
        OSError: if it cannot be created, with what to do.
    """
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            error.errno,
            f"Could not create the folder {path}: "
            f"{error.strerror or error}. "
            + _ADVICE.get(error.errno or 0, "Choose another folder."),
        ) from error
    return path


def remove_leftovers(folder: str | os.PathLike[str], of: str = "*") -> None:
    """Remove the temporary files that a killed process left in a folder.

    Only for files that no other process writes: see `RunDirectory`.

    Args:
        folder: where; nothing happens if there is none.
        of: a pattern of the names of the files that were to be written.
    """
    for path in pathlib.Path(folder).glob(f"{_PREFIX}{of}.*{_SUFFIX}"):
        path.unlink(missing_ok=True)
