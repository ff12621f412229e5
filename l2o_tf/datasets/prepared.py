"""Find and read a data set that tensorflow-datasets has prepared on disk.

Only files are touched here, never the network. tensorflow-datasets mixes the
examples once, when it prepares a data set, by a hash of each example's number:
its file order is the same everywhere, but it is not the publisher's order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

Arrays = tuple[np.ndarray, np.ndarray]
"""Images uint8 `[n, height, width, channels]` and labels `[n]`."""

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)/?")


def resolve_data_dir(data_dir: str | None) -> str:
    """Return where to look: `data_dir`, else TFDS_DATA_DIR, else tfds' default.

    The default is `~/tensorflow_datasets`. The environment is read at the time
    of the call.
    """
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR")
    chosen = os.path.expanduser(chosen or "~/tensorflow_datasets")
    # A bucket ("gs://...") has no absolute path.
    return chosen if "://" in chosen else os.path.abspath(chosen)


def find(name: str, data_dir: str) -> str | None:
    """Return the folder of the newest prepared version, None if there is none.

    A folder that an interrupted download left ("3.0.1.incomplete...") does not
    count.
    """
    parent = os.path.join(data_dir, name)
    if not tf.io.gfile.isdir(parent):
        return None
    found = [_VERSION.fullmatch(entry) for entry in tf.io.gfile.listdir(parent)]
    versions = [tuple(map(int, match.groups())) for match in found if match]
    if not versions:
        return None
    return os.path.join(parent, ".".join(map(str, max(versions))))


def read(
    folder: str,
    image_shape: tuple[int, int, int],
    splits: Sequence[str] = ("train", "test"),
) -> dict[str, Arrays]:
    """Read some splits, in file order.

    Args:
        folder: as `find` returns it.
        image_shape: (height, width, channels) that the images must have.
        splits: their names in the files. Defaults to "train" and "test".

    Raises:
        RuntimeError: if the files are damaged, incomplete, or hold something
            else. A data set that is there and cannot be read is never replaced
            by another one.
    """
    try:
        builder = tfds.builder_from_directory(folder)
        arrays = {name: _read_split(builder, name) for name in splits}
    except Exception as error:  # whatever it is, it needs the folder's name
        raise _unreadable(folder, f"{type(error).__name__}: {error}") from error
    for name, (images, _) in arrays.items():
        promised = builder.info.splits[name].num_examples
        expected = (promised, *image_shape)
        if images.shape != expected or images.dtype != np.uint8:
            raise _unreadable(
                folder,
                f"expected uint8 images {expected} in {name!r}, found "
                f"{images.dtype} {images.shape}",
            )
    return arrays


def _read_split(builder: tfds.core.DatasetBuilder, name: str) -> Arrays:
    whole = builder.as_dataset(
        split=name,
        shuffle_files=False,
        batch_size=-1,
        # One file after the other: without it tfds deals out blocks of 16
        # examples from several files in turn.
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    return whole["image"].numpy(), whole["label"].numpy()


def _unreadable(folder: str, reason: str) -> RuntimeError:
    return RuntimeError(
        "A prepared data set cannot be read. Delete its folder and prepare it "
        "again (`tfds build NAME --data_dir=DIR`), or name another data_dir. "
        f"Received: folder={folder!r}; {reason}."
    )
