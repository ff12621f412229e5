"""The small real MNIST subset inside the package: works on a bare machine.

Where it comes from, its licence and its checksum: `embedded_data/README.md`.
`tools/make_mnist_subset.py` made it.
"""

from __future__ import annotations

import pathlib

import gin
import numpy as np

from l2o_tf.datasets.base import SPLITS, ImageDataset, make_split

MNIST_SUBSET = (
    pathlib.Path(__file__).parent / "embedded_data" / "mnist_subset.npz"
)
"""Per split `*_images` uint8 `[n, 28, 28]` and `*_labels` uint8 `[n]`."""


@gin.register(module="l2o_tf.datasets")
def load_mnist_subset() -> ImageDataset:
    """Load 10,000 train, 2 x 500 validation and 2,000 test images of MNIST.

    Every class is equally frequent. Each split is drawn from the split of the
    same name of the full data set, as `load_images` cuts it. Results are not
    those of the full data set, and the notice says so.
    """
    with np.load(MNIST_SUBSET) as stored:
        splits = {
            name: make_split(
                stored[f"{name}_images"][..., np.newaxis],
                stored[f"{name}_labels"],
            )
            for name in SPLITS
        }
    train, test = (len(splits[name].labels) for name in ("train", "test"))
    notice = (
        f"NOT THE FULL MNIST: the embedded subset of {train:,} train and "
        f"{test:,} test images."
    )
    return ImageDataset("mnist", splits, num_classes=10, notice=notice)
