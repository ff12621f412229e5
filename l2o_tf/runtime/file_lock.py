"""Locks between processes that end with the process that holds them.

The lock is the kernel's (`flock`): also after kill -9 nothing has to be cleaned
up. The lock file stays, empty: removing it could hand out two locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from l2o_tf.runtime import atomic


@contextlib.contextmanager
def file_lock(
    path: str | os.PathLike[str], shared: bool = False, wait: bool = True
) -> Iterator[bool]:
    """Hold a lock while inside; give whether it is held.

    Args:
        path: the lock file, created with its folder if need be.
        shared: whether others may hold it as `shared` at the same time.
        wait: whether to wait until it is free. If not, False is given where
            another process, or another `file_lock` of this one, holds it.

    Raises:
        OSError: if the file cannot be created or locked.
    """
    path = pathlib.Path(path)
    atomic.make_folder(path.parent)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with open(path, "ab") as file:
        try:
            fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True  # closing the file unlocks it
