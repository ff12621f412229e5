"""One cell of a searched architecture on images: NAS-CIFAR."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Vector
from l2o_tf.datasets.base import ImageDataset
from l2o_tf.optimizees import layers
from l2o_tf.optimizees.image_classifier import ImageClassifier

EDGES = ("node0", "node0_onto_node2", "node1", "node1_onto_node3")
"""The convolutions, in the order of their tensors."""


@gin.register(module="l2o_tf.optimizees")
class NASCell(ImageClassifier):
    """Classify images with one cell of NAS-Bench-201.

        op_e(h) = relu(norm(conv3x3(h, W_e) + b_e))        (padded, stride 1)
        node0 = op_0(image)
        node1 = op_01(node0)
        node2 = avgpool3x3(node1) + op_02(node0)
        node3 = node2 + op_13(node1) + node0
        logits = relu(mean over the positions of node3 V + c)
        f = mean over the batch of cross-entropy(softmax(logits), label)

    `norm` is batch normalisation by the batch's own statistics with gamma = 1
    and beta = 0, neither of them a coordinate; behind it b_e has no effect, and
    a gradient of rounding errors. 7,578 coordinates on CIFAR-10.

    Deviation of the original program from its paper, kept here: this is the
    cell once, behind a first convolution, not the benchmark's network of
    fifteen cells; and the ReLU on the logits is not in the paper. Where it
    turns all logits off f is log(classes) with gradient 0.

    Kernels and V start from Normal(0, init_stddev**2), biases from 0.

    Args:
        dataset: an `ImageDataset`.
        split: "train", "inner_valid", "meta_valid" or "test".
        filters: int, channels of every convolution. Defaults to 16.
        batch_norm: bool, whether `norm` is there.
        relu_logits: bool, whether the logits pass a ReLU.
        batch_size: int, images per minibatch. Defaults to 128.
        init_stddev: float, defaults to 0.01.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Chen et al. 2020, section 5; Dong and Yang, ICLR 2020 (NAS-Bench-201);
        spec dm_rnnprop.md 1.6 and 1.7.
    """

    convolves = True

    def __init__(
        self,
        dataset: ImageDataset,
        split: str,
        filters: int = 16,
        batch_norm: bool = True,
        relu_logits: bool = True,
        batch_size: int = 128,
        init_stddev: float = 0.01,
    ) -> None:
        super().__init__(dataset, split, batch_size, init_stddev)
        self.filters = checks.positive_int("filters", filters)
        self.batch_norm = checks.boolean("batch_norm", batch_norm)
        self.relu_logits = checks.boolean("relu_logits", relu_logits)
        channels = self.image_shape[-1]
        shapes: dict[str, tuple[int, ...]] = {}
        for edge in EDGES:
            shapes[f"{edge}/weights1"] = (3, 3, channels, filters)
            shapes[f"{edge}/biases1"] = (filters,)
            channels = filters
        shapes["fc_weights"] = (filters, self.num_classes)
        shapes["fc_bias"] = (self.num_classes,)
        self.layout = Layout.from_shapes(shapes)
        self.constant_starts = {name: 0.0 for name in shapes if "bias" in name}

    def _op(
        self, x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor
    ) -> tf.Tensor:
        x = layers.conv2d(x, kernel, bias, padding="SAME")
        if self.batch_norm:
            x = layers.normalize(x)
        return tf.nn.relu(x)

    def logits(self, params: Vector, images: tf.Tensor) -> tf.Tensor:
        """Compute `[B, classes]` from images `[B, H, W, C]`."""
        *convolutions, weights, bias = self.layout.split(params)
        stem, edge_02, edge_01, edge_13 = (
            convolutions[2 * i : 2 * i + 2] for i in range(len(EDGES))
        )
        node0 = self._op(images, *stem)
        node1 = self._op(node0, *edge_01)
        node2 = layers.average_pool(node1) + self._op(node0, *edge_02)
        node3 = node2 + self._op(node1, *edge_13) + node0
        features = tf.reduce_mean(node3, axis=[1, 2])  # [B, filters]
        logits = tf.matmul(features, weights) + bias
        return tf.nn.relu(logits) if self.relu_logits else logits
