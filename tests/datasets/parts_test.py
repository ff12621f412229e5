"""A part of a split: its name, its examples, and a data set that has it."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o_tf.datasets.base import (
    SPLITS,
    ImageDataset,
    check_split,
    make_split,
    subsample,
)
from l2o_tf.datasets.parts import Part, parse_part, stratified
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.mlp import MLP


def numbered(counts, notice=None):
    """Return a data set whose images tell their places."""
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.random.default_rng(0).permutation(labels)
    images = np.arange(len(labels), dtype=np.uint16).view(np.uint8)
    split = make_split(images.reshape(-1, 1, 2, 1), labels)
    return ImageDataset("numbered", dict.fromkeys(SPLITS, split), 10, notice)


def places(split):
    return split.images.numpy().reshape(-1, 2).copy().view(np.uint16)[:, 0]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", None),
        ("anything", None),
        ("train[5%]", Part("train", 0.05, 0)),
        ("train[2.5%]", Part("train", 0.025, 0)),
        ("test[100%,seed=7]", Part("test", 1.0, 7)),
        ("meta_valid[3%, seed=-1]", Part("meta_valid", 0.03, -1)),
    ],
)
def test_a_name_says_split_fraction_and_seed(name, part):
    assert parse_part(name) == part


@pytest.mark.parametrize(
    "name", ["train[5]", "train[:5%]", "train[5%", "train[5%]x", "train[%]"]
)
def test_a_name_that_cannot_be_read_is_refused(name):
    with pytest.raises(ValueError, match=r"Received: split='train\["):
        parse_part(name)


@pytest.mark.parametrize("name", ["train[0%]", "train[100.1%]"])
def test_a_name_of_nothing_or_of_more_than_all_is_refused(name):
    with pytest.raises(ValueError, match=r"\(0.0, 1.0\]. Received: fraction="):
        parse_part(name)


@pytest.mark.parametrize("name", ["trian", "trian[5%]", 3])
def test_a_split_that_does_not_exist_is_refused(name):
    with pytest.raises(ValueError, match="must be one of 'train', .*Received"):
        check_split(name)
    with pytest.raises(ValueError, match="must be one of 'train', .*Received"):
        numbered([4]).split(name)
    assert check_split("test[5%]") == "test[5%]"


def test_five_percent_are_five_percent_of_each_class():
    dataset = numbered([200, 400, 1000])
    part = subsample(dataset, "train", 0.05, seed=0).split("train")
    assert np.bincount(part.labels).tolist() == [10, 20, 50]
    chosen = places(part)
    assert (np.diff(chosen.astype(int)) > 0).all()  # each once, in order
    whole = dataset.split("train").labels.numpy()
    np.testing.assert_array_equal(part.labels, whole[chosen])


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    fraction=st.floats(0.001, 1.0),
    seed=st.integers(0, 5),
)
def test_of_each_class_the_rounded_fraction_is_drawn_at_least_one(
    counts, fraction, seed
):
    labels = np.repeat(np.arange(len(counts)), counts)
    chosen = stratified(labels, fraction, seed)
    assert len(set(chosen)) == len(chosen)
    found = np.bincount(labels[chosen], minlength=len(counts))
    expected = [max(1, math.floor(fraction * n + 0.5)) for n in counts]
    assert found.tolist() == expected
    np.testing.assert_array_equal(chosen, stratified(labels, fraction, seed))


def test_a_seed_draws_others_and_a_larger_fraction_contains_the_smaller():
    labels = np.repeat(np.arange(3), 100)
    first, other = (set(stratified(labels, 0.2, seed)) for seed in (0, 1))
    assert first != other
    assert first < set(stratified(labels, 0.4, 0))
    # About 0.2 * 60 are in both by chance.
    assert len(first & other) < 30


def test_the_other_splits_stay_whole_and_the_notice_says_what_is_missing():
    dataset = numbered([100, 100], notice="NOT THE FULL SET.")
    part = subsample(dataset, "train", 0.05, seed=3)
    for name in SPLITS[1:]:
        assert part.split(name) is dataset.split(name)
    assert part.notice == (
        "NOT THE FULL SET. A PART OF numbered: 10 of 200 train images, seed 3."
    )
    assert part.num_classes == 10
    published = subsample(numbered([100, 100]), "test", 0.5, seed=0)
    assert published.notice == (
        "A PART OF numbered: 100 of 200 test images, seed 0."
    )
    assert subsample(dataset, "train", 1.0, seed=0) is dataset


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, math.nan, "5%"])
def test_a_fraction_that_is_none_is_refused(fraction):
    message = r"`fraction` must be .* in \(0.0, 1.0\]. Received: fraction="
    with pytest.raises(ValueError, match=message):
        subsample(numbered([4]), "train", fraction, 0)
    with pytest.raises(ValueError, match=message):
        stratified(np.zeros(4, int), fraction, 0)


def test_other_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="Received: split='trian'"):
        subsample(numbered([4]), "trian", 0.5, 0)
    with pytest.raises(ValueError, match="Received: seed=0.5"):
        subsample(numbered([4]), "train", 0.5, 0.5)


def test_the_name_of_a_part_gives_an_optimizee_the_same_examples():
    dataset = numbered([100, 100])
    for seed in (0, 3):
        named = dataset.split(f"train[5%,seed={seed}]")
        part = subsample(dataset, "train", 0.05, seed).split("train")
        np.testing.assert_array_equal(named.images, part.images)
        np.testing.assert_array_equal(named.labels, part.labels)


def test_an_optimizee_on_a_part_draws_from_it_alone():
    dataset = synthetic_images(num_train=60)
    mlp = MLP(dataset, "train[10%]", (2,), "relu", batch_size=200)
    assert mlp.split == "train[10%]"
    assert mlp.data.images.shape[0] == 6
    images, _ = mlp.sample(tf.constant([0, 1]))
    flat = (images.numpy() * 255).round().astype(np.uint8).reshape(200, -1)
    own = mlp.data.images.numpy().reshape(6, -1)
    assert {x.tobytes() for x in flat} == {x.tobytes() for x in own}
