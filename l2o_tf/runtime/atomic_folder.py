"""A folder that is written whole or not at all.

It is filled under a temporary name beside its own, forced to the disk and then
renamed, as atomic.py does with files. Replacing a folder takes two renames:
between them, and never longer, neither the old one nor the new one is there.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

from l2o_tf.runtime.atomic import make_folder


def check_new_folder(
    path: str | os.PathLike[str], overwrite: bool, marker: str
) -> pathlib.Path:
    """Return a path at which a folder may be written.

    Args:
        path: the folder.
        overwrite: whether one of the same kind may be replaced.
        marker: the name of a file that every folder of that kind has; any
            other is never removed.

    Raises:
        ValueError: if something is there that may not be replaced.
    """
    path = pathlib.Path(path)
    if not os.path.lexists(path):
        return path
    if not (path / marker).is_file() or path.is_symlink():
        raise ValueError(
            f"There is something that is not a folder with a file {marker}: it "
            f"is never replaced. Received: path={str(path)!r}. Choose another."
        )
    if not overwrite:
        raise ValueError(
            f"There is such a folder already. Received: path={str(path)!r}. "
            "Choose another, or replace it by overwrite (--overwrite)."
        )
    return path


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Give an empty folder to fill, which then takes the place of `path`.

    If the block raises, what it wrote is removed, and `path` is as before.

    Args:
        path: the folder, replaced if it exists; see `check_new_folder`.

    Raises:
        OSError: if a folder cannot be made or renamed.
    """
    path = pathlib.Path(path).absolute()
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(temporary, ignore_errors=True)  # of a namesake, long dead
    make_folder(temporary)
    try:
        yield temporary
        _sync(temporary)
        _replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _replace(new: pathlib.Path, path: pathlib.Path) -> None:
    """Rename `new` to `path`, and remove what was there."""
    if not path.exists():
        os.rename(new, path)
        return
    old = path.with_name(f".{path.name}.{os.getpid()}.old.partial")
    os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(old, path)
        raise
    shutil.rmtree(old)


def _sync(folder: pathlib.Path) -> None:
    """Force the files of a folder to the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
