"""A tiny data set made from a seed: for tests and first trials."""

from __future__ import annotations

import gin
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.datasets.base import SPLITS, ImageDataset, make_split


@gin.register(module="l2o_tf.datasets")
def synthetic_images(
    seed: int = 0,
    height: int = 4,
    width: int = 4,
    channels: int = 1,
    num_classes: int = 3,
    num_train: int = 64,
    num_other: int = 32,
) -> ImageDataset:
    """Make images that differ by class, with noise over them.

        label_i = i mod num_classes
        image_i = round(255 (mean[label_i] + noise_i))
        mean ~ U(0.25, 0.75) per class and pixel,  noise ~ U(-0.25, 0.25)

    All splits share the means, so what is learned on one holds on the others.

    Args:
        seed: int, fixes every pixel. Defaults to 0.
        height: int, pixels. Defaults to 4.
        width: int, pixels. Defaults to 4.
        channels: int, defaults to 1.
        num_classes: int, defaults to 3.
        num_train: int, images in "train". Defaults to 64.
        num_other: int, images in each other split. Defaults to 32.

    Raises:
        ValueError: if an argument is not a positive int, or `seed` no seed.
    """
    shape = [
        checks.positive_int("height", height),
        checks.positive_int("width", width),
        checks.positive_int("channels", channels),
    ]
    checks.positive_int("num_classes", num_classes)
    counts = dict.fromkeys(SPLITS, checks.positive_int("num_other", num_other))
    counts["train"] = checks.positive_int("num_train", num_train)
    root = seeds.make_seed(seed)
    means = seeds.uniform(
        seeds.fold_in(root, len(SPLITS)), [num_classes, *shape], 0.25, 0.75
    )
    splits = {}
    for i, name in enumerate(SPLITS):
        labels = np.arange(counts[name]) % num_classes
        noise = seeds.uniform(
            seeds.fold_in(root, i), [counts[name], *shape], -0.25, 0.25
        )
        images = tf.round(255.0 * (tf.gather(means, labels) + noise))
        splits[name] = make_split(tf.cast(images, tf.uint8).numpy(), labels)
    return ImageDataset("synthetic", splits, num_classes)
