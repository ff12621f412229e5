"""Convolutional networks that end in a global average: those of Metz et al."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Vector
from l2o_tf.datasets.base import ImageDataset
from l2o_tf.optimizees import layers
from l2o_tf.optimizees.image_classifier import ImageClassifier


@gin.register(module="l2o_tf.optimizees")
class PooledConvNet(ImageClassifier):
    """Classify images with convolutions, a global average and one read-out.

        h_0 = image
        h_l = relu(conv(h_{l-1}, W_l) + b_l)        (zero padding, stride s_l)
        logits = mean over places of h_L V + c
        f = mean over the batch of cross-entropy(softmax(logits), label)

    | network | images | filters | strides | coordinates |
    |---|---|---|---|---|
    | Metz et al.'s | 32 x 32 x 3 | 3 times 32 | 2, 2, 1 | 19,722 |
    | their 6-layer one | 28 x 28 x 1 | 6 times 32 | 2, 1, 2, 1, 2, 1 | 46,890 |

    All with 3 x 3 kernels and 10 classes. What is published of the first is 3
    layers of 32 units and "about 20k" parameters, which 3 x 3 kernels with a
    global average fit and a flattened image does not; of the second, 6 layers.
    Strides, batch and start are not published: ours are two strides of 2, as
    many images as in the other problems here, and Glorot's start.

    The weights start as `initializer` says, the biases from 0 (from the same
    normal distribution with "normal"; see `ImageClassifier`).

    Args:
        dataset: an `ImageDataset`.
        split: "train", "inner_valid", "meta_valid" or "test".
        filters: tuple of int, channels of each convolution.
        kernels: tuple of int, height and width of each kernel.
        strides: tuple of int, of each convolution.
        batch_size: int, images per minibatch. Defaults to 128.
        initializer: one of `INITIALIZERS` of image_classifier.py. Defaults to
            "glorot_uniform".
        init_stddev: float, of the initializer "normal". Defaults to 0.01.

    Raises:
        ValueError: if an argument is out of range, or the three tuples differ
            in length or are empty.

    References:
        Metz et al., ICML 2019, section 4.2; spec metz.md 8.
    """

    convolves = True

    def __init__(
        self,
        dataset: ImageDataset,
        split: str,
        filters: tuple[int, ...] = (32, 32, 32),
        kernels: tuple[int, ...] = (3, 3, 3),
        strides: tuple[int, ...] = (2, 2, 1),
        batch_size: int = 128,
        initializer: str = "glorot_uniform",
        init_stddev: float = 0.01,
    ) -> None:
        super().__init__(
            dataset, split, batch_size, init_stddev, initializer=initializer
        )
        self.filters = tuple(checks.positive_int("filters", f) for f in filters)
        self.kernels = tuple(checks.positive_int("kernels", k) for k in kernels)
        self.strides = tuple(checks.positive_int("strides", s) for s in strides)
        lengths = {len(self.filters), len(self.kernels), len(self.strides)}
        if len(lengths) > 1 or not self.filters:
            raise ValueError(
                "A PooledConvNet needs one number of filters, one kernel and "
                "one stride per convolution, and a convolution. Received: "
                f"filters={self.filters}, kernels={self.kernels}, "
                f"strides={self.strides}."
            )
        self.layout = Layout.from_shapes(self._shapes())

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        channels = self.image_shape[2]
        shapes: dict[str, tuple[int, ...]] = {}
        blocks = zip(self.filters, self.kernels, strict=True)
        for i, (filters, kernel) in enumerate(blocks, start=1):
            shapes[f"conv_layer{i}/weights"] = kernel, kernel, channels, filters
            shapes[f"conv_layer{i}/biases"] = (filters,)
            channels = filters
        shapes["fc_weights"] = (channels, self.num_classes)
        shapes["fc_bias"] = (self.num_classes,)
        return shapes

    def logits(self, params: Vector, images: tf.Tensor) -> tf.Tensor:
        """Compute `[B, classes]` from images `[B, H, W, C]`."""
        *convolutions, weights, bias = self.layout.split(params)
        hidden = images
        for i, stride in enumerate(self.strides):
            kernel, shift = convolutions[2 * i : 2 * i + 2]
            hidden = tf.nn.relu(
                layers.conv2d(hidden, kernel, shift, stride, "SAME")
            )
        return tf.matmul(tf.reduce_mean(hidden, axis=[1, 2]), weights) + bias
