"""Multi-layer perceptrons on images: the problems the papers train on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import gin
import tensorflow as tf

from l2o_tf.core import checks
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Vector
from l2o_tf.datasets.base import ImageDataset
from l2o_tf.optimizees.image_classifier import ImageClassifier

ACTIVATIONS = {
    "sigmoid": tf.sigmoid,
    "relu": tf.nn.relu,
    "tanh": tf.tanh,
}


def dense_layers(
    rows: tf.Tensor, tensors: Sequence[tf.Tensor], activation: str
) -> tf.Tensor:
    """Run dense layers, an activation between each two of them.

    Args:
        rows: float `[B, features]`.
        tensors: W_1, b_1, W_2, b_2, ...
        activation: of `ACTIVATIONS`.

    Returns:
        `[B, outputs]`, h_{l-1} W_l + b_l of the last layer.
    """
    for i in range(0, len(tensors), 2):
        if i:
            rows = ACTIVATIONS[activation](rows)
        rows = tf.matmul(rows, tensors[i]) + tensors[i + 1]
    return rows


@gin.register(module="l2o_tf.optimizees")
class MLP(ImageClassifier):
    """Classify images with a multi-layer perceptron.

        h_0 = flatten(image);  h_l = act(h_{l-1} W_l + b_l);
        logits = h_L W_{L+1} + b_{L+1}                      (no activation)
        f = mean over the batch of cross-entropy(softmax(logits), label)

    Every weight and every bias starts from Normal(0, init_stddev**2), or as
    another `initializer` says (see `ImageClassifier`). A batch is `batch_size`
    images drawn independently, uniformly, with replacement.

    | name | hidden | act | coordinates on MNIST |
    |---|---|---|---|
    | MLP-orig | 20 | sigmoid | 15,910 |
    | MLP-ReLU | 20 | relu | 15,910 |
    | MLP-deeper | 20, 20 | sigmoid | 16,330 |
    | base MLP | 500 | relu | 397,510 |
    | 5-layer MLP | 1330, 1330, 1330, 1330 | relu | 6,368,050 |

    The last two are of "Learning to learn with better convergence", which says
    of the second only that it has 5 layers and 16 times more parameters. Four
    hidden layers of one width, 1330, make it 16.02 times.

    Args:
        dataset: an `ImageDataset`.
        split: "train", "inner_valid", "meta_valid" or "test".
        hidden: tuple of int, units of the hidden layers.
        activation: "sigmoid", "relu" or "tanh".
        batch_size: int, images per minibatch. Defaults to 128.
        init_stddev: float, defaults to 0.01.
        objective_size: int, images on which an objective is measured apart
            (spec l2o_scale.md 1.2), or None for one more minibatch.
        initializer: one of `INITIALIZERS` of image_classifier.py. Defaults to
            "normal".

    Raises:
        ValueError: if an argument is out of range.

    References:
        Chen et al. 2020, section 5; spec dm_rnnprop.md 1.2-1.3. Spec
        simple_optimizer.md 3 and 5.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        split: str,
        hidden: tuple[int, ...] = (20,),
        activation: str = "sigmoid",
        batch_size: int = 128,
        init_stddev: float = 0.01,
        objective_size: int | None = None,
        initializer: str = "normal",
    ) -> None:
        super().__init__(
            dataset, split, batch_size, init_stddev, objective_size, initializer
        )
        self.activation = checks.one_of(
            "activation", activation, tuple(ACTIVATIONS)
        )
        self.hidden = tuple(checks.positive_int("hidden", h) for h in hidden)
        widths = (
            math.prod(self.image_shape),
            *self.hidden,
            self.num_classes,
        )
        shapes: dict[str, tuple[int, ...]] = {}
        for i in range(len(widths) - 1):
            shapes[f"mlp/linear_{i}/w"] = (widths[i], widths[i + 1])
            shapes[f"mlp/linear_{i}/b"] = (widths[i + 1],)
        self.layout = Layout.from_shapes(shapes)

    def logits(self, params: Vector, images: tf.Tensor) -> tf.Tensor:
        """Compute `[B, classes]` from images `[B, H, W, C]`."""
        rows = tf.reshape(images, [images.shape[0], -1])
        return dense_layers(rows, self.layout.split(params), self.activation)
