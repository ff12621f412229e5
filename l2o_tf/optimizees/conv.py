"""Convolutional networks on images: Conv-MNIST and Conv-CIFAR."""

from __future__ import annotations

import math

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Vector
from l2o_tf.datasets.base import ImageDataset
from l2o_tf.optimizees import layers
from l2o_tf.optimizees.image_classifier import ImageClassifier

INERT_SCALE = 1.0 / math.sqrt(1.0 + layers.BATCH_NORM_EPSILON)


@gin.register(module="l2o_tf.optimizees")
class ConvNet(ImageClassifier):
    """Classify images with blocks of convolution and max-pooling.

        h_0 = image
        h_l = maxpool(relu(norm(conv(h_{l-1}, W_l) + b_l)))
        logits = relu(flatten(h_L) V + c)
        f = mean over the batch of cross-entropy(softmax(logits), label)

    No padding; pools are 2 x 2 at stride 2. `norm` is batch normalisation by
    the batch's own statistics with gamma = 1 and beta = 0, neither of them a
    coordinate; behind it b_l has no effect, and a gradient of rounding errors.

    | name | images | strides | coordinates |
    |---|---|---|---|
    | Conv-MNIST | 28 x 28 x 1 | 1, 1 | 18,122 |
    | Conv-CIFAR | 32 x 32 x 3 | 2, 2 | 13,610 |

    Deviation of the original program from its paper, kept here: `norm`, and the
    ReLU on the logits, which the paper does not mention. The ReLU bounds what
    the loss can reach, and where it turns all logits off f is log(classes)
    with gradient 0. `batch_norm=False, relu_logits=False` is the plain network.

    L2O-Scale's evaluation has the same two networks with a `norm` by
    statistics that never move from mean 0 and variance 1, a multiplication by
    1.001^-1/2: `batch_norm=False, inert_norm=True, random_biases=True`.

    Kernels and V start from Normal(0, init_stddev**2), biases from 0 or, with
    `random_biases`, from the same distribution.

    Args:
        dataset: an `ImageDataset`.
        split: "train", "inner_valid", "meta_valid" or "test".
        filters: tuple of int, channels of each convolution.
        kernels: tuple of int, height and width of each kernel.
        strides: tuple of int, of each convolution.
        batch_norm: bool, whether `norm` is there.
        relu_logits: bool, whether the logits pass a ReLU.
        batch_size: int, images per minibatch. Defaults to 128.
        init_stddev: float, defaults to 0.01.
        inert_norm: bool, whether `norm` is a multiplication by 1.001^-1/2; not
            with `batch_norm`.
        random_biases: bool, whether biases start at random.

    Raises:
        ValueError: if an argument is out of range, the three tuples differ in
            length or are empty, the images are too small for the blocks, or
            both norms are asked for.

    References:
        Chen et al. 2020, section 5; spec dm_rnnprop.md 1.4, 1.5 and 1.7;
        spec l2o_scale.md 6.2.
    """

    convolves = True

    def __init__(
        self,
        dataset: ImageDataset,
        split: str,
        filters: tuple[int, ...] = (16, 32),
        kernels: tuple[int, ...] = (3, 5),
        strides: tuple[int, ...] = (1, 1),
        batch_norm: bool = True,
        relu_logits: bool = True,
        batch_size: int = 128,
        init_stddev: float = 0.01,
        inert_norm: bool = False,
        random_biases: bool = False,
    ) -> None:
        super().__init__(dataset, split, batch_size, init_stddev)
        self.filters = tuple(checks.positive_int("filters", f) for f in filters)
        self.kernels = tuple(checks.positive_int("kernels", k) for k in kernels)
        self.strides = tuple(checks.positive_int("strides", s) for s in strides)
        lengths = {len(self.filters), len(self.kernels), len(self.strides)}
        if len(lengths) > 1 or not self.filters:
            raise ValueError(
                "A ConvNet needs one number of filters, one kernel and one "
                "stride per block, and a block. Received: "
                f"filters={self.filters}, kernels={self.kernels}, "
                f"strides={self.strides}."
            )
        self.batch_norm = checks.boolean("batch_norm", batch_norm)
        self.inert_norm = checks.boolean("inert_norm", inert_norm)
        if batch_norm and inert_norm:
            raise ValueError(
                "A ConvNet normalises by the batch or inertly, not both. "
                f"Received: batch_norm={batch_norm}, inert_norm={inert_norm}. "
                "Set batch_norm=False for the inert one."
            )
        self.relu_logits = checks.boolean("relu_logits", relu_logits)
        self.random_biases = checks.boolean("random_biases", random_biases)
        self.layout = Layout.from_shapes(self._shapes())
        self.constant_starts = {
            name: 0.0
            for name in self.layout.names
            if "bias" in name and not random_biases
        }

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        height, width, channels = self.image_shape
        shapes: dict[str, tuple[int, ...]] = {}
        blocks = zip(self.filters, self.kernels, self.strides, strict=True)
        for i, (filters, kernel, stride) in enumerate(blocks, start=1):
            name = f"conv_layer{i}"
            shapes[f"{name}/weights1"] = (kernel, kernel, channels, filters)
            shapes[f"{name}/biases1"] = (filters,)
            height = layers.pooled_size(name, height, kernel, stride)
            width = layers.pooled_size(name, width, kernel, stride)
            channels = filters
        shapes["fc_weights"] = (height * width * channels, self.num_classes)
        shapes["fc_bias"] = (self.num_classes,)
        return shapes

    def logits(self, params: Vector, images: tf.Tensor) -> tf.Tensor:
        """Compute `[B, classes]` from images `[B, H, W, C]`."""
        *convolutions, weights, bias = self.layout.split(params)
        hidden = images
        for i, stride in enumerate(self.strides):
            kernel, shift = convolutions[2 * i : 2 * i + 2]
            hidden = layers.conv2d(hidden, kernel, shift, stride)
            if self.batch_norm:
                hidden = layers.normalize(hidden)
            elif self.inert_norm:
                hidden = INERT_SCALE * hidden
            hidden = layers.max_pool(tf.nn.relu(hidden))
        logits = tf.matmul(layers.flatten(hidden), weights) + bias
        return tf.nn.relu(logits) if self.relu_logits else logits
