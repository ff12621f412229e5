"""A folder of results that several processes fill at once.

<folder>/.locks/        who does what; nothing to keep

A file is written while "writing" is held, by any number of processes together.
Who holds it alone knows that a half-written file is a dead process's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from l2o_tf.runtime.atomic import make_folder, remove_leftovers
from l2o_tf.runtime.file_lock import file_lock


class SharedFolder:
    """Create a folder, tidy it, and lock what is done in it.

    Args:
        folder: created if need be.
        patterns: of the files whose half-written copies are removed, relative
            to the folder, such as "*.npz" and "tuning/*.npz".

    Raises:
        OSError: if the folder cannot be created.
    """

    def __init__(
        self, folder: str | os.PathLike[str], patterns: Sequence[str]
    ) -> None:
        self.path = make_folder(folder)
        with self.lock("writing", wait=False) as alone:
            if alone:
                for pattern in patterns:
                    place, name = os.path.split(pattern)
                    remove_leftovers(self.path / place, name)

    def lock(
        self, name: str, shared: bool = False, wait: bool = True
    ) -> contextlib.AbstractContextManager[bool]:
        """Hold the lock of a name while inside, see `file_lock`."""
        return file_lock(self.path / ".locks" / f"{name}.lock", shared, wait)

    def writing(self) -> contextlib.AbstractContextManager[bool]:
        """Hold while a file of this folder is written."""
        return self.lock("writing", shared=True)
