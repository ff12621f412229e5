"""What all classifiers of images share: minibatches, start and loss.

A network adds its `layout` and its `logits`.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping

import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.types import Scalar, Seed, Vector
from l2o_tf.datasets.base import ImageDataset, gather
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.keras_starts import as_draw

INITIALIZERS = (
    "normal",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
)
"""How a network starts: our normal for all, or Keras' ways for the weights."""


class ImageClassifier(Optimizee):
    """Classify images with a network that a subclass writes down.

        f = mean over the batch of cross-entropy(softmax(logits), label)

    A batch is `batch_size` images drawn independently, uniformly, with
    replacement. With the initializer "normal" every coordinate starts from
    Normal(0, init_stddev**2). With one of Keras' (Glorot, He, LeCun) the
    weights, tensors of two axes or more, start as it says, by their fans, and
    the biases from 0; `init_stddev` is not looked at. The tensors of
    `constant_starts` start from constants in any case.

    A subclass calls `super().__init__` first and then sets `layout` and, where
    it needs them, `constant_starts`.

    Args:
        dataset: an `ImageDataset`.
        split: "train", "inner_valid", "meta_valid" or "test".
        batch_size: int, images per minibatch.
        init_stddev: float.
        objective_size: int, images on which an objective is measured apart,
            different ones, or None for one more minibatch.
        initializer: one of `INITIALIZERS`. Defaults to "normal".

    Attributes:
        image_shape: (int, int, int), height, width and channels.
        num_classes: int.
        constant_starts: mapping of a tensor's name to the number that all its
            coordinates start from.

    Raises:
        ValueError: if an argument is out of range.
    """

    constant_starts: Mapping[str, float]

    def __init__(
        self,
        dataset: ImageDataset,
        split: str,
        batch_size: int,
        init_stddev: float,
        objective_size: int | None = None,
        initializer: str = "normal",
    ) -> None:
        self.data = dataset.split(split)
        self.split = split
        self.notice = dataset.notice
        self.batch_size = checks.positive_int("batch_size", batch_size)
        self.init_stddev = checks.real("init_stddev", init_stddev, low=0.0)
        self.initializer = checks.one_of(
            "initializer", initializer, INITIALIZERS
        )
        self.objective_size = objective_size
        if objective_size is not None:
            self._check_objective_size(objective_size)
        height, width, channels = self.data.images.shape[1:]
        self.image_shape = height, width, channels
        self.num_classes = dataset.num_classes
        self.constant_starts = {}

    def _check_objective_size(self, size: int) -> None:
        available = int(self.data.images.shape[0])
        if checks.positive_int("objective_size", size) > available:
            raise ValueError(
                f"The split {self.split!r} has {available} images. "
                f"Received: objective_size={size}."
            )

    def reset(self, seed: Seed) -> tuple[Vector, tuple[()]]:
        """Draw the coordinates, set the constant ones."""
        params = self._drawn(seed)
        if self.constant_starts:
            starts = [
                tf.fill(drawn.shape, self.constant_starts[name])
                if name in self.constant_starts
                else drawn
                for name, drawn in zip(
                    self.layout.names, self.layout.split(params), strict=True
                )
            ]
            params = self.layout.flatten(starts)
        return params, ()

    def _drawn(self, seed: Seed) -> Vector:
        if self.initializer == "normal":
            return seeds.normal(seed, [self.layout.size], self.init_stddev)
        draw = as_draw(self.initializer)
        return self.layout.flatten(
            [
                draw(seeds.fold_in(seed, i), shape)
                if len(shape) > 1
                else tf.zeros(shape)
                for i, shape in enumerate(self.layout.shapes)
            ]
        )

    def sample(self, seed: Seed) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw `(images [B, H, W, C] in [0, 1], labels [B])`."""
        indices = seeds.integers(
            seed, [self.batch_size], int(self.data.images.shape[0])
        )
        return gather(self.data, indices)

    def sample_objective(self, seed: Seed) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw `objective_size` different images, or one more minibatch."""
        if self.objective_size is None:
            return self.sample(seed)
        order = seeds.permutation(seed, int(self.data.images.shape[0]))
        return gather(self.data, order[: self.objective_size])

    @abc.abstractmethod
    def logits(self, params: Vector, images: tf.Tensor) -> tf.Tensor:
        """Compute `[B, classes]` from images `[B, H, W, C]`."""

    def loss(
        self,
        params: Vector,
        constants: tuple[()],
        batch: tuple[tf.Tensor, tf.Tensor],
    ) -> Scalar:
        """Compute the mean cross-entropy of a minibatch."""
        del constants
        images, labels = batch
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels, self.logits(params, images)
            )
        )
