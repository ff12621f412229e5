"""What every classifier of images shares, on the smallest one."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from support.classifiers import assert_normal
from support.execution import assert_same_everywhere

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.datasets.base import ImageDataset, Split
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.image_classifier import ImageClassifier
from l2o_tf.optimizees.mlp import MLP

DATA = synthetic_images(height=2, width=3, channels=2, num_classes=4)


class Linear(ImageClassifier):
    """logits = image W + b."""

    def __init__(self, dataset=DATA, split="train", size=5, stddev=0.1, **more):
        super().__init__(dataset, split, size, stddev, **more)
        self.layout = Layout(("w", "b"), ((12, 4), (4,)))

    def logits(self, params, images):
        w, b = self.layout.split(params)
        return tf.reshape(images, [images.shape[0], -1]) @ w + b


def test_a_classifier_without_logits_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        ImageClassifier(DATA, "train", 5, 0.1)


def test_the_image_and_the_classes_are_the_datas():
    linear = Linear()
    assert linear.image_shape == (2, 3, 2)
    assert linear.num_classes == 4
    images, labels = linear.sample(seeds.make_seed(0))
    assert (images.shape, labels.shape) == ((5, 2, 3, 2), (5,))


def test_all_start_from_the_normal_unless_named():
    linear = Linear(stddev=0.3)
    drawn, constants = linear.reset(seeds.make_seed(4))
    assert constants == ()
    expected = seeds.normal(seeds.make_seed(4), [52], 0.3)
    np.testing.assert_array_equal(drawn, expected)
    linear.constant_starts = {"b": 1.5}
    start, _ = linear.reset(seeds.make_seed(4))
    np.testing.assert_array_equal(start[48:], 1.5)
    np.testing.assert_array_equal(start[:48], drawn[:48])
    many = [linear.reset(seeds.make_seed(s))[0][:48] for s in range(20)]
    assert_normal(np.concatenate(many), 0.3)


@pytest.mark.parametrize(
    ("initializer", "variance", "limit"),
    [
        ("glorot_uniform", 2 / (12 + 4), 3**0.5),
        ("glorot_normal", 2 / (12 + 4), None),
        ("he_uniform", 2 / 12, 3**0.5),
        ("he_normal", 2 / 12, None),
        ("lecun_uniform", 1 / 12, 3**0.5),
        ("lecun_normal", 1 / 12, None),
    ],
)
def test_weights_start_by_their_fans_and_biases_from_0(
    initializer, variance, limit
):
    linear = Linear(initializer=initializer)
    starts = [linear.reset(seeds.make_seed(s))[0].numpy() for s in range(80)]
    biases = np.stack(starts)[:, 48:]
    np.testing.assert_array_equal(biases, np.zeros((80, 4)))
    weights = np.concatenate([start[:48] for start in starts])
    # The relative standard error of a standard deviation is 1.1 % at most.
    assert weights.std() == pytest.approx(variance**0.5, rel=0.05)
    assert abs(weights.mean()) < 4.5 * (variance / weights.size) ** 0.5
    if limit:
        assert np.abs(weights).max() <= limit * variance**0.5 * (1 + 1e-6)
        assert np.abs(weights).max() > 0.99 * limit * variance**0.5


def test_a_constant_start_is_kept_whatever_the_initializer():
    linear = Linear(initializer="he_normal")
    linear.constant_starts = {"b": 1.5}
    start, _ = linear.reset(seeds.make_seed(4))
    np.testing.assert_array_equal(start[48:], 1.5)
    assert np.abs(start[:48]).min() > 0.0


def test_a_start_by_fans_agrees_everywhere():
    linear = Linear(initializer="glorot_uniform")
    assert_same_everywhere(lambda s: linear.reset(s)[0], seeds.make_seed(1))


def test_constant_starts_are_each_classifiers_own():
    one, other = Linear(), Linear()
    one.constant_starts["b"] = 1.0
    assert other.constant_starts == {}


def test_the_loss_is_the_mean_cross_entropy():
    linear = Linear(stddev=1.0)
    params, constants = linear.reset(seeds.make_seed(0))
    images, labels = linear.sample(seeds.make_seed(1))
    logits = linear.logits(params, images).numpy().astype("f8")
    chosen = logits[np.arange(5), labels]
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen)
    loss = linear.loss(params, constants, (images, labels))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_the_split_and_its_notice_are_passed_on():
    partial = ImageDataset("part", DATA.splits, 4, notice="NOT ALL OF IT")
    linear = Linear(partial, "test")
    assert (linear.split, linear.notice) == ("test", "NOT ALL OF IT")
    assert linear.data is partial.splits["test"]


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"split": "valid"}, "split='valid'"),
        ({"size": 0}, "batch_size=0"),
        ({"stddev": float("inf")}, "init_stddev=inf"),
        ({"initializer": "glorot"}, "initializer='glorot'"),
        ({"initializer": None}, "initializer=None"),
    ],
)
def test_bad_arguments_are_refused(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        Linear(**arguments)


# The batch on which an objective is measured apart


@functools.cache
def numbered(count=40):
    """Return a data set of images that tell their number."""
    numbers = tf.range(count)
    images = tf.cast(
        tf.tile(numbers[:, None, None, None], [1, 2, 3, 2]), tf.uint8
    )
    split = Split(images, tf.cast(numbers % 4, tf.int32))
    return ImageDataset("numbered", dict.fromkeys(DATA.splits, split), 4)


def numbers_of(images):
    return np.round(255.0 * images[:, 0, 0, 0]).astype(int)


@pytest.mark.parametrize("size", [1, 13, 40])
def test_an_objective_has_that_many_different_images(size):
    linear = Linear(numbered(), objective_size=size)
    images, labels = linear.sample_objective(seeds.make_seed(0))
    assert (images.shape, labels.shape) == ((size, 2, 3, 2), (size,))
    numbers = numbers_of(images)
    assert len(set(numbers)) == size
    assert set(numbers) <= set(range(40))
    np.testing.assert_array_equal(labels, numbers % 4)
    # A minibatch is as large as before.
    assert linear.sample(seeds.make_seed(0))[0].shape == (5, 2, 3, 2)


def test_an_objectives_images_are_its_seeds():
    linear = Linear(numbered(), objective_size=20)
    first, again, other = (
        numbers_of(linear.sample_objective(seeds.make_seed(s))[0])
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_every_image_is_as_likely_in_an_objective():
    linear = Linear(numbered(), objective_size=10)
    count = np.zeros(40)
    for s in range(300):
        images, _ = linear.sample_objective(seeds.make_seed(s))
        count[numbers_of(images)] += 1
    # 300 draws with probability 1/4 each.
    assert np.abs(count - 75).max() < 4.5 * np.sqrt(300 * 0.25 * 0.75)


def test_without_a_size_the_objective_is_one_more_minibatch():
    linear = Linear(numbered())
    assert linear.objective_size is None
    for a, b in zip(
        linear.sample_objective(seeds.make_seed(7)),
        linear.sample(seeds.make_seed(7)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_an_objective_is_the_same_everywhere():
    linear = Linear(numbered(), objective_size=7)
    assert_same_everywhere(
        linear.sample_objective, seeds.make_seed(5), rtol=0.0
    )


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "all"])
def test_an_objectives_size_is_a_positive_int(size):
    with pytest.raises(ValueError, match=f"Received: objective_size={size!r}"):
        Linear(objective_size=size)


def test_an_objective_larger_than_the_split_is_refused():
    with pytest.raises(ValueError, match="Received: ") as caught:
        Linear(numbered(), "test", objective_size=41)
    assert str(caught.value) == (
        "The split 'test' has 40 images. Received: objective_size=41."
    )


def test_an_mlp_has_an_objectives_size_too():
    problem = MLP(numbered(), "train", (2,), objective_size=9)
    images, _ = problem.sample_objective(seeds.make_seed(0))
    assert images.shape[0] == 9
