"""Networks on images against recorded numbers and against Keras layers.

A bias in front of a batch normalisation has no effect: its true gradient is 0
and the computed one is rounding error. Such tensors are named `cancelled`, and
compared on the scale of the whole gradient instead of their own.
"""

from __future__ import annotations

import functools

import keras
import numpy as np
import tensorflow as tf

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images

from .problems import NOISE, RecordedProblem, assert_gradient_is_recorded
from .small_problem import relative_error


@functools.cache
def mnist_like():
    return synthetic_images(height=28, width=28, num_classes=10)


@functools.cache
def cifar_like():
    return synthetic_images(height=32, width=32, channels=3, num_classes=10)


def recorded_inputs(recorded, dtype="float32"):
    """Return the recorded problem's `(params, (images, labels))`."""
    images = tf.constant(recorded.images.astype("f4") / np.float32(255.0))
    return tf.constant(recorded.params.astype(dtype)), (
        tf.cast(images, dtype),
        tf.constant(recorded.labels, tf.int32),
    )


def released_inputs(released, network, dtype="float32"):
    """Return the released problem's `(params, (images, labels))`."""
    params = network.layout.flatten(
        [tf.constant(released[f"x:{n}"]) for n in network.layout.names]
    )
    images = tf.constant(released["images_u8"].astype("f4") / np.float32(255))
    return tf.cast(params, dtype), (
        tf.cast(images, dtype),
        tf.constant(released["labels"], tf.int32),
    )


def assert_recorded(network, name, cancelled=(), tolerance=1e-5):
    """Compare names, logits, loss and gradient with `problems_small.npz`.

    Loss and logits to 1e-5; of each gradient its norm, sum and first entries,
    on the scale of its norm.
    """
    recorded = RecordedProblem(name)
    params, batch = recorded_inputs(recorded)
    assert network.layout.names == recorded.names
    logits = network.logits(params, batch[0])
    assert relative_error(logits, recorded["logits"]) < 1e-5
    loss, gradient = network.loss_and_gradient(params, (), batch)
    assert relative_error(loss, recorded["loss"]) < 1e-5
    assert_gradient_is_recorded(
        network.layout.split(gradient), recorded, tolerance, cancelled
    )


def assert_gradients_match(
    layout, actual, expected, cancelled=(), tolerance=1e-5, noise=NOISE
):
    """Compare two gradients `[N]` tensor by tensor, in the Euclidean norm."""
    whole = np.linalg.norm(expected)
    pairs = zip(
        layout.names, layout.split(actual), layout.split(expected), strict=True
    )
    for n, a, e in pairs:
        a, e = (np.asarray(t, np.float64) for t in (a, e))
        norm = np.linalg.norm(e)
        bound = noise * whole if n in cancelled else tolerance * norm
        assert np.linalg.norm(a - e) < bound, n


def draw_params(network, stddev, dtype="float32", seed=3):
    """Draw params whose every coordinate matters, the constant ones too."""
    drawn = seeds.normal(seeds.make_seed(seed), [network.layout.size], stddev)
    return tf.cast(drawn, dtype)


def assert_keras_agrees(
    network, parts, forward, params, batch, cancelled=(), tolerance=1e-5
):
    """Compare logits, loss and gradient with a network of Keras layers.

    Args:
        network: an `ImageClassifier`.
        parts: the Keras layers, their variables in the order of the layout.
        forward: computes the logits from images with those layers.
        params: `[N]`, in the layers' dtype.
        batch: `(images, labels)`, likewise.
        cancelled: names of tensors whose gradient is rounding error.
        tolerance: of each tensor's norm.
    """
    images, labels = batch
    forward(images)  # builds the layers
    variables = [v for part in parts for v in part.trainable_variables]
    for v, tensor in zip(variables, network.layout.split(params), strict=True):
        v.assign(tf.reshape(tensor, v.shape))
    with tf.GradientTape() as tape:
        expected_logits = forward(images)
        expected_loss = tf.reduce_mean(
            keras.ops.sparse_categorical_crossentropy(
                labels, expected_logits, from_logits=True
            )
        )
    gradients = tape.gradient(expected_loss, variables)
    expected = tf.concat([tf.reshape(g, [-1]) for g in gradients], axis=0)
    logits = network.logits(params, images)
    assert relative_error(logits, expected_logits) < tolerance
    loss, gradient = network.loss_and_gradient(params, (), batch)
    assert loss.dtype == params.dtype
    assert relative_error(loss, expected_loss) < tolerance
    assert_gradients_match(
        network.layout, gradient, expected, cancelled, tolerance, tolerance
    )


def keras_batch_norm(offset, dtype):
    """Make a Keras layer that normalises by the batch, eps 1e-3, no scale."""
    layer = keras.layers.BatchNormalization(
        epsilon=1e-3, center=offset, scale=False, dtype=dtype
    )
    return layer, functools.partial(layer, training=True)


def starts_of(network, num=1):
    """Draw `num` starts; return each tensor's values by name."""
    draws = [network.reset(seeds.make_seed(s)) for s in range(num)]
    assert all(constants == () for _, constants in draws)
    parts = zip(*[network.layout.split(x) for x, _ in draws], strict=True)
    return {
        name: np.concatenate([t.numpy().ravel() for t in tensors])
        for name, tensors in zip(network.layout.names, parts, strict=True)
    }


def assert_normal(values, stddev=0.01):
    """Assert a mean of 0 and that deviation, to 4.5 standard errors."""
    n = values.size
    assert n > 100
    assert abs(values.mean()) < stddev * 4.5 / np.sqrt(n)
    assert abs(values.std() / stddev - 1) < 4.5 / np.sqrt(2 * n)


def assert_weights_are_normal_and_biases_zero(network):
    """Assert what the convolutional networks of the paper start from."""
    for name, values in starts_of(network, 4).items():
        if "bias" in name:
            np.testing.assert_array_equal(values, 0.0)
        else:
            assert_normal(values)


def assert_dead_logits_have_no_gradient(network):
    """Assert log(classes) and a zero gradient where all logits are cut off."""
    *others, bias = network.layout.split(draw_params(network, 0.5))
    params = network.layout.flatten([*others, bias - 100.0])
    batch = network.sample(seeds.make_seed(0))
    loss, gradient = network.loss_and_gradient(params, (), batch)
    np.testing.assert_allclose(loss, np.log(network.num_classes), rtol=1e-6)
    np.testing.assert_array_equal(gradient, 0.0)


def keras_head(network, dtype):
    """Make the read-out: a dense layer, with a ReLU if the network has it."""
    activation = "relu" if network.relu_logits else None
    return keras.layers.Dense(network.num_classes, activation, dtype=dtype)
