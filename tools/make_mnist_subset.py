"""Make the MNIST subset that the package carries.

Run from the root of the repository, with the full MNIST prepared by
tensorflow-datasets:

    PYTHONPATH=. python tools/make_mnist_subset.py --data_dir=DIR

The rule is in `l2o_tf/datasets/embedded_data/README.md`. The same data give
the same file; the script prints its checksums.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from l2o_tf.datasets.base import SPLITS, ImageDataset
from l2o_tf.datasets.embedded import MNIST_SUBSET
from l2o_tf.datasets.images import load_images

PER_CLASS = {"train": 1000, "inner_valid": 50, "meta_valid": 50, "test": 200}


def select(labels: np.ndarray, per_class: int) -> np.ndarray:
    """Return the places of the first `per_class` images of each class, sorted.

    Raises:
        ValueError: if a class has fewer images.
    """
    counts = np.bincount(labels)
    if counts.min() < per_class:
        raise ValueError(
            f"Every class needs {per_class} images. "
            f"Received: counts={counts.tolist()}."
        )
    return np.sort(
        np.concatenate(
            [
                np.flatnonzero(labels == label)[:per_class]
                for label in range(len(counts))
            ]
        )
    )


def make_subset(full: ImageDataset) -> dict[str, Any]:
    """Return the arrays of the subset, by the names they are stored under.

    Raises:
        ValueError: if `full` is itself a subset.
    """
    if full.notice is not None:
        raise ValueError(
            "The subset is made from the full MNIST; name its folder with "
            f"--data_dir. Received: {full.notice}"
        )
    arrays: dict[str, Any] = {}
    for name in SPLITS:
        images, labels = (tensor.numpy() for tensor in full.split(name))
        places = select(labels, PER_CLASS[name])
        arrays[f"{name}_images"] = images[places, :, :, 0]
        arrays[f"{name}_labels"] = labels[places].astype(np.uint8)
    return arrays


def checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of the arrays' bytes, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file and print what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_dir", help="where tfds keeps the full MNIST")
    parser.add_argument("--output", type=pathlib.Path, default=MNIST_SUBSET)
    options = parser.parse_args(arguments)
    arrays = make_subset(load_images("mnist", options.data_dir))
    # The archive's entries carry no time, so equal arrays give equal files.
    np.savez_compressed(options.output, **arrays)
    stored = options.output.read_bytes()
    print(f"{options.output}: {len(stored):,} bytes")
    print(f"arrays sha256 {checksum(arrays)}")
    print(f"file sha256 {hashlib.sha256(stored).hexdigest()}")


if __name__ == "__main__":
    main()
