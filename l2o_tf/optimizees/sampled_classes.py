"""Problems that are drawn by class from one large data set of images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gin
import numpy as np
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.datasets.base import SPLITS, ImageDataset, gather, make_split
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.image_classifier import ImageClassifier

CLASS_SETS = ("outer_train", "outer_test")
"""Problems to train learned optimizers on, and problems they have not met."""

_START, _CLASSES = range(2)
_MAX_DRAW = 2**31 - 1


def class_set(
    name: str, num_classes: int, outer_train_fraction: float, seed: int
) -> np.ndarray:
    """Return the classes that one of `CLASS_SETS` has, in the order drawn.

    A permutation of all classes, drawn from the seed, is cut behind its first
    floor(fraction num_classes + 1/2).

    Args:
        name: one of `CLASS_SETS`.
        num_classes: int, of the data set.
        outer_train_fraction: float in [0, 1], of the classes.
        seed: int.

    Returns:
        int32, each class at most once.

    Raises:
        ValueError: if an argument is out of range.
    """
    checks.one_of("classes", name, CLASS_SETS)
    checks.positive_int("num_classes", num_classes)
    checks.real("outer_train_fraction", outer_train_fraction, 0.0, 1.0)
    order = seeds.permutation(seeds.make_seed(seed), num_classes).numpy()
    cut = math.floor(outer_train_fraction * num_classes + 0.5)
    return order[:cut] if name == "outer_train" else order[cut:]


def _template(dataset: ImageDataset, num_classes: int) -> ImageDataset:
    """Make black images of the shape, for a network to take its sizes from."""
    shape = dataset.splits["train"].images.shape[1:]
    blank = make_split(np.zeros([1, *shape], np.uint8), np.zeros([1], np.int32))
    return ImageDataset(dataset.name, dict.fromkeys(SPLITS, blank), num_classes)


@gin.register(module="l2o_tf.optimizees")
class SampledClasses(Optimizee):
    """Classify images of a few classes, others at every reset.

        reset:  c_0 .. c_{k-1} ~ without replacement from a set of classes
        f = the network's loss on images of those classes, c_i labelled i

    A problem has all images of its k classes in the split; a minibatch is
    `batch_size` of them drawn independently, uniformly, with replacement. The
    order of the classes is random too, so the same images can come with other
    labels. The two sets of classes have none in common, so that a learned
    optimizer is tested on images of things it has not been trained on.

    The classes are the problem's constants, which `sample` does not know: a
    batch is one random number per image, and `loss` fetches the images. They
    stay uint8 on the device, each once, with one index for all problems.

    Args:
        dataset: an `ImageDataset`, the classes' source.
        split: "train", "inner_valid", "meta_valid" or "test", of every class.
        network: an `ImageClassifier`'s class, or a function: called with a data
            set and a split it returns the classifier whose start and loss are
            used. Those images are black; only their shape and number of classes
            matter. In gin without parentheses: @PooledConvNet.
        classes: "outer_train" or "outer_test".
        classes_per_problem: int, k. Defaults to 10.
        num_logits: int >= k, classes that the network tells apart; those from k
            on never occur. Defaults to k.
        outer_train_fraction: float, of the classes. Defaults to 0.7, the 700
            of 1000 of the paper.
        partition_seed: int, of the cut; see `class_set`.

    Attributes:
        classes: int32 `[m]`, the set that is drawn from, m >= k.

    Raises:
        ValueError: if an argument is out of range, the set has fewer than k
            classes, one of its classes has no image in the split, or `network`
            makes something else.

    References:
        Metz et al., ICML 2019, section 4.2; spec metz.md 8.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        split: str,
        network: Callable[[ImageDataset, str], ImageClassifier],
        classes: str = "outer_train",
        classes_per_problem: int = 10,
        num_logits: int | None = None,
        outer_train_fraction: float = 0.7,
        partition_seed: int = 0,
    ) -> None:
        self.classes = class_set(
            classes, dataset.num_classes, outer_train_fraction, partition_seed
        )
        self.classes_per_problem = checks.positive_int(
            "classes_per_problem", classes_per_problem
        )
        if len(self.classes) < classes_per_problem:
            raise ValueError(
                f"Of the {dataset.num_classes} classes of {dataset.name!r}, "
                f"{classes!r} has {len(self.classes)}. Received: "
                f"classes_per_problem={classes_per_problem}. Draw fewer, or "
                "change outer_train_fraction."
            )
        self.data = dataset.split(split)
        self.split = split
        self.notice = dataset.notice
        self._index(dataset.num_classes)
        self.network = self._built(network, dataset, num_logits)
        self.layout = self.network.layout
        self.convolves = self.network.convolves
        self.batch_size = self.network.batch_size

    def _index(self, num_classes: int) -> None:
        """Sort the images by class; know where each class begins."""
        labels = self.data.labels.numpy()
        counts = np.bincount(labels, minlength=num_classes)
        empty = [int(c) for c in self.classes if not counts[c]]
        if empty:
            raise ValueError(
                f"Every class needs an image in {self.split!r}. "
                f"Received: none of the classes {empty}."
            )
        order = np.argsort(labels, kind="stable")
        self._order = tf.constant(order, tf.int32)
        self._counts = tf.constant(counts, tf.int32)
        self._begins = tf.constant(np.cumsum(counts) - counts, tf.int32)

    def _built(
        self, network: Any, dataset: ImageDataset, num_logits: int | None
    ) -> ImageClassifier:
        if num_logits is None:
            num_logits = self.classes_per_problem
        elif checks.integer("num_logits", num_logits) < (
            self.classes_per_problem
        ):
            raise ValueError(
                f"{self.classes_per_problem} classes need as many logits. "
                f"Received: num_logits={num_logits}."
            )
        if not callable(network):
            raise ValueError(
                "`network` must be a class or a function that makes an "
                f"ImageClassifier. Received: network={network!r}. In gin: "
                "@Name without parentheses."
            )
        built = checks.instance(
            "network(...)",
            network(_template(dataset, num_logits), "train"),
            ImageClassifier,
        )
        if built.objective_size is not None:
            raise ValueError(
                "Problems sampled by class have no one batch to measure an "
                "objective on. Received: a network with "
                f"objective_size={built.objective_size}. Pair two problems "
                "with OuterObjective."
            )
        return built

    def reset(self, seed: Seed) -> tuple[Vector, tf.Tensor]:
        """Draw a start and the classes, `(params [N], classes [k])`."""
        params, _ = self.network.reset(seeds.fold_in(seed, _START))
        order = seeds.permutation(
            seeds.fold_in(seed, _CLASSES), len(self.classes)
        )
        return params, tf.gather(
            tf.constant(self.classes), order[: self.classes_per_problem]
        )

    def sample(self, seed: Seed) -> tf.Tensor:
        """Draw a random number for each image of a minibatch, int32 `[B]`."""
        return seeds.integers(seed, [self.batch_size], _MAX_DRAW)

    def images(
        self, classes: tf.Tensor, batch: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Fetch the minibatch that random numbers mean for a problem.

            place = number mod (images of the problem)

        in the list of the images of c_0, then those of c_1, and so on. By the
        remainder the first places are likelier than the last, by less than
        1e-3 of themselves for two million images.

        Args:
            classes: int32 `[k]`, as `reset` draws them.
            batch: int32 `[B]`, as `sample` draws it.

        Returns:
            `(images float32 [B, H, W, C] in [0, 1], labels int32 [B])`.
        """
        counts = tf.gather(self._counts, classes)
        ends = tf.cumsum(counts)
        places = tf.math.floormod(batch, ends[-1])
        behind = places[:, None] >= ends[None]
        labels = tf.reduce_sum(tf.cast(behind, tf.int32), axis=1)
        inside = places - tf.gather(ends - counts, labels)
        begins = tf.gather(self._begins, tf.gather(classes, labels))
        images, _ = gather(self.data, tf.gather(self._order, begins + inside))
        return images, labels

    def loss(
        self, params: Vector, constants: tf.Tensor, batch: tf.Tensor
    ) -> Scalar:
        """Compute the network's loss on the problem's images."""
        images, labels = self.images(constants, batch)
        return self.network.loss(
            params, (), (tf.cast(images, params.dtype), labels)
        )
