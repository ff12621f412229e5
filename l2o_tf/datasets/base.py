"""What a data set of images is: four named splits, whole, on the device.

The images stay uint8 (MNIST 47 MB, CIFAR-10 184 MB) and a minibatch is gathered
from them by index inside the graph, so that no step waits for the host. A
split that is captured by a `tf.function` is an argument of the compiled
program, never a constant inside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.datasets.parts import parse_part, stratified

SPLITS = ("train", "inner_valid", "meta_valid", "test")
"""Train the optimizee; choose between optimizees; choose between learned
optimizers; report."""


def check_split(name: str) -> str:
    """Return a name of a split, or of a part of one as `parse_part` reads it.

    Raises:
        ValueError: if it is neither.
    """
    part = parse_part(name)
    checks.one_of("split", part.split if part else name, SPLITS)
    return name


class Split(NamedTuple):
    """One part of a data set.

    Attributes:
        images: uint8 `[n, height, width, channels]`.
        labels: int32 `[n]`.
    """

    images: tf.Tensor
    labels: tf.Tensor


def make_split(images: np.ndarray, labels: np.ndarray) -> Split:
    """Put the arrays `images` (uint8) and `labels` (any int) on the device."""
    return Split(
        tf.convert_to_tensor(images),
        tf.convert_to_tensor(labels.astype(np.int32)),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """Hold the four splits of a classification data set.

    Args:
        name: str, what the data are called in a summary.
        splits: mapping with exactly the keys of `SPLITS`.
        num_classes: int; the labels are `0 .. num_classes - 1`.
        notice: None for the data set as published. Otherwise a sentence saying
            what is missing, to be repeated wherever a result is shown.

    Raises:
        ValueError: if a split is missing or unknown, the splits' images differ
            in shape, or images and labels do not fit together.
    """

    name: str
    splits: Mapping[str, Split]
    num_classes: int
    notice: str | None = None

    def __post_init__(self) -> None:
        checks.positive_int("num_classes", self.num_classes)
        if set(self.splits) != set(SPLITS):
            raise ValueError(
                f"A data set has exactly the splits {', '.join(SPLITS)}. "
                f"Received: splits={tuple(self.splits)} of {self.name!r}."
            )
        for name, split in self.splits.items():
            self._check(name, split)
        shapes = {
            name: tuple(s.images.shape[1:]) for name, s in self.splits.items()
        }
        if len(set(shapes.values())) > 1:
            raise ValueError(
                "The images of all splits must have one shape. "
                f"Received: shapes={shapes} of {self.name!r}."
            )

    def _check(self, name: str, split: Split) -> None:
        images, labels = split
        if images.dtype != tf.uint8 or images.shape.rank != 4:
            raise ValueError(
                "Images must be uint8 [n, height, width, channels]. Received: "
                f"dtype={images.dtype.name}, shape={images.shape} in {name!r} "
                f"of {self.name!r}."
            )
        if labels.dtype != tf.int32 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"Labels must be int32 [{images.shape[0]}], one per image. "
                f"Received: dtype={labels.dtype.name}, shape={labels.shape} "
                f"in {name!r} of {self.name!r}."
            )
        if not images.shape[0]:
            raise ValueError(
                "A split needs at least one image. Received: "
                f"shape={images.shape} in {name!r} of {self.name!r}."
            )
        low, high = int(tf.reduce_min(labels)), int(tf.reduce_max(labels))
        if low < 0 or high >= self.num_classes:
            raise ValueError(
                f"Labels must be from 0 to {self.num_classes - 1}. Received: "
                f"labels from {low} to {high} in {name!r} of {self.name!r}."
            )

    def split(self, name: str) -> Split:
        """Return the split, or the part of one, of that name.

        Args:
            name: one of `SPLITS`, or a part of it, as "train[5%]"
                (`parse_part`).

        Raises:
            ValueError: if `name` is neither.
        """
        part = parse_part(name)
        if part is not None:
            return subsample(self, *part).splits[part.split]
        return self.splits[checks.one_of("split", name, SPLITS)]


def subsample(
    dataset: ImageDataset, split: str, fraction: float, seed: int
) -> ImageDataset:
    """Return a data set with one of its splits cut down, the others whole.

    The same fraction of each class is drawn, see `stratified`, so 5 % of
    CIFAR-10's train split has 250 images of each of the 10 classes. The notice
    says so.

    Args:
        dataset: an `ImageDataset`.
        split: "train", "inner_valid", "meta_valid" or "test".
        fraction: float in (0, 1], 1 for the data set as it is.
        seed: int, of the draw.

    Raises:
        ValueError: if `split` is another, `fraction` is outside (0, 1], or
            `seed` is no seed.
    """
    checks.one_of("split", split, SPLITS)
    images, labels = dataset.splits[split]
    places = stratified(labels.numpy(), fraction, seed)
    if len(places) == labels.shape[0]:
        return dataset
    part = Split(tf.gather(images, places), tf.gather(labels, places))
    notice = (
        f"A PART OF {dataset.name}: {len(places):,} of {labels.shape[0]:,} "
        f"{split} images, seed {seed}."
    )
    return dataclasses.replace(
        dataset,
        splits={**dataset.splits, split: part},
        notice=f"{dataset.notice} {notice}" if dataset.notice else notice,
    )


def gather(split: Split, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Fetch a minibatch.

        image = (1/255) image_uint8,  a float32 product

    A product and not a quotient, as in the original reader of MNIST: the two
    differ in the last bit of some values, and graph optimisers and XLA turn
    the quotient into the product, so only the product is the same everywhere.

    Args:
        split: where to take the images from.
        indices: int32 `[B]`, from 0 to n - 1; not checked under XLA or
            on a GPU.

    Returns:
        `(images float32 [B, height, width, channels] in [0, 1],
        labels int32 [B])`.
    """
    images = tf.gather(split.images, indices)
    labels = tf.gather(split.labels, indices)
    return tf.cast(images, tf.float32) * (1.0 / 255.0), labels
