"""LeNet against recorded numbers and against Keras, with and without norm."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.classifiers import (
    assert_gradients_match,
    assert_keras_agrees,
    assert_normal,
    assert_recorded,
    cifar_like,
    draw_params,
    keras_batch_norm,
    released_inputs,
    starts_of,
)
from support.problems import released_problem
from support.small_problem import relative_error

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.lenet import LeNet


def lenet(**kwargs):
    return LeNet(cifar_like(), "train", **kwargs)


def tiny(**kwargs):
    data = synthetic_images(height=8, width=9, channels=2)
    sizes = {"filters": (3, 2), "kernel": 2, "units": (4, 3), "batch_size": 8}
    return LeNet(data, "train", **{**sizes, **kwargs})


def cancelled(network):
    """Name the biases in front of a norm: all but the last."""
    biases = [n for n in network.layout.names if n.endswith("/b")]
    return tuple(biases[:-1]) if network.batch_norm else ()


@pytest.mark.parametrize(
    ("name", "batch_norm"), [("lenet", True), ("lenet_nobn", False)]
)
def test_loss_logits_and_gradient_are_the_recorded_ones(name, batch_norm):
    # 2e-5: the exact gradient (float64) of an offset differs from the recorded
    # one, made in float32, by 9e-6 of its norm.
    network = lenet(batch_norm=batch_norm)
    assert_recorded(network, name, cancelled(network), tolerance=2e-5)


def test_the_whole_gradient_without_norm_equals_the_original(shared_dir):
    released = released_problem(shared_dir, "lenet_nobn")
    network = lenet(batch_norm=False)
    params, batch = released_inputs(released, network)
    logits = network.logits(params, batch[0])
    assert relative_error(logits, released["logits"]) < 1e-5
    loss, gradient = network.loss_and_gradient(params, (), batch)
    assert relative_error(loss, released["loss"]) < 1e-5
    expected = network.layout.flatten(
        [tf.constant(released[f"g:{n}"]) for n in network.layout.names]
    )
    assert_gradients_match(network.layout, gradient, expected)


def keras_twin(network, dtype):
    parts, chain = [], []

    def hidden(layer, after=()):
        parts.append(layer)
        chain.append(layer)
        if network.batch_norm:
            norm, call = keras_batch_norm(True, dtype)
            parts.append(norm)
            chain.append(call)
        chain.append(keras.activations.get(network.activation))
        chain.extend(after)

    for filters in network.filters:
        pool = keras.layers.MaxPooling2D(2, dtype=dtype)
        conv = keras.layers.Conv2D(filters, network.kernel, dtype=dtype)
        hidden(conv, [pool])
    chain.append(keras.layers.Flatten(dtype=dtype))
    for units in network.units:
        hidden(keras.layers.Dense(units, dtype=dtype))
    head = keras.layers.Dense(network.num_classes, dtype=dtype)

    def forward(images):
        for layer in [*chain, head]:
            images = layer(images)
        return images

    return [*parts, head], forward


@pytest.mark.parametrize(
    ("batch_norm", "units", "activation"),
    [
        (True, (4, 3), "sigmoid"),
        (False, (4, 3), "sigmoid"),
        (True, (), "sigmoid"),
        (False, (), "sigmoid"),
        (False, (9, 8), "relu"),
    ],
)
def test_keras_layers_give_the_same(batch_norm, units, activation):
    filters = (6, 5) if activation == "relu" else (3, 2)  # Not all dead.
    network = tiny(
        batch_norm=batch_norm,
        units=units,
        activation=activation,
        filters=filters,
    )
    batch = network.sample(seeds.make_seed(2))
    for dtype, tolerance in [("float32", 2e-5), ("float64", 1e-12)]:
        assert_keras_agrees(
            network,
            *keras_twin(network, dtype),
            draw_params(network, 0.7, dtype),
            (tf.cast(batch[0], dtype), batch[1]),
            cancelled(network),
            tolerance,
        )


def test_the_coordinates_are_the_originals_in_its_order():
    layout = lenet().layout
    assert layout.size == 62_232
    assert dict(zip(layout.names, layout.shapes, strict=True)) == {
        "conv_net_2d/conv_2d_0/w": (5, 5, 3, 6),
        "conv_net_2d/conv_2d_0/b": (6,),
        "conv_net_2d/batch_norm_0/beta": (1, 1, 1, 6),
        "conv_net_2d/conv_2d_1/w": (5, 5, 6, 16),
        "conv_net_2d/conv_2d_1/b": (16,),
        "conv_net_2d/batch_norm_1/beta": (1, 1, 1, 16),
        "mlp/linear_0/w": (400, 120),
        "mlp/linear_0/b": (120,),
        "mlp/batch_norm/beta": (1, 120),
        "mlp/linear_1/w": (120, 84),
        "mlp/linear_1/b": (84,),
        "mlp/batch_norm_1/beta": (1, 84),
        "mlp/linear_2/w": (84, 10),
        "mlp/linear_2/b": (10,),
    }


def test_without_norm_there_are_no_offsets():
    layout, plain = lenet().layout, lenet(batch_norm=False).layout
    assert plain.size == 62_006
    assert plain.names == tuple(n for n in layout.names if "beta" not in n)


def test_all_start_from_a_normal_but_the_offsets_from_zero():
    starts = starts_of(lenet(), 30)
    for name, values in starts.items():
        if name.endswith("/beta"):
            np.testing.assert_array_equal(values, 0.0)
        else:
            assert_normal(values)
    assert len(starts) == 14


def test_another_start_leaves_offsets_and_biases_at_zero():
    network = tiny(initializer="he_uniform")
    params, _ = network.reset(seeds.make_seed(0))
    parts = network.layout.split(params)
    for name, part in zip(network.layout.names, parts, strict=True):
        assert np.any(part) == name.endswith("/w")
    # A convolution's fan in is its kernel's height, width and channels.
    assert np.abs(parts[0]).max() <= (6 / (2 * 2 * 2)) ** 0.5
    assert np.abs(parts[0]).max() > 0.8 * (6 / (2 * 2 * 2)) ** 0.5


@pytest.mark.parametrize(
    ("argument", "value", "received"),
    [
        ("filters", (3, 0), "filters=0"),
        ("kernel", 0, "kernel=0"),
        ("units", (4, 1.5), "units=1.5"),
        ("batch_size", 0, "batch_size=0"),
        ("init_stddev", -1.0, "init_stddev=-1.0"),
        ("activation", "elu", "activation='elu'"),
        ("initializer", "he", "initializer='he'"),
        ("kernel", 5, "2 pixels, with a kernel of 5 at stride 1"),
        ("kernel", 8, "8 pixels, with a kernel of 8 at stride 1"),
    ],
)
def test_bad_arguments_are_refused(argument, value, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        tiny(**{argument: value})
