"""Inception v1: its table, its parameters, and a module written out."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.inception import (
    MODULES,
    Branches,
    Builder,
    inception_v1,
)
from l2o_tf.optimizees.keras_model import KerasModel

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
# Table 1 of the paper: what comes out of each module.
CHANNELS = {
    "3a": 256, "3b": 480, "4a": 512, "4b": 512, "4c": 512, "4d": 528,
    "4e": 832, "5a": 832, "5b": 1024,
}  # fmt: skip


@functools.cache
def whole():
    return inception_v1()


@functools.cache
def thin(**kwargs):
    return inception_v1((8, 8, 3), 4, width=1 / 64, **kwargs)


def trainable(model):
    return sum(math.prod(v.shape) for v in model.trainable_variables)


def counted(batch_norm):
    """Add up the parameters from the channels alone."""

    def conv(inputs, outputs, kernel):
        return inputs * outputs * kernel**2 + outputs * (1 + batch_norm)

    total = conv(3, 64, 3) + conv(64, 64, 1) + conv(64, 192, 3)
    inputs = 192
    for name, b in MODULES.items():
        total += conv(inputs, b.one, 1) + conv(inputs, b.pool, 1)
        total += conv(inputs, b.three_reduce, 1)
        total += conv(b.three_reduce, b.three, 3)
        total += conv(inputs, b.five_reduce, 1)
        total += conv(b.five_reduce, b.five, 5)
        inputs = CHANNELS[name]
    return total + inputs * 10 + 10


def test_the_whole_network_has_the_documented_parameters():
    assert trainable(whole()) == counted(True) == 5_983_402
    assert counted(False) == 5_976_122
    for number in ("5,983,402", "5,976,122"):
        assert number in inception_v1.__doc__
    assert counted(True) / 397_510 == pytest.approx(15.05, abs=0.01)


def test_nine_modules_and_their_sizes_are_the_tables():
    shapes = {
        name: whole().get_layer(f"inception_{name}").output.shape[1:]
        for name in MODULES
    }
    assert len(shapes) == 9
    assert {n: s[-1] for n, s in shapes.items()} == CHANNELS
    sides = {"3": 16, "4": 8, "5": 4}
    for name, shape in shapes.items():
        assert shape[:2] == (sides[name[0]], sides[name[0]])
    assert whole().input_shape == (None, 32, 32, 3)
    assert whole().output_shape == (None, 10)
    kernels = [
        layer.kernel_size[0]
        for layer in whole().layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    assert len(kernels) == 3 + 9 * 6
    assert kernels.count(5) == 9
    assert kernels.count(3) == 2 + 9


def test_a_module_is_four_branches_side_by_side():
    build = Builder(1.0, False, "glorot_uniform", 0.01)
    images = keras.Input((5, 6, 3))
    branches = Branches(2, 3, 4, 1, 2, 3)
    model = keras.Model(images, build.module(images, branches, "m"))
    rng = np.random.RandomState(0)
    for v in model.trainable_variables:
        v.assign(rng.randn(*v.shape))
    x = tf.constant(rng.randn(2, 5, 6, 3), tf.float32)

    def conv(x, name):
        kernel, bias = model.get_layer(f"m_{name}").weights
        out = tf.nn.conv2d(x, kernel.value, 1, "SAME") + bias.value
        return tf.nn.relu(out)

    expected = tf.concat(
        [
            conv(x, "1x1"),
            conv(conv(x, "3x3_reduce"), "3x3"),
            conv(conv(x, "5x5_reduce"), "5x5"),
            conv(tf.nn.max_pool2d(x, 3, 1, "SAME"), "pool_1x1"),
        ],
        axis=-1,
    )
    assert expected.shape == (2, 5, 6, 11)
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-4)


def test_the_width_multiplies_every_number_of_channels():
    branches = thin().get_layer("inception_5b")
    # 384, 384, 128 and 128 over 64.
    assert branches.output.shape == (None, 1, 1, 6 + 6 + 2 + 2)
    assert thin().get_layer("inception_3a_5x5_reduce").filters == 1
    assert thin().get_layer("stem_2").filters == 3


def test_a_convolution_has_a_norm_or_a_bias():
    names = {v.name for v in thin().trainable_variables}
    assert names == {"kernel", "gamma", "beta", "bias"}
    biases = [v for v in thin().trainable_variables if v.name == "bias"]
    assert [v.path for v in biases] == ["logits/bias"]
    plain = thin(batch_norm=False)
    assert {v.name for v in plain.trainable_variables} == {"kernel", "bias"}
    assert trainable(plain) < trainable(thin())


def test_it_is_a_problem_and_the_loss_feels_its_weights():
    data = synthetic_images(height=8, width=8, channels=3, num_classes=4)
    problem = KerasModel(thin(), CROSS_ENTROPY, data, "train", batch_size=16)
    assert problem.convolves
    params, constants = problem.reset(seeds.make_seed(0))
    batch = problem.sample(seeds.make_seed(1))
    loss, gradient = problem.loss_and_gradient(params, constants, batch)
    assert loss.numpy() == pytest.approx(np.log(4.0), rel=0.5)
    parts = problem.layout.split(gradient)
    felt = [
        name
        for name, g in zip(problem.layout.names, parts, strict=True)
        if np.any(g)
    ]
    # A branch of one channel may be dead; the ends and most others are not.
    assert {"stem_1/kernel", "logits/kernel", "logits/bias"} <= set(felt)
    assert len(felt) > 0.8 * len(parts)


def test_the_normal_start_is_of_the_weights():
    model = thin(initializer="normal", init_stddev=0.02)
    data = synthetic_images(height=8, width=8, channels=3, num_classes=4)
    problem = KerasModel(model, CROSS_ENTROPY, data, "train")
    params, _ = problem.reset(seeds.make_seed(0))
    parts = dict(
        zip(problem.layout.names, problem.layout.split(params), strict=True)
    )
    kernels = np.concatenate(
        [p.numpy().ravel() for n, p in parts.items() if n.endswith("kernel")]
    )
    assert kernels.std() == pytest.approx(0.02, rel=0.1)
    np.testing.assert_array_equal(parts["logits/bias"], np.zeros(4))
    np.testing.assert_array_equal(parts["stem_1_norm/gamma"], np.ones(1))


@pytest.mark.parametrize(
    ("argument", "value", "received"),
    [
        ("width", 0.0, "width=0.0"),
        ("width", "1", "width='1'"),
        ("batch_norm", 1, "batch_norm=1"),
        ("initializer", "he", "initializer='he'"),
        ("init_stddev", -1.0, "init_stddev=-1.0"),
        ("num_classes", 0, "num_classes=0"),
        ("image_shape", (7, 32, 3), r"image_shape=\(7, 32, 3\)"),
        ("image_shape", (32, 32), r"image_shape=\(32, 32\)"),
    ],
)
def test_bad_arguments_are_refused(argument, value, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        inception_v1(**{argument: value})
