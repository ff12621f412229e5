"""A profile of what is done inside a `with`, where TensorBoard looks for it."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

import tensorflow as tf


class ProfileError(RuntimeError):
    """A profile that could not be made; the message says why."""


def _worded(folder: pathlib.Path, error: tf.errors.OpError) -> ProfileError:
    return ProfileError(
        f"The profile could not be made: {error.message} "
        f"Received: folder={str(folder)!r}. Let nothing else profile this "
        "process, have free space, or go on without a profile."
    )


@contextlib.contextmanager
def profiled(folder: pathlib.Path) -> Iterator[None]:
    """Profile the host, and the GPUs if there are any.

    Args:
        folder: of TensorBoard's events; the profile is put into
            `<folder>/plugins/profile/<time>/`.

    Raises:
        ProfileError: if another profile is running, or the files cannot be
            written. An error of what is profiled is passed on, and no profile
            written.
    """
    try:
        tf.profiler.experimental.start(str(folder))
    except tf.errors.OpError as error:
        raise _worded(folder, error) from error
    try:
        yield
    except BaseException:
        tf.profiler.experimental.stop(save=False)
        raise
    try:
        tf.profiler.experimental.stop()
    except tf.errors.OpError as error:
        raise _worded(folder, error) from error
