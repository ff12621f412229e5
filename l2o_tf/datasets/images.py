"""MNIST, CIFAR and small ImageNet in four splits, read through tfds."""

from __future__ import annotations

import dataclasses
import functools

import gin
from absl import logging

from l2o_tf.core import checks
from l2o_tf.datasets import download, prepared
from l2o_tf.datasets.base import ImageDataset, Split, make_split
from l2o_tf.datasets.embedded import load_mnist_subset


@dataclasses.dataclass(frozen=True)
class _Source:
    """What the published data set is, and how it is cut.

    `num_train // valid_divisor` images go into each validation split.
    """

    tfds_name: str
    title: str
    image_shape: tuple[int, int, int]
    num_train: int
    num_test: int
    valid_divisor: int
    train_keeps_valid: bool = False
    num_classes: int = 10
    published_test: str = "test"


_SOURCES = {
    "mnist": _Source("mnist", "MNIST", (28, 28, 1), 60_000, 10_000, 24),
    "cifar10": _Source(
        "cifar10",
        "CIFAR-10",
        (32, 32, 3),
        50_000,
        10_000,
        20,
        train_keeps_valid=True,
    ),
    "cifar100": _Source(
        "cifar100",
        "CIFAR-100",
        (32, 32, 3),
        50_000,
        10_000,
        20,
        num_classes=100,
    ),
    "imagenet32": _Source(
        "imagenet_resized/32x32",
        "ImageNet 32x32",
        (32, 32, 3),
        1_281_167,
        50_000,
        20,
        num_classes=1000,
        published_test="validation",
    ),
}


@gin.register(module="l2o_tf.datasets")
def load_images(
    name: str = "mnist",
    data_dir: str | None = None,
    disjoint_valid: bool = False,
) -> ImageDataset:
    """Load a published data set, downloading it where that is possible.

    | name | train | inner_valid | meta_valid | test |
    |---|---|---|---|---|
    | mnist | images 5,000-59,999 | 0-2,499 | 2,500-4,999 | 10,000 |
    | cifar10 | images 0-49,999 | 0-2,499 | 2,500-4,999 | 10,000 |
    | cifar100 | images 5,000-49,999 | 0-2,499 | 2,500-4,999 | 10,000 |
    | imagenet32 | images 128,116- | 0-64,057 | 64,058-128,115 | 50,000 |

    The numbers are places in tensorflow-datasets' files of its "train" split;
    a prepared data set of another size is cut in the same proportions (1/24 of
    MNIST's train images for each validation split, 1/20 of the others',
    rounded down) and carries a notice. CIFAR-100 has its 100 fine labels.
    "imagenet32" is `imagenet_resized/32x32`, ImageNet's 1,281,167 images at
    32 x 32 (3.9 GB on the device) with its published validation images for
    "test".

    MNIST's first 5,000 train images are kept from training, as in the original
    program. Deviation: tensorflow-datasets stores the images in another, fixed
    order, so these are 5,000 others of the 60,000. CIFAR-10 trains on all
    50,000 images, as the original program does; hence BOTH VALIDATION SPLITS
    OF CIFAR-10 ARE PART OF ITS TRAIN SPLIT. They rank optimizers by how well
    they minimise, not by how well the result generalises; only "test" is
    unseen. With `disjoint_valid` CIFAR-10's train split is images 5,000-49,999,
    and its validation images are unseen too, as all the others' always are.

    MNIST that is neither prepared nor downloadable is replaced by the subset
    inside the package, which is logged as a warning and carried as the data
    set's `notice`. The same arguments give the same object again.

    Args:
        name: "mnist", "cifar10", "cifar100" or "imagenet32".
        data_dir: where prepared data sets lie. Defaults to the environment
            variable TFDS_DATA_DIR, then to `~/tensorflow_datasets`.
        disjoint_valid: bool, whether "train" has no validation image, whatever
            the original program did. Defaults to False.

    Raises:
        ValueError: if an argument is out of range, or the prepared data set is
            too small to be cut.
        FileNotFoundError: if another than MNIST is neither prepared nor
            downloadable, within seconds.
        RuntimeError: if the data set is there but cannot be read.

    References:
        Chen et al., NeurIPS 2020, section 5, and the data readers of its
        released code.
    """
    checks.one_of("name", name, tuple(_SOURCES))
    checks.boolean("disjoint_valid", disjoint_valid)
    train_keeps_valid = _SOURCES[name].train_keeps_valid and not disjoint_valid
    # Not the argument itself: MNIST's two answers are one object.
    return _load(name, prepared.resolve_data_dir(data_dir), train_keeps_valid)


@functools.cache
def _load(name: str, data_dir: str, train_keeps_valid: bool) -> ImageDataset:
    source = _SOURCES[name]
    try:
        folder = _prepared_folder(source.tfds_name, data_dir)
    except download.NotDownloadableError as error:
        missing = (
            f"{source.title} is not prepared in {data_dir!r} and cannot be "
            f"downloaded ({error})."
        )
        fix = (
            "Name a folder that has it with --data_dir or TFDS_DATA_DIR, or "
            f"run `tfds build {source.tfds_name} --data_dir={data_dir}`, or "
            "this program, once with a network."
        )
        if name != "mnist":
            raise FileNotFoundError(
                f"{missing} {fix} Received: name={name!r}, "
                f"data_dir={data_dir!r}."
            ) from error
        dataset = load_mnist_subset()
        logging.warning("%s %s %s", missing, dataset.notice, fix)
        return dataset
    return _cut(name, folder, train_keeps_valid)


def _prepared_folder(name: str, data_dir: str) -> str:
    folder = prepared.find(name, data_dir)
    if folder is None:
        download.download(name, data_dir)
        folder = prepared.find(name, data_dir)
    if folder is None:
        raise RuntimeError(
            "tensorflow-datasets reported success but left no prepared data "
            f"set. Received: name={name!r}, data_dir={data_dir!r}."
        )
    return folder


def _cut(name: str, folder: str, train_keeps_valid: bool) -> ImageDataset:
    source = _SOURCES[name]
    published = source.published_test
    arrays = prepared.read(folder, source.image_shape, ("train", published))
    (images, labels), test = arrays["train"], arrays[published]
    part = len(labels) // source.valid_divisor
    if part == 0:
        raise ValueError(
            f"{source.title} needs at least {source.valid_divisor} train "
            "images to be cut into train and validation. Received: "
            f"{len(labels)} train images in {folder!r}."
        )

    def piece(start: int, stop: int | None) -> Split:
        return make_split(images[start:stop], labels[start:stop])

    splits = {
        "train": piece(0 if train_keeps_valid else 2 * part, None),
        "inner_valid": piece(0, part),
        "meta_valid": piece(part, 2 * part),
        "test": make_split(*test),
    }
    notice = None
    if (len(labels), len(test[1])) != (source.num_train, source.num_test):
        notice = (
            f"NOT THE FULL {source.title}: {len(labels):,} of "
            f"{source.num_train:,} train and {len(test[1]):,} of "
            f"{source.num_test:,} test images."
        )
    return ImageDataset(name, splits, source.num_classes, notice)
