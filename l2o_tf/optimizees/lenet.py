"""LeNet on images: the papers' LeNet problems."""

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
class LeNet(ImageClassifier):
    """Classify images with LeNet.

        h_0 = image
        h_l = maxpool(act(norm(conv(h_{l-1}, W_l) + b_l) + beta_l))
        u_0 = flatten(h_L)
        u_l = act(norm(u_{l-1} V_l + c_l) + gamma_l)
        logits = u_M V_{M+1} + c_{M+1}                      (no activation)
        f = mean over the batch of cross-entropy(softmax(logits), label)

    No padding; pools are 2 x 2 at stride 2. `norm` is batch normalisation by
    the batch's own statistics, without a scale; its offsets beta and gamma are
    coordinates. Behind `norm` the biases b_l and c_l (of the hidden layers)
    have no effect, and a gradient of rounding errors.

    | name | norm | act | coordinates on CIFAR-10 | on MNIST |
    |---|---|---|---|---|
    | LeNet | yes | sigmoid | 62,232 | |
    | LeNet without norm | no: no offsets either | sigmoid | 62,006 | |
    | SimpleOptimizer's | no | relu (not said) | 62,006 | 44,426 |

    Every weight and bias starts from Normal(0, init_stddev**2), or as another
    `initializer` says (see `ImageClassifier`), offsets from 0.

    The first: the original program asks for `norm` but cannot be built with the
    library version that it names; this is what the versions before it built.

    Args:
        dataset: an `ImageDataset`.
        split: "train", "inner_valid", "meta_valid" or "test".
        filters: tuple of int, channels of each convolution.
        kernel: int, height and width of the kernels. Defaults to 5.
        units: tuple of int, units of the hidden linear layers.
        batch_norm: bool, whether `norm` and its offsets are there.
        batch_size: int, images per minibatch. Defaults to 128.
        init_stddev: float, defaults to 0.01.
        activation: "sigmoid", "relu" or "tanh". Defaults to "sigmoid".
        initializer: one of `INITIALIZERS` of image_classifier.py. Defaults to
            "normal".

    Raises:
        ValueError: if an argument is out of range, or the images are too small
            for the convolutions.

    References:
        LeCun et al. 1998; Chen et al. 2020, section 5; spec dm_rnnprop.md 1.8;
        spec simple_optimizer.md 5.
    """

    convolves = True

    def __init__(
        self,
        dataset: ImageDataset,
        split: str,
        filters: tuple[int, ...] = (6, 16),
        kernel: int = 5,
        units: tuple[int, ...] = (120, 84),
        batch_norm: bool = True,
        batch_size: int = 128,
        init_stddev: float = 0.01,
        activation: str = "sigmoid",
        initializer: str = "normal",
    ) -> None:
        super().__init__(
            dataset, split, batch_size, init_stddev, None, initializer
        )
        self.activation = checks.one_of(
            "activation", activation, tuple(ACTIVATIONS)
        )
        self.filters = tuple(checks.positive_int("filters", f) for f in filters)
        self.kernel = checks.positive_int("kernel", kernel)
        self.units = tuple(checks.positive_int("units", u) for u in units)
        self.batch_norm = checks.boolean("batch_norm", batch_norm)
        self.layout = Layout.from_shapes(self._shapes())
        self.constant_starts = {
            name: 0.0 for name in self.layout.names if name.endswith("/beta")
        }

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        height, width, channels = self.image_shape
        shapes: dict[str, tuple[int, ...]] = {}
        for i, filters in enumerate(self.filters):
            name = f"conv_net_2d/conv_2d_{i}"
            shapes[f"{name}/w"] = (self.kernel, self.kernel, channels, filters)
            shapes[f"{name}/b"] = (filters,)
            if self.batch_norm:
                shapes[f"conv_net_2d/batch_norm_{i}/beta"] = (1, 1, 1, filters)
            height = layers.pooled_size(name, height, self.kernel)
            width = layers.pooled_size(name, width, self.kernel)
            channels = filters
        size = height * width * channels
        for i, units in enumerate((*self.units, self.num_classes)):
            shapes[f"mlp/linear_{i}/w"] = (size, units)
            shapes[f"mlp/linear_{i}/b"] = (units,)
            if self.batch_norm and i < len(self.units):
                suffix = f"_{i}" if i else ""
                shapes[f"mlp/batch_norm{suffix}/beta"] = (1, units)
            size = units
        return shapes

    def logits(self, params: Vector, images: tf.Tensor) -> tf.Tensor:
        """Compute `[B, classes]` from images `[B, H, W, C]`."""
        tensors = iter(self.layout.split(params))

        def activate(x: tf.Tensor) -> tf.Tensor:
            if self.batch_norm:
                x = layers.normalize(x) + next(tensors)
            return ACTIVATIONS[self.activation](x)

        hidden = images
        for _ in self.filters:
            hidden = layers.conv2d(hidden, next(tensors), next(tensors))
            hidden = layers.max_pool(activate(hidden))
        hidden = layers.flatten(hidden)
        for _ in self.units:
            hidden = tf.matmul(hidden, next(tensors)) + next(tensors)
            hidden = activate(hidden)
        return tf.matmul(hidden, next(tensors)) + next(tensors)
