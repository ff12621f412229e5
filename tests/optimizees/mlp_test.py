"""The MLPs against recorded numbers, against Keras, and their minibatches."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.execution import assert_same_everywhere
from support.problems import (
    RecordedProblem,
    assert_gradient_is_recorded,
    released_problem,
)
from support.small_problem import relative_error

from l2o_tf.core import seeds
from l2o_tf.datasets.base import SPLITS, ImageDataset, make_split
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.mlp import MLP

RECORDED = {
    "mnist": ((20,), "sigmoid"),
    "mnist_relu": ((20,), "relu"),
    "mnist_deeper": ((20, 20), "sigmoid"),
}


@functools.cache
def image_data(size=28, counts=(10, 10, 10, 10)):
    """Make data whose images say which they are: pixel 0 is the index.

    The label is the number of the split.
    """
    splits = {}
    for i, (name, n) in enumerate(zip(SPLITS, counts, strict=True)):
        images = np.zeros((n, size, size, 1), np.uint8)
        images[:, 0, 0, 0] = np.arange(n)
        splits[name] = make_split(images, np.full(n, i))
    return ImageDataset("tiny", splits, 10)


def mnist_like(name, **kwargs):
    hidden, activation = RECORDED[name]
    return MLP(image_data(), "train", hidden, activation, **kwargs)


@pytest.mark.parametrize("name", RECORDED)
def test_loss_logits_and_gradient_are_the_recorded_ones(name):
    recorded = RecordedProblem(name)
    mlp = mnist_like(name)
    x = tf.constant(recorded.params)
    images = tf.constant(recorded.images.astype("f4") / np.float32(255.0))
    batch = images, tf.constant(recorded.labels, tf.int32)
    assert relative_error(mlp.logits(x, images), recorded["logits"]) < 1e-5
    loss, gradient = mlp.loss_and_gradient(x, (), batch)
    assert relative_error(loss, recorded["loss"]) < 1e-5
    assert mlp.layout.names == recorded.names
    assert_gradient_is_recorded(mlp.layout.split(gradient), recorded)


@pytest.mark.parametrize("name", ["mnist", "mnist_deeper"])
def test_the_whole_gradient_equals_the_original(name, shared_dir):
    released = released_problem(shared_dir, name)
    mlp = mnist_like(name)
    x = mlp.layout.flatten(
        [tf.constant(released[f"x:{n}"]) for n in mlp.layout.names]
    )
    images = tf.constant(released["images_u8"].astype("f4") / np.float32(255))
    batch = images, tf.constant(released["labels"], tf.int32)
    assert relative_error(mlp.logits(x, images), released["logits"]) < 1e-5
    loss, gradient = mlp.loss_and_gradient(x, (), batch)
    assert relative_error(loss, released["loss"]) < 1e-5
    for n, g in zip(mlp.layout.names, mlp.layout.split(gradient), strict=True):
        assert relative_error(g, released[f"g:{n}"]) < 1e-5, n


@pytest.mark.parametrize(
    ("hidden", "activation"),
    [((20,), "sigmoid"), ((5, 4), "relu"), ((6,), "tanh"), ((), "relu")],
)
def test_a_keras_model_has_the_same_loss_and_gradients(hidden, activation):
    data = synthetic_images(height=3, width=2, channels=2)
    mlp = MLP(data, "train", hidden, activation, init_stddev=0.5)
    model = keras.Sequential(
        [keras.Input((3, 2, 2)), keras.layers.Flatten()]
        + [keras.layers.Dense(h, activation=activation) for h in hidden]
        + [keras.layers.Dense(3)]
    )
    x, constants = mlp.reset(seeds.make_seed(1))
    model.set_weights([t.numpy() for t in mlp.layout.split(x)])
    batch = mlp.sample(seeds.make_seed(2))
    objective = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        expected = objective(batch[1], model(batch[0]))
    expected_gradient = mlp.layout.flatten(
        tape.gradient(expected, model.trainable_variables)
    )
    loss, gradient = mlp.loss_and_gradient(x, constants, batch)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert relative_error(gradient, expected_gradient) < 1e-5


@pytest.mark.parametrize(
    ("name", "size"),
    [("mnist", 15_910), ("mnist_relu", 15_910), ("mnist_deeper", 16_330)],
)
def test_the_number_of_coordinates_is_the_papers(name, size):
    assert mnist_like(name).layout.size == size


def test_names_and_shapes_are_the_originals_in_its_order():
    layout = mnist_like("mnist_deeper").layout
    assert layout.names == tuple(
        f"mlp/linear_{i}/{w}" for i in range(3) for w in "wb"
    )
    assert layout.shapes == (
        (784, 20), (20,), (20, 20), (20,), (20, 10), (10,)
    )  # fmt: skip


def test_weights_and_biases_start_from_one_normal():
    mlp = mnist_like("mnist")
    draws = [mlp.reset(seeds.make_seed(s)) for s in range(40)]
    assert all(constants == () for _, constants in draws)
    parts = [mlp.layout.split(x) for x, _ in draws]
    for tensors in zip(*parts, strict=True):
        values = np.concatenate([t.numpy().ravel() for t in tensors])
        # 4.5 standard errors of a mean and of a standard deviation.
        n = values.size
        assert abs(values.mean()) < 0.01 * 4.5 / np.sqrt(n)
        assert abs(values.std() / 0.01 - 1) < 4.5 / np.sqrt(2 * n)


def test_init_stddev_scales_the_start():
    seed = seeds.make_seed(0)
    x, _ = mnist_like("mnist").reset(seed)
    wide, _ = mnist_like("mnist", init_stddev=1.0).reset(seed)
    np.testing.assert_allclose(wide, 100.0 * x, rtol=1e-6)


def test_a_batch_has_128_images_by_default():
    images, labels = mnist_like("mnist").sample(seeds.make_seed(0))
    assert images.shape == (128, 28, 28, 1)
    assert labels.shape == (128,)
    assert (images.dtype, labels.dtype) == (tf.float32, tf.int32)


def indices_of(mlp, seed):
    """Read from the images which of the split a batch has."""
    images, labels = mlp.sample(seeds.make_seed(seed))
    drawn = images.numpy()[:, 0, 0, 0] * 255.0
    return np.rint(drawn).astype(int), labels.numpy()


def test_a_batch_is_drawn_with_replacement_and_uniformly():
    mlp = MLP(image_data(2, (200, 1, 1, 1)), "train")
    batches = [indices_of(mlp, s)[0] for s in range(200)]
    # 128 different of 200 by chance: below 1e-20.
    assert all(len(set(b)) < 128 for b in batches)
    counts = np.bincount(np.concatenate(batches), minlength=200)
    assert counts.size == 200
    expected = 128.0
    statistic = np.sum((counts - expected) ** 2) / expected
    assert abs(statistic - 199) < 4.5 * np.sqrt(2 * 199)


@pytest.mark.parametrize("split", SPLITS)
def test_a_batch_comes_from_the_named_split_alone(split):
    counts = (7, 5, 3, 9)
    mlp = MLP(image_data(2, counts), split)
    indices, labels = indices_of(mlp, 0)
    number = SPLITS.index(split)
    assert mlp.split == split
    assert set(labels) == {number}
    assert set(indices) == set(range(counts[number]))


def test_seeds_decide_the_batch():
    mlp = MLP(image_data(2, (200, 1, 1, 1)), "train")
    first, again, other = (indices_of(mlp, s)[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9


def test_the_loss_is_the_mean_over_the_batch():
    mlp = MLP(synthetic_images(), "train", (3,), batch_size=4)
    x, _ = mlp.reset(seeds.make_seed(0))
    images, labels = mlp.sample(seeds.make_seed(1))
    whole = mlp.loss(x, (), (images, labels))
    single = [
        mlp.loss(x, (), (images[i : i + 1], labels[i : i + 1]))
        for i in range(4)
    ]
    np.testing.assert_allclose(whole, np.mean(single), rtol=1e-6)


def test_zero_weights_give_the_log_of_the_number_of_classes():
    mlp = MLP(synthetic_images(), "train", (3,), init_stddev=0.0)
    x, constants = mlp.reset(seeds.make_seed(0))
    loss = mlp.loss(x, constants, mlp.sample(seeds.make_seed(1)))
    np.testing.assert_allclose(loss, np.log(3.0), rtol=1e-6)


def test_an_episodes_start_and_loss_agree_everywhere():
    mlp = MLP(synthetic_images(), "train", (3,), batch_size=8)

    def start(a, b):
        x, constants = mlp.reset(a)
        return mlp.loss_and_gradient(x, constants, mlp.sample(b))

    loss, _ = assert_same_everywhere(
        start, seeds.make_seed(0), seeds.make_seed(1), atol=1e-5
    )
    assert 0.5 < loss < 2.0


def test_the_notice_of_the_data_is_passed_on():
    data = image_data(2)
    notice = "NOT ALL OF IT"
    partial = ImageDataset("tiny", data.splits, 10, notice=notice)
    assert MLP(partial, "train").notice == notice
    assert MLP(data, "train").notice is None


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("batch_size", 0),
        ("batch_size", 1.5),
        ("init_stddev", -0.1),
        ("init_stddev", float("nan")),
        ("activation", "elu"),
        ("split", "valid"),
    ],
)
def test_bad_arguments_are_refused(argument, value):
    arguments = {"split": "train", argument: value}
    with pytest.raises(ValueError, match=f"Received: {argument}={value!r}"):
        MLP(image_data(2), **arguments)


@pytest.mark.parametrize("hidden", [(0,), (20, -1), (2.5,)])
def test_bad_hidden_layers_are_refused(hidden):
    with pytest.raises(ValueError, match=f"Received: hidden={hidden[-1]}"):
        MLP(image_data(2), "train", hidden)
