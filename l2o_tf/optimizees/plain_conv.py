"""Convolutional networks without pooling: those of L2O-Scale's ensembles."""

from __future__ import annotations

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Vector
from l2o_tf.datasets.base import ImageDataset
from l2o_tf.optimizees import layers
from l2o_tf.optimizees.image_classifier import ImageClassifier
from l2o_tf.optimizees.mlp import ACTIVATIONS


@gin.register(module="l2o_tf.optimizees")
class PlainConvNet(ImageClassifier):
    """Classify images with convolutions that keep the size, without pooling.

        h_0 = image
        h_l = act(conv(h_{l-1}, W_l) + b_l)        (zero padding, stride 1)
        logits = relu(flatten(h_L) V + c)
        f = mean over the batch of cross-entropy(softmax(logits), label)

    | network | images | filters | b_l | relu of logits | coordinates |
    |---|---|---|---|---|---|
    | L2O-Scale's on MNIST | 28 x 28 x 1 | 8, 8 | yes | yes | 64,418 |
    | L2O-Scale's on CIFAR-10 | 32 x 32 x 3 | 16, 16 | yes | yes | 170,714 |
    | Wichrowska et al.'s | 28 x 28 x 1 | 8, 8 | no | no | 64,402 |

    All with kernels 3, 5 and ReLU. The ReLU on the logits bounds what the loss
    can reach, and where it turns all logits off f is log(classes) with
    gradient 0.

    Every coordinate, the biases too, starts from Normal(0, init_stddev**2).

    Args:
        dataset: an `ImageDataset`.
        split: "train", "inner_valid", "meta_valid" or "test".
        filters: tuple of int, channels of each convolution.
        kernels: tuple of int, height and width of each kernel.
        conv_bias: bool, whether the convolutions have the biases b_l.
        relu_logits: bool, whether the logits pass a ReLU.
        activation: "sigmoid", "relu" or "tanh".
        batch_size: int, images per minibatch. Defaults to 64.
        init_stddev: float, defaults to 0.01.
        objective_size: int, images on which an objective is measured apart, or
            None for one more minibatch.

    Raises:
        ValueError: if an argument is out of range, or the two tuples differ in
            length or are empty.

    References:
        Wichrowska et al., ICML 2017, https://arxiv.org/abs/1703.04813;
        spec l2o_scale.md 3.5 and 6.2.
    """

    convolves = True

    def __init__(
        self,
        dataset: ImageDataset,
        split: str,
        filters: tuple[int, ...] = (8, 8),
        kernels: tuple[int, ...] = (3, 5),
        conv_bias: bool = True,
        relu_logits: bool = True,
        activation: str = "relu",
        batch_size: int = 64,
        init_stddev: float = 0.01,
        objective_size: int | None = None,
    ) -> None:
        super().__init__(
            dataset, split, batch_size, init_stddev, objective_size
        )
        self.filters = tuple(checks.positive_int("filters", f) for f in filters)
        self.kernels = tuple(checks.positive_int("kernels", k) for k in kernels)
        if len(self.filters) != len(self.kernels) or not self.filters:
            raise ValueError(
                "A PlainConvNet needs one number of filters and one kernel per "
                "convolution, and a convolution. Received: "
                f"filters={self.filters}, kernels={self.kernels}."
            )
        self.conv_bias = checks.boolean("conv_bias", conv_bias)
        self.relu_logits = checks.boolean("relu_logits", relu_logits)
        self.activation = checks.one_of(
            "activation", activation, tuple(ACTIVATIONS)
        )
        self.layout = Layout.from_shapes(self._shapes())

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        height, width, channels = self.image_shape
        shapes: dict[str, tuple[int, ...]] = {}
        blocks = zip(self.filters, self.kernels, strict=True)
        for i, (filters, kernel) in enumerate(blocks, start=1):
            name = f"conv_layer{i}"
            shapes[f"{name}/weights"] = (kernel, kernel, channels, filters)
            if self.conv_bias:
                shapes[f"{name}/biases"] = (filters,)
            channels = filters
        shapes["fc_weights"] = (height * width * channels, self.num_classes)
        shapes["fc_bias"] = (self.num_classes,)
        return shapes

    def logits(self, params: Vector, images: tf.Tensor) -> tf.Tensor:
        """Compute `[B, classes]` from images `[B, H, W, C]`."""
        tensors = iter(self.layout.split(params))
        hidden = images
        for _ in self.filters:
            hidden = tf.nn.conv2d(hidden, next(tensors), 1, "SAME")
            if self.conv_bias:
                hidden += next(tensors)
            hidden = ACTIVATIONS[self.activation](hidden)
        logits = tf.matmul(layers.flatten(hidden), next(tensors))
        logits += next(tensors)
        return tf.nn.relu(logits) if self.relu_logits else logits
