"""VGG-16 on images: the largest problem of the original program."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Vector
from l2o_tf.datasets.base import ImageDataset
from l2o_tf.optimizees import layers
from l2o_tf.optimizees.image_classifier import ImageClassifier

WIDTHS = (
    (64, 64),
    (128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (512, 512, 512),
)
"""Channels of the convolutions of each block."""


@gin.register(module="l2o_tf.optimizees")
class VGG16(ImageClassifier):
    """Classify images with VGG-16.

        h_{b,0} = maxpool(h_{b-1,last})                      (the image for b=1)
        h_{b,c} = relu(conv3x3(h_{b,c-1}, W_bc) + b_bc)      (padded, stride 1)
        logits = softmax(flatten(maxpool(h_{B,last})) V + c)
        f = mean over the batch of cross-entropy(softmax(logits), label)

    Pools are 2 x 2 at stride 2, padded where a size is odd. 14,719,818
    coordinates on CIFAR-10. No normalisation, no dropout.

    Deviation of the original program from any paper, kept here: the softmax is
    applied twice, so that f stays above log(1 + (classes - 1) / e), and c
    starts from 1. `softmax_logits=False` leaves the inner one out. The papers
    show no result of this problem.

    Weights start from Normal(0, init_stddev**2), the convolutions' biases from
    0, c from 1.

    Args:
        dataset: an `ImageDataset`.
        split: "train", "inner_valid", "meta_valid" or "test".
        widths: tuple of tuples of int, channels of each block's convolutions.
        softmax_logits: bool, whether the logits are a softmax already.
        batch_size: int, images per minibatch. Defaults to 128.
        init_stddev: float, defaults to 0.01.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Simonyan and Zisserman, ICLR 2015; spec dm_rnnprop.md 1.8.
    """

    convolves = True

    def __init__(
        self,
        dataset: ImageDataset,
        split: str,
        widths: tuple[tuple[int, ...], ...] = WIDTHS,
        softmax_logits: bool = True,
        batch_size: int = 128,
        init_stddev: float = 0.01,
    ) -> None:
        super().__init__(dataset, split, batch_size, init_stddev)
        self.widths = tuple(
            tuple(checks.positive_int("widths", w) for w in block)
            for block in widths
        )
        self.softmax_logits = checks.boolean("softmax_logits", softmax_logits)
        self.layout = Layout.from_shapes(self._shapes())
        self.constant_starts = {
            name: 1.0 if name == "fc/biases" else 0.0
            for name in self.layout.names
            if name.endswith("/biases")
        }

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        height, width, channels = self.image_shape
        shapes: dict[str, tuple[int, ...]] = {}
        for b, block in enumerate(self.widths, start=1):
            for c, filters in enumerate(block, start=1):
                name = f"block{b}_conv{c}"
                shapes[f"{name}/weights"] = (3, 3, channels, filters)
                shapes[f"{name}/biases"] = (filters,)
                channels = filters
            height, width = -(-height // 2), -(-width // 2)
        size = height * width * channels
        shapes["fc/weights"] = (size, self.num_classes)
        shapes["fc/biases"] = (self.num_classes,)
        return shapes

    def logits(self, params: Vector, images: tf.Tensor) -> tf.Tensor:
        """Compute `[B, classes]` from images `[B, H, W, C]`."""
        tensors = iter(self.layout.split(params))
        hidden = images
        for block in self.widths:
            for _ in block:
                hidden = layers.conv2d(
                    hidden, next(tensors), next(tensors), padding="SAME"
                )
                hidden = tf.nn.relu(hidden)
            hidden = layers.max_pool(hidden, "SAME")
        logits = tf.matmul(layers.flatten(hidden), next(tensors))
        logits = logits + next(tensors)
        return tf.nn.softmax(logits) if self.softmax_logits else logits
