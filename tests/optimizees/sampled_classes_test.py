"""Problems drawn by class: which classes, which images, which labels."""

import functools

import gin
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.execution import assert_same_everywhere, count_traces

from l2o_tf.core import seeds
from l2o_tf.datasets.base import SPLITS, ImageDataset, Split, make_split
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.pooled_conv import PooledConvNet
from l2o_tf.optimizees.sampled_classes import (
    CLASS_SETS,
    SampledClasses,
    class_set,
)

COUNTS = (3, 1, 7, 2, 5, 4, 6, 8, 1, 2)
"""Images of each class, unequal, in a shuffled order."""
LABELS = np.random.RandomState(0).permutation(np.repeat(range(10), COUNTS))
NETWORK = functools.partial(
    PooledConvNet, filters=(2,), kernels=(2,), strides=(1,), batch_size=16
)


def numbered(labels=LABELS):
    """Return a data set whose images tell their number."""
    numbers = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    split = make_split(np.tile(numbers, [1, 3, 3, 1]), labels)
    return ImageDataset("numbered", dict.fromkeys(SPLITS, split), 10)


DATA = numbered()


def problem(**more):
    arguments = {
        "dataset": DATA,
        "split": "train",
        "network": NETWORK,
        "classes_per_problem": 3,
    }
    return SampledClasses(**{**arguments, **more})


def fetched(p, classes, seed):
    """Return numbers and labels of the images of a minibatch."""
    batch = p.sample(seeds.make_seed(seed))
    images, labels = p.images(tf.constant(classes, tf.int32), batch)
    assert images.dtype == tf.float32
    numbers = np.round(255.0 * images.numpy()[:, 0, 0, 0]).astype(int)
    return numbers, labels.numpy()


# The two sets of classes


@settings(max_examples=40, deadline=None)
@given(
    num_classes=st.integers(1, 60),
    fraction=st.floats(0.0, 1.0),
    seed=st.integers(0, 99),
)
def test_every_class_is_in_one_set_and_not_in_the_other(
    num_classes, fraction, seed
):
    train, test = (
        class_set(name, num_classes, fraction, seed) for name in CLASS_SETS
    )
    assert sorted([*train, *test]) == list(range(num_classes))
    assert len(train) == int(np.floor(fraction * num_classes + 0.5))


@pytest.mark.parametrize(
    ("num_classes", "sizes"),
    [(10, (7, 3)), (100, (70, 30)), (1000, (700, 300))],
)
def test_70_percent_of_the_classes_are_to_train_on(num_classes, sizes):
    found = tuple(
        len(class_set(name, num_classes, 0.7, 0)) for name in CLASS_SETS
    )
    assert found == sizes


def test_the_sets_never_change_and_are_the_seeds():
    first = class_set("outer_train", 10, 0.7, 0)
    np.testing.assert_array_equal(first, [7, 1, 4, 3, 6, 2, 9])
    assert set(class_set("outer_train", 10, 0.7, 1)) != set(first)


def test_the_sets_are_the_same_on_every_split():
    for name in CLASS_SETS:
        train, valid = (
            problem(split=split, classes=name).classes
            for split in ("train", "inner_valid")
        )
        np.testing.assert_array_equal(train, valid)


@pytest.mark.parametrize("name", CLASS_SETS)
def test_the_classes_of_a_problem_are_in_its_set_each_once(name):
    p = problem(classes=name)
    allowed = set(class_set(name, 10, 0.7, 0))
    seen = set()
    for seed in range(40):
        _, classes = p.reset(seeds.make_seed(seed))
        assert classes.dtype == tf.int32
        assert len(set(classes.numpy())) == 3
        assert set(classes.numpy()) <= allowed
        seen |= set(classes.numpy())
    assert seen == allowed


def test_every_order_of_classes_is_drawn():
    p = problem(classes="outer_test", classes_per_problem=2)
    orders = {tuple(p.reset(seeds.make_seed(s))[1].numpy()) for s in range(80)}
    assert len(orders) == 6


def test_the_start_is_the_networks_and_not_the_classes():
    """Two problems on other classes start from the same params."""
    seed = seeds.make_seed(5)
    start, _ = problem().reset(seed)
    other, _ = problem(classes="outer_test").reset(seed)
    np.testing.assert_array_equal(start, other)
    own, _ = NETWORK(synthetic_images(height=3, width=3), "train").reset(
        seeds.fold_in(seed, 0)
    )
    np.testing.assert_array_equal(start, own)


# Minibatches


@pytest.mark.parametrize("classes", [(2, 8, 5), (5, 2, 8), (1, 0, 9)])
def test_a_minibatch_holds_the_drawn_classes_relabelled(classes):
    p = problem()
    seen = set()
    for seed in range(12):
        numbers, labels = fetched(p, classes, seed)
        # What an image's class is, the data set says, not the problem.
        np.testing.assert_array_equal(LABELS[numbers], np.take(classes, labels))
        seen |= set(numbers)
    # All images of the classes, and no others.
    assert seen == set(np.flatnonzero(np.isin(LABELS, classes)))


def test_random_numbers_mean_places_in_the_list_of_images():
    """An independent rendering, number by number."""
    classes = (7, 1, 4)
    batch = np.array([0, 1, 7, 8, 9, 13, 14, 2**31 - 2], np.int32)
    listed = np.concatenate([np.flatnonzero(c == LABELS) for c in classes])
    assert len(listed) == 14
    images, labels = problem().images(tf.constant(classes), tf.constant(batch))
    numbers = np.round(255.0 * images.numpy()[:, 0, 0, 0]).astype(int)
    np.testing.assert_array_equal(numbers, listed[batch % 14])
    np.testing.assert_array_equal(np.take(classes, labels), LABELS[numbers])


def test_every_image_is_as_likely():
    p = problem(network=functools.partial(NETWORK, batch_size=9000))
    numbers, labels = fetched(p, (7, 1, 4), 3)
    found = np.bincount(numbers, minlength=len(LABELS))
    found = found[np.isin(LABELS, (7, 1, 4))]
    p_each = 1 / 14
    deviation = np.sqrt(9000 * p_each * (1 - p_each))
    assert np.abs(found - 9000 * p_each).max() < 4.5 * deviation
    shares = np.bincount(labels) / 9000
    np.testing.assert_allclose(shares, [8 / 14, 1 / 14, 5 / 14], atol=0.03)


def test_only_images_of_the_split_are_used():
    shifted = Split(
        DATA.splits["train"].images + 100, tf.constant(LABELS, "int32")
    )
    data = ImageDataset("two", {**DATA.splits, "inner_valid": shifted}, 10)
    numbers, _ = fetched(
        problem(dataset=data, split="inner_valid"), (2, 7, 4), 0
    )
    assert numbers.min() >= 100


def test_the_loss_is_the_networks_on_those_images():
    p = problem(num_logits=5)
    x, classes = p.reset(seeds.make_seed(1))
    x = 10.0 * x
    batch = p.sample(seeds.make_seed(2))
    numbers, labels = fetched(p, classes, 2)
    images = DATA.splits["train"].images.numpy()[numbers] / np.float32(255.0)
    logits = p.network.logits(x, tf.constant(images)).numpy().astype("f8")
    assert logits.shape == (16, 5)
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -logarithms[np.arange(16), labels].mean()
    loss = p.loss(x, classes, batch)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    wide = p.loss(tf.cast(x, "float64"), classes, batch)
    assert wide.dtype == tf.float64
    np.testing.assert_allclose(wide, expected, rtol=1e-6)


def test_a_problem_agrees_everywhere_in_one_trace():
    p = problem()

    def first_step(start, draw):
        x, classes = p.reset(start)
        return p.loss_and_gradient(x, classes, p.sample(draw))

    one, two = seeds.make_seed(1), seeds.make_seed(2)
    assert_same_everywhere(first_step, one, two, rtol=1e-4, atol=1e-5)
    assert count_traces(first_step, (one, two), (two, one)) == 1


def test_the_network_is_anything_that_classifies():
    p = problem(network=functools.partial(MLP, hidden=(3,)), num_logits=4)
    assert isinstance(p.network, MLP)
    assert p.layout.shapes == ((9, 3), (3,), (3, 4), (4,))
    assert not p.convolves
    assert p.batch_size == 128


def test_metzs_network_keeps_its_coordinates_for_two_classes():
    data = synthetic_images(
        height=32, width=32, channels=3, num_classes=10, num_train=10
    )
    p = SampledClasses(
        data, "train", PooledConvNet, classes_per_problem=2, num_logits=10
    )
    assert p.layout.size == 19_722
    assert p.convolves


def test_split_and_notice_are_the_datas():
    data = ImageDataset("part", DATA.splits, 10, notice="NOT ALL OF IT")
    p = problem(dataset=data, split="meta_valid")
    assert (p.split, p.notice) == ("meta_valid", "NOT ALL OF IT")


def test_gin_names_the_network_without_parentheses():
    gin.parse_config(
        """
        SampledClasses.dataset = @synthetic_images()
        synthetic_images.num_classes = 10
        SampledClasses.split = 'test'
        SampledClasses.network = @PooledConvNet
        SampledClasses.classes_per_problem = 2
        PooledConvNet.filters = (3,)
        PooledConvNet.kernels = (2,)
        PooledConvNet.strides = (1,)
        """
    )
    p = gin.get_configurable("l2o_tf.optimizees.SampledClasses")()
    assert p.network.filters == (3,)
    assert p.layout.shapes == ((2, 2, 1, 3), (3,), (3, 2), (2,))


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"classes": "train"}, "classes='train'"),
        ({"classes_per_problem": 0}, "classes_per_problem=0"),
        ({"classes_per_problem": 8}, "classes_per_problem=8"),
        (
            {"classes": "outer_test", "classes_per_problem": 4},
            "classes_per_problem=4",
        ),
        ({"outer_train_fraction": 1.1}, "outer_train_fraction=1.1"),
        ({"outer_train_fraction": 0.1}, "classes_per_problem=3"),
        ({"partition_seed": 0.5}, "seed=0.5"),
        ({"num_logits": 2}, "num_logits=2"),
        ({"num_logits": 3.0}, "num_logits=3.0"),
        ({"split": "valid"}, "split='valid'"),
        ({"network": NETWORK(DATA, "train")}, "network=<"),
        ({"network": lambda data, split: data}, r"network\(...\)=Image"),
        (
            {"network": functools.partial(MLP, objective_size=1)},
            "a network with objective_size=1",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        problem(**arguments)


def test_a_class_without_images_in_the_split_is_refused():
    data = numbered(np.where(LABELS == 4, 7, LABELS))
    with pytest.raises(ValueError, match=r"none of the classes \[4\]"):
        problem(dataset=data)
    # It is of no matter to the other set.
    assert problem(dataset=data, classes="outer_test").batch_size == 16
