"""The networks that end in a global average, against Keras and NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.classifiers import (
    assert_keras_agrees,
    assert_normal,
    cifar_like,
    draw_params,
    mnist_like,
    starts_of,
)

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.pooled_conv import PooledConvNet

SIX = {
    "filters": 6 * (32,),
    "kernels": 6 * (3,),
    "strides": (2, 1, 2, 1, 2, 1),
}


def tiny(**kwargs):
    data = synthetic_images(height=7, width=6, channels=2)
    arguments = {
        "filters": (3, 2),
        "kernels": (3, 2),
        "strides": (2, 1),
        "batch_size": 6,
    }
    return PooledConvNet(data, "train", **{**arguments, **kwargs})


def test_metzs_network_has_19722_coordinates():
    network = PooledConvNet(cifar_like(), "train")
    assert network.layout.size == 19_722
    assert network.layout.shapes == (
        (3, 3, 3, 32), (32,), (3, 3, 32, 32), (32,), (3, 3, 32, 32), (32,),
        (32, 10), (10,),
    )  # fmt: skip
    assert network.strides == (2, 2, 1)
    assert (network.batch_size, network.initializer) == (128, "glorot_uniform")
    assert network.convolves


def test_six_layers_on_mnist_have_46890_coordinates():
    network = PooledConvNet(mnist_like(), "train", **SIX)
    assert network.layout.size == 46_890
    assert network.layout.shapes[0] == (3, 3, 1, 32)
    assert network.layout.shapes[-4:] == (
        (3, 3, 32, 32),
        (32,),
        (32, 10),
        (10,),
    )


@pytest.mark.parametrize("strides", [(2, 2, 1), (1, 1, 1), (2, 1, 1)])
def test_strides_do_not_change_the_coordinates(strides):
    network = PooledConvNet(cifar_like(), "train", strides=strides)
    assert network.layout.size == 19_722


def keras_twin(network, dtype):
    convolutions = [
        keras.layers.Conv2D(
            filters, kernel, stride, "same", activation="relu", dtype=dtype
        )
        for filters, kernel, stride in zip(
            network.filters, network.kernels, network.strides, strict=True
        )
    ]
    pool = keras.layers.GlobalAveragePooling2D(dtype=dtype)
    head = keras.layers.Dense(network.num_classes, dtype=dtype)

    def forward(images):
        for layer in [*convolutions, pool, head]:
            images = layer(images)
        return images

    return [*convolutions, head], forward


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"strides": (1, 3)},
        {"filters": (4,), "kernels": (4,), "strides": (2,)},
        {"filters": (3, 2, 3), "kernels": (3, 3, 3), "strides": (2, 2, 1)},
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


def test_keras_layers_give_metzs_network():
    network = PooledConvNet(cifar_like(), "train", batch_size=4)
    assert_keras_agrees(
        network,
        *keras_twin(network, "float32"),
        draw_params(network, 0.1),
        network.sample(seeds.make_seed(2)),
        (),
        1e-5,
    )


def test_a_numpy_rendering_gives_the_same_loss():
    network = tiny(filters=(3,), kernels=(3,), strides=(1,))
    images, labels = network.sample(seeds.make_seed(0))
    params = draw_params(network, 0.5)
    kernel, bias, weights, shift = (
        np.asarray(t, "f8") for t in network.layout.split(params)
    )
    padded = np.pad(images.numpy(), ((0, 0), (1, 1), (1, 1), (0, 0)))
    total = np.zeros((6, 3))
    for i in range(7):
        for j in range(6):
            patch = padded[:, i : i + 3, j : j + 3].astype("f8")
            total += np.maximum(np.tensordot(patch, kernel, 3) + bias, 0.0)
    logits = total / 42.0 @ weights + shift
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -logarithms[np.arange(6), labels.numpy()].mean()
    loss = network.loss(params, (), (images, labels))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_it_starts_by_glorot_with_biases_from_0():
    for name, values in starts_of(tiny(filters=(8, 8)), 20).items():
        if "bias" in name:
            np.testing.assert_array_equal(values, 0.0)
        elif name == "conv_layer2/weights":
            # 2 x 2 kernels, 8 channels in and out.
            limit = (6 / (4 * 8 + 4 * 8)) ** 0.5
            assert 0.98 * limit < np.abs(values).max() <= limit * (1 + 1e-6)
            assert values.std() == pytest.approx(limit / 3**0.5, rel=0.03)


def test_the_initializer_is_an_argument():
    network = tiny(initializer="normal", init_stddev=0.2)
    values = np.concatenate(list(starts_of(network, 10).values()))
    assert_normal(values, 0.2)


@pytest.mark.parametrize(
    ("argument", "value", "received"),
    [
        ("filters", (3, 0), "filters=0"),
        ("kernels", (2.0, 2), "kernels=2.0"),
        ("strides", (1, -1), "strides=-1"),
        (
            "strides",
            (1,),
            r"filters=\(3, 2\), kernels=\(3, 2\), strides=\(1,\)",
        ),
        ("kernels", (3,), r"filters=\(3, 2\), kernels=\(3,\)"),
        ("initializer", "glorot", "initializer='glorot'"),
        ("batch_size", 0, "batch_size=0"),
        ("init_stddev", -1.0, "init_stddev=-1.0"),
    ],
)
def test_bad_arguments_are_refused(argument, value, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        tiny(**{argument: value})


def test_a_network_without_convolutions_is_refused():
    with pytest.raises(ValueError, match=r"Received: filters=\(\), kernels="):
        tiny(filters=(), kernels=(), strides=())
