"""The pieces of the convolutional networks, as functions of their tensors.

Every image is `[B, H, W, C]`; cost and memory are those of the TensorFlow
operations that are called.
"""

from __future__ import annotations

import tensorflow as tf

BATCH_NORM_EPSILON = 1e-3
POOL = 2


def conv2d(
    images: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor,
    stride: int = 1,
    padding: str = "VALID",
) -> tf.Tensor:
    """Convolve with `kernel [h, w, in, out]` and add `bias [out]`."""
    return tf.nn.conv2d(images, kernel, stride, padding) + bias


def _channel_mean(x: tf.Tensor) -> tf.Tensor:
    # One axis after the other: the numbers of a channel are summed in short
    # runs. One float32 sum of all (86,528 in Conv-MNIST, most of them equal,
    # the background) is off by 1e-4 of itself, and its gradients by 1e-2.
    for _ in range(x.shape.rank - 1):
        x = tf.reduce_mean(x, axis=-2)
    return x  # [C]


def normalize(x: tf.Tensor) -> tf.Tensor:
    """Normalise each channel by the statistics of the batch itself.

        (x - mean) / sqrt(variance + 0.001)

    Mean and (biased) variance are over all axes but the last. This is batch
    normalisation that stays in training mode with gamma = 1 and beta = 0. What
    is added to x per channel, such as the bias of a convolution, drops out.

    References:
        Ioffe and Szegedy, ICML 2015, algorithm 1.
    """
    centred = x - _channel_mean(x)
    variance = _channel_mean(tf.square(centred))
    return centred * tf.math.rsqrt(variance + BATCH_NORM_EPSILON)


def max_pool(x: tf.Tensor, padding: str = "VALID") -> tf.Tensor:
    """Take the largest number of each 2 x 2 square, at stride 2."""
    return tf.nn.max_pool2d(x, POOL, POOL, padding)


def average_pool(x: tf.Tensor) -> tf.Tensor:
    """Average each 3 x 3 neighbourhood, at stride 1, keeping the size.

    At the border the average is over the cells inside the image only.
    """
    return tf.nn.avg_pool2d(x, 3, 1, "SAME")


def flatten(x: tf.Tensor) -> tf.Tensor:
    """Lay each image end to end, `[B, H W C]`, channels fastest."""
    return tf.reshape(x, [x.shape[0], -1])


def pooled_size(name: str, size: int, kernel: int, stride: int = 1) -> int:
    """Measure what convolution and `max_pool`, both without padding, leave.

    Args:
        name: of the convolution, for the message.
        size: height or width that goes in.
        kernel: of the convolution.
        stride: of the convolution.

    Raises:
        ValueError: if nothing is left.
    """
    places = (size - kernel) // stride + 1
    if size < kernel or places < POOL:
        smallest = kernel + (POOL - 1) * stride
        raise ValueError(
            f"The images are too small: {name} and its pool need {smallest} "
            f"pixels in height and width. Received: {size} pixels, with a "
            f"kernel of {kernel} at stride {stride}."
        )
    return places // POOL
