"""The convolutional networks without pooling, against Keras and NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.classifiers import (
    assert_dead_logits_have_no_gradient,
    assert_keras_agrees,
    assert_normal,
    cifar_like,
    draw_params,
    keras_head,
    mnist_like,
    starts_of,
)

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.plain_conv import PlainConvNet

ORIG = {"conv_bias": False, "relu_logits": False}


def tiny(**kwargs):
    data = synthetic_images(height=5, width=4, channels=2)
    arguments = {"filters": (3, 2), "kernels": (3, 2), "batch_size": 6}
    return PlainConvNet(data, "train", **{**arguments, **kwargs})


@pytest.mark.parametrize(
    ("data", "arguments", "size", "shapes"),
    [
        (
            mnist_like, {}, 64_418,
            ((3, 3, 1, 8), (8,), (5, 5, 8, 8), (8,), (6272, 10), (10,)),
        ),
        (
            cifar_like, {"filters": (16, 16)}, 170_714,
            ((3, 3, 3, 16), (16,), (5, 5, 16, 16), (16,), (16384, 10), (10,)),
        ),
        (
            mnist_like, ORIG, 64_402,
            ((3, 3, 1, 8), (5, 5, 8, 8), (6272, 10), (10,)),
        ),
    ],
)  # fmt: skip
def test_shapes_and_coordinates_are_the_originals(
    data, arguments, size, shapes
):
    network = PlainConvNet(data(), "train", **arguments)
    assert network.layout.shapes == shapes
    assert network.layout.size == size
    assert network.batch_size == 64


def keras_twin(network, dtype):
    convolutions = [
        keras.layers.Conv2D(
            filters,
            kernel,
            padding="same",
            use_bias=network.conv_bias,
            activation=network.activation,
            dtype=dtype,
        )
        for filters, kernel in zip(
            network.filters, network.kernels, strict=True
        )
    ]
    head = keras_head(network, dtype)

    def forward(images):
        for layer in [*convolutions, keras.layers.Flatten(dtype=dtype), head]:
            images = layer(images)
        return images

    return [*convolutions, head], forward


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        ORIG,
        {"conv_bias": False},
        {"relu_logits": False, "activation": "tanh"},
        {"filters": (2,), "kernels": (4,), "activation": "sigmoid"},
    ],
)
def test_keras_layers_give_the_same(arguments):
    network = tiny(**arguments)
    batch = network.sample(seeds.make_seed(2))
    for dtype, tolerance in [("float32", 1e-5), ("float64", 1e-12)]:
        assert_keras_agrees(
            network,
            *keras_twin(network, dtype),
            draw_params(network, 0.5, dtype),
            (tf.cast(batch[0], dtype), batch[1]),
            (),
            tolerance,
        )


def numpy_logits(tensors, images):
    """Apply one 3 x 3 convolution with bias and the read-out, by loops."""
    kernel, bias, weights, shift = (np.asarray(t, "f8") for t in tensors)
    count, height, width, _ = images.shape
    padded = np.pad(images.astype("f8"), ((0, 0), (1, 1), (1, 1), (0, 0)))
    hidden = np.zeros((count, height, width, kernel.shape[3]))
    for i in range(height):
        for j in range(width):
            patch = padded[:, i : i + 3, j : j + 3]
            hidden[:, i, j] = np.tensordot(patch, kernel, 3) + bias
    hidden = np.maximum(hidden, 0.0).reshape(count, -1)
    return np.maximum(hidden @ weights + shift, 0.0)


def test_a_numpy_rendering_gives_the_same_loss():
    network = tiny(filters=(3,), kernels=(3,))
    images, labels = network.sample(seeds.make_seed(0))
    params = draw_params(network, 0.5)
    logits = numpy_logits(network.layout.split(params), images.numpy())
    shifted = logits - logits.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    expected = -logarithms[np.arange(6), labels.numpy()].mean()
    loss = network.loss(params, (), (images, labels))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert (logits > 0.0).any()
    assert (logits == 0.0).any()


@pytest.mark.parametrize("arguments", [{}, ORIG])
def test_every_tensor_starts_from_the_normal(arguments):
    data = synthetic_images(height=4, width=4)
    network = PlainConvNet(data, "train", **arguments)
    for values in starts_of(network, 60).values():
        assert_normal(values)


def test_init_stddev_scales_the_start():
    seed = seeds.make_seed(0)
    wide, _ = tiny(init_stddev=1.0).reset(seed)
    np.testing.assert_allclose(wide, 100.0 * tiny().reset(seed)[0], rtol=1e-6)


def test_dead_logits_give_the_log_of_the_classes_and_no_gradient():
    assert_dead_logits_have_no_gradient(tiny())


@pytest.mark.parametrize(
    ("argument", "value", "received"),
    [
        ("filters", (3, 0), "filters=0"),
        ("kernels", (2.0, 2), "kernels=2.0"),
        ("kernels", (3,), r"filters=\(3, 2\), kernels=\(3,\)"),
        ("filters", (), r"filters=\(\), kernels=\(3, 2\)"),
        ("conv_bias", "no", "conv_bias='no'"),
        ("relu_logits", 0, "relu_logits=0"),
        ("activation", "elu", "activation='elu'"),
        ("batch_size", 0, "batch_size=0"),
        ("init_stddev", -1.0, "init_stddev=-1.0"),
    ],
)
def test_bad_arguments_are_refused(argument, value, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        tiny(**{argument: value})


def test_a_network_without_convolutions_is_refused():
    with pytest.raises(ValueError, match=r"Received: filters=\(\), kernels="):
        tiny(filters=(), kernels=())
