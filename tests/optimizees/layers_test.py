"""The pieces of the convolutional networks, against NumPy."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from support.execution import assert_same_everywhere
from support.small_problem import relative_error

from l2o_tf.optimizees import layers


def normal(*shape, dtype="f8", seed=0):
    return np.random.RandomState(seed).randn(*shape).astype(dtype)


def test_conv2d_is_a_sum_over_the_window_plus_the_bias():
    x, kernel, bias = normal(2, 5, 6, 3), normal(2, 3, 3, 4), normal(4)
    expected = np.empty((2, 2, 2, 4))
    for i in range(2):
        for j in range(2):
            window = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 3]
            expected[:, i, j] = np.einsum("bhwc,hwco->bo", window, kernel)
    actual = layers.conv2d(*map(tf.constant, (x, kernel, bias)), stride=2)
    np.testing.assert_allclose(actual, expected + bias, rtol=1e-12)


def test_conv2d_pads_with_zeros_where_asked():
    x, kernel, bias = normal(1, 3, 3, 2), normal(3, 3, 2, 1), normal(1)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    same = layers.conv2d(*map(tf.constant, (x, kernel, bias)), padding="SAME")
    valid = layers.conv2d(*map(tf.constant, (padded, kernel, bias)))
    assert same.shape == (1, 3, 3, 1)
    np.testing.assert_allclose(same, valid, rtol=1e-12)


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (6, 5)])
def test_normalize_uses_the_batchs_mean_and_biased_variance(shape):
    x = 3.0 * normal(*shape) + 2.0
    axes = tuple(range(len(shape) - 1))
    expected = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-3)
    actual = layers.normalize(tf.constant(x))
    np.testing.assert_allclose(actual, expected, rtol=1e-11)


def test_normalize_sends_a_constant_channel_to_zero():
    x = normal(3, 2, 2, 2, dtype="f4")
    x[..., 1] = 7.0
    y = layers.normalize(tf.constant(x))
    np.testing.assert_array_equal(y[..., 1], 0.0)


def test_normalize_is_exact_to_float32_on_a_constant_background():
    # 86,528 numbers, four of five the same, as in Conv-MNIST: summed at once
    # in float32 the result is off by more than 1e-4.
    x = normal(128, 26, 26, 2, dtype="f4") * 0.1
    x[:, :21] = np.float32([0.7, -0.3])
    exact = layers.normalize(tf.constant(x.astype("f8")))
    assert relative_error(layers.normalize(tf.constant(x)), exact) < 3e-6


@pytest.mark.parametrize(
    ("padding", "expected"),
    # SAME: the last column has a square of its own.
    [("VALID", [4.0, 6.0]), ("SAME", [4.0, 6.0, -7.0])],
)
def test_max_pool_takes_the_largest_of_each_square(padding, expected):
    x = np.float32([[1, 4, 5, 0, -7], [2, 3, 6, -1, -8]]).reshape(1, 2, 5, 1)
    actual = layers.max_pool(x, padding)
    np.testing.assert_array_equal(tf.reshape(actual, [-1]), expected)


def test_average_pool_leaves_the_cells_outside_out():
    x = np.arange(6, dtype="f4").reshape(1, 2, 3, 1)
    # The means of 0 1 3 4, of all six, and of 1 2 4 5; both rows alike.
    expected = np.float32([[2.0, 2.5, 3.0]] * 2).reshape(1, 2, 3, 1)
    np.testing.assert_allclose(layers.average_pool(x), expected, rtol=1e-6)


def test_flatten_keeps_images_apart_and_channels_fastest():
    x = normal(2, 3, 4, 5)
    np.testing.assert_array_equal(layers.flatten(x), x.reshape(2, 60))


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(
    size=st.integers(1, 12), kernel=st.integers(1, 6), stride=st.integers(1, 4)
)
def test_pooled_size_is_what_the_operations_leave(size, kernel, stride):
    places = len(range(0, size - kernel + 1, stride))
    if places < 2:
        with pytest.raises(ValueError, match=f"Received: {size} pixels"):
            layers.pooled_size("c", size, kernel, stride)
        return
    x = tf.zeros([1, size, size, 1])
    x = layers.conv2d(
        x, tf.zeros([kernel, kernel, 1, 1]), tf.zeros([1]), stride
    )
    left = layers.pooled_size("c", size, kernel, stride)
    assert layers.max_pool(x).shape == (1, left, left, 1)


def test_too_small_images_are_refused_with_the_smallest_size():
    with pytest.raises(ValueError, match="Received: 6 pixels") as caught:
        layers.pooled_size("conv_layer2", 6, 5, 2)
    assert str(caught.value) == (
        "The images are too small: conv_layer2 and its pool need 7 pixels in "
        "height and width. Received: 6 pixels, with a kernel of 5 at stride 2."
    )
    assert layers.pooled_size("conv_layer2", 7, 5, 2) == 1


def test_the_pieces_and_their_gradients_agree_everywhere():
    x, kernel = normal(4, 7, 7, 2, dtype="f4"), normal(3, 3, 2, 3, dtype="f4")

    def score(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = layers.conv2d(x, kernel, tf.zeros([3]), padding="SAME")
            y = layers.normalize(layers.average_pool(y))
            y = layers.flatten(layers.max_pool(y, "SAME"))
            total = tf.reduce_sum(y**2)
        return total, tape.gradient(total, [x, kernel])

    total, _ = assert_same_everywhere(score, x, kernel, atol=1e-5)
    assert total > 1.0
