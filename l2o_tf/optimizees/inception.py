"""Inception v1 (GoogLeNet) for small images, as a Keras model.

The model holds the mathematics; `KerasModel` makes a problem of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras

from l2o_tf.core import checks
from l2o_tf.optimizees.image_classifier import INITIALIZERS

_HALVINGS = 3  # of height and width, by the pools that are left


class Branches(NamedTuple):
    """Channels of an inception module's convolutions.

    Attributes:
        one: of the 1 x 1 branch.
        three_reduce: of the 1 x 1 in front of the 3 x 3.
        three: of the 3 x 3.
        five_reduce: of the 1 x 1 in front of the 5 x 5.
        five: of the 5 x 5.
        pool: of the 1 x 1 behind the 3 x 3 pool at stride 1.
    """

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int


MODULES = {
    "3a": Branches(64, 96, 128, 16, 32, 32),
    "3b": Branches(128, 128, 192, 32, 96, 64),
    "4a": Branches(192, 96, 208, 16, 48, 64),
    "4b": Branches(160, 112, 224, 24, 64, 64),
    "4c": Branches(128, 128, 256, 24, 64, 64),
    "4d": Branches(112, 144, 288, 32, 64, 64),
    "4e": Branches(256, 160, 320, 32, 128, 128),
    "5a": Branches(256, 160, 320, 32, 128, 128),
    "5b": Branches(384, 192, 384, 48, 128, 128),
}
"""The nine modules; a pool stands before those whose names end in "a"."""


class Builder:
    """Add the layers of an Inception network, all in one style.

    Args:
        width: float > 0, by which every number of channels is multiplied,
            rounded, at least 1.
        batch_norm: bool, whether convolutions are followed by a batch
            normalisation, with scale and offset, in place of their biases.
        initializer: one of `INITIALIZERS`, of the weights; biases start from 0
            in any case.
        init_stddev: float >= 0, of the initializer "normal".

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        width: float,
        batch_norm: bool,
        initializer: str,
        init_stddev: float,
    ) -> None:
        self.width = checks.real("width", width, low=0.0, low_open=True)
        self.batch_norm = checks.boolean("batch_norm", batch_norm)
        checks.one_of("initializer", initializer, INITIALIZERS)
        checks.real("init_stddev", init_stddev, low=0.0)
        self.initializer: str | keras.initializers.Initializer = initializer
        if initializer == "normal":
            self.initializer = keras.initializers.RandomNormal(
                stddev=init_stddev
            )

    def convolution(
        self, x: keras.KerasTensor, channels: int, kernel: int, name: str
    ) -> keras.KerasTensor:
        """Convolve at stride 1 keeping the size, normalise, take the ReLU."""
        x = keras.layers.Conv2D(
            max(1, round(self.width * channels)),
            kernel,
            padding="same",
            use_bias=not self.batch_norm,
            kernel_initializer=self.initializer,
            name=name,
        )(x)
        if self.batch_norm:
            x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def pool(
        self, x: keras.KerasTensor, stride: int, name: str
    ) -> keras.KerasTensor:
        """Take the largest number of each 3 x 3 square, padded."""
        return keras.layers.MaxPooling2D(3, stride, "same", name=name)(x)

    def module(
        self, x: keras.KerasTensor, branches: Branches, name: str
    ) -> keras.KerasTensor:
        """Put the four branches side by side, in the order of `Branches`."""
        reduced = self.convolution(
            x, branches.three_reduce, 1, f"{name}_3x3_reduce"
        )
        narrow = self.convolution(
            x, branches.five_reduce, 1, f"{name}_5x5_reduce"
        )
        pooled = self.pool(x, 1, f"{name}_pool")
        return keras.layers.Concatenate(name=name)(
            [
                self.convolution(x, branches.one, 1, f"{name}_1x1"),
                self.convolution(reduced, branches.three, 3, f"{name}_3x3"),
                self.convolution(narrow, branches.five, 5, f"{name}_5x5"),
                self.convolution(pooled, branches.pool, 1, f"{name}_pool_1x1"),
            ]
        )

    def logits(self, x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
        """Compute the logits of the channels' means."""
        x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
        dense = keras.layers.Dense(
            classes, kernel_initializer=self.initializer, name="logits"
        )
        return dense(x)


def inception_v1(
    image_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    width: float = 1.0,
    batch_norm: bool = True,
    initializer: str = "glorot_uniform",
    init_stddev: float = 0.01,
) -> keras.Model:
    """Build Inception v1 for images of about 32 x 32.

    | layer | kernel, stride | channels | size behind it |
    |---|---|---|---|
    | convolution | 3, 1 (original: 7, 2) | 64 | 32 x 32 |
    | max pool | 3, 2 | 64 | 16 x 16 |
    | convolution | 1, 1 | 64 | 16 x 16 |
    | convolution | 3, 1 | 192 | 16 x 16 |
    | (original: max pool 3, 2) | | | |
    | inception 3a, 3b | | 256, 480 | 16 x 16 |
    | max pool | 3, 2 | 480 | 8 x 8 |
    | inception 4a, 4b, 4c, 4d, 4e | | 512, 512, 512, 528, 832 | 8 x 8 |
    | max pool | 3, 2 | 832 | 4 x 4 |
    | inception 5a, 5b | | 832, 1024 | 4 x 4 |
    | mean over the image, linear | | classes | |

    An inception module, with the channels of `MODULES`:

        [conv1(x), conv3(conv1(x)), conv5(conv1(x)), conv1(maxpool3(x))]

    Every convolution is padded and followed by batch normalisation and ReLU.

    What differs from the original, which takes 224 x 224: its first layers, as
    marked, so that 16 x 16 go into module 3a (28 x 28 there); batch
    normalisation in place of local response normalisation, as in later
    implementations; no dropout; no auxiliary classifiers.

    Measured, with 10 classes and 3 colours: 5,983,402 trainable parameters with
    batch normalisation, 5,976,122 without. The paper that this problem is of
    says "250 times larger" than its base MLP; these are 15 times 397,510.

    Args:
        image_shape: (height, width, channels), sides of at least 8.
        num_classes: int. Defaults to 10.
        width: float > 0, multiplies every number of channels, rounded, at least
            1. Defaults to 1.0.
        batch_norm: bool, whether there is batch normalisation; where not, the
            convolutions have biases. Defaults to True.
        initializer: of the weights, one of `INITIALIZERS` of
            image_classifier.py; biases and offsets start from 0, scales from 1.
            Defaults to "glorot_uniform".
        init_stddev: float, of the initializer "normal". Defaults to 0.01.

    Returns:
        A `keras.Model` from images to logits.

    Raises:
        ValueError: if an argument is out of range.

    References:
        Szegedy et al., CVPR 2015, table 1; spec simple_optimizer.md 5.
    """
    build = Builder(width, batch_norm, initializer, init_stddev)
    checks.positive_int("num_classes", num_classes)
    smallest = 2**_HALVINGS
    if len(image_shape) != 3 or min(image_shape[:2]) < smallest:
        raise ValueError(
            f"`image_shape` must be (height, width, channels), with {smallest} "
            "pixels or more in height and width. Received: "
            f"image_shape={tuple(image_shape)}."
        )
    images = keras.Input(tuple(image_shape), name="images")
    x = build.convolution(images, 64, 3, "stem_1")
    x = build.pool(x, 2, "pool_2")
    x = build.convolution(x, 64, 1, "stem_2_reduce")
    x = build.convolution(x, 192, 3, "stem_2")
    for name, branches in MODULES.items():
        if name in ("4a", "5a"):
            x = build.pool(x, 2, f"pool_{name[0]}")
        x = build.module(x, branches, f"inception_{name}")
    return keras.Model(
        images, build.logits(x, num_classes), name="inception_v1"
    )
