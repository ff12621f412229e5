"""VGG16: the original's layout, and a tiny one against Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.classifiers import (
    assert_keras_agrees,
    assert_normal,
    cifar_like,
    draw_params,
    starts_of,
)

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.vgg import VGG16


def tiny(**kwargs):
    data = synthetic_images(height=6, width=5, channels=2)
    sizes = {"widths": ((3,), (4, 2)), "batch_size": 8}
    return VGG16(data, "train", **{**sizes, **kwargs})


def test_the_coordinates_are_the_originals_in_its_order():
    layout = VGG16(cifar_like(), "train").layout
    assert layout.size == 14_719_818
    blocks = [2, 2, 3, 3, 3]
    assert layout.names == (
        *(
            f"block{b}_conv{c}/{kind}"
            for b, convs in enumerate(blocks, start=1)
            for c in range(1, convs + 1)
            for kind in ("weights", "biases")
        ),
        "fc/weights",
        "fc/biases",
    )
    assert layout.shapes[::2] == (
        (3, 3, 3, 64),
        (3, 3, 64, 64),
        (3, 3, 64, 128),
        (3, 3, 128, 128),
        (3, 3, 128, 256),
        *((3, 3, 256, 256),) * 2,
        (3, 3, 256, 512),
        *((3, 3, 512, 512),) * 5,
        (512, 10),
    )
    assert layout.shapes[1::2] == tuple((s[-1],) for s in layout.shapes[::2])


def keras_twin(network, dtype):
    parts, chain = [], []
    for block in network.widths:
        for width in block:
            parts.append(
                keras.layers.Conv2D(
                    width, 3, padding="same", activation="relu", dtype=dtype
                )
            )
            chain.append(parts[-1])
        chain.append(keras.layers.MaxPooling2D(2, padding="same", dtype=dtype))
    chain.append(keras.layers.Flatten(dtype=dtype))
    head = keras.layers.Dense(network.num_classes, dtype=dtype)

    def forward(images):
        for layer in [*chain, head]:
            images = layer(images)
        if network.softmax_logits:
            # Times 1: Keras warns of a softmax that goes into a cross-entropy
            # as it stands.
            return 1.0 * keras.ops.softmax(images)
        return images

    return [*parts, head], forward


@pytest.mark.parametrize("softmax_logits", [True, False])
def test_keras_layers_give_the_same(softmax_logits):
    network = tiny(softmax_logits=softmax_logits)
    batch = network.sample(seeds.make_seed(2))
    for dtype, tolerance in [("float32", 1e-5), ("float64", 1e-12)]:
        assert_keras_agrees(
            network,
            *keras_twin(network, dtype),
            draw_params(network, 0.5, dtype),
            (tf.cast(batch[0], dtype), batch[1]),
            tolerance=tolerance,
        )


def test_a_softmax_twice_bounds_the_loss_from_below():
    network = tiny(init_stddev=0.0)
    *others, bias = network.layout.split(network.reset(seeds.make_seed(0))[0])
    sure = tf.tensor_scatter_nd_update(bias, [[2]], [1000.0])
    params = network.layout.flatten([*others, sure])
    images, _ = network.sample(seeds.make_seed(1))
    labels = tf.fill([images.shape[0]], 2)
    loss = network.loss(params, (), (images, labels))
    np.testing.assert_allclose(loss, np.log(1 + 2 / np.e), rtol=1e-6)
    plain = tiny(softmax_logits=False)
    np.testing.assert_array_equal(plain.loss(params, (), (images, labels)), 0.0)


def test_weights_start_from_a_normal_and_biases_from_their_constants():
    for name, values in starts_of(tiny(), 20).items():
        if name.endswith("/biases"):
            expected = 1.0 if name == "fc/biases" else 0.0
            np.testing.assert_array_equal(values, expected)
        else:
            assert_normal(values)


@pytest.mark.parametrize(
    ("argument", "value", "received"),
    [
        ("widths", ((3,), (4, 0)), "widths=0"),
        ("batch_size", 0, "batch_size=0"),
        ("init_stddev", -1.0, "init_stddev=-1.0"),
    ],
)
def test_bad_arguments_are_refused(argument, value, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        tiny(**{argument: value})
