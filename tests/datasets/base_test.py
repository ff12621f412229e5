"""The contract of a data set, and the minibatch loader in all three modes."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o_tf.core import seeds
from l2o_tf.datasets.base import (
    SPLITS,
    ImageDataset,
    Split,
    gather,
    make_split,
)


def some_split(n=300, shape=(4, 4, 1), classes=3):
    images = np.arange(n * np.prod(shape)).reshape(n, *shape) % 256
    return make_split(images.astype(np.uint8), np.arange(n) % classes)


def four(**changes):
    return {**dict.fromkeys(SPLITS, some_split()), **changes}


def test_splits_are_the_four_named_ones():
    assert SPLITS == ("train", "inner_valid", "meta_valid", "test")


def test_split_returns_the_very_tensors():
    splits = {name: some_split() for name in SPLITS}
    dataset = ImageDataset("toy", splits, 3)
    for name in SPLITS:
        assert dataset.split(name) is splits[name]
    assert dataset.notice is None


def test_make_split_keeps_pixels_and_narrows_labels():
    split = make_split(
        np.full((2, 1, 1, 1), 255, np.uint8), np.array([1, 2], np.int64)
    )
    assert split.images.dtype == tf.uint8
    assert split.labels.dtype == tf.int32
    np.testing.assert_array_equal(split.images, [[[[255]]], [[[255]]]])
    np.testing.assert_array_equal(split.labels, [1, 2])


def test_unknown_split_name_is_refused():
    with pytest.raises(ValueError, match="Received: split='valid'"):
        ImageDataset("toy", four(), 3).split("valid")


@pytest.mark.parametrize("missing", SPLITS)
def test_missing_split_is_refused(missing):
    splits = four()
    del splits[missing]
    with pytest.raises(ValueError, match="Received: splits=.* of 'toy'"):
        ImageDataset("toy", splits, 3)


def test_additional_split_is_refused():
    with pytest.raises(ValueError, match="'extra'.* of 'toy'"):
        ImageDataset("toy", four(extra=some_split()), 3)


def test_splits_of_different_image_shapes_are_refused():
    splits = four(test=some_split(shape=(4, 5, 1)))
    with pytest.raises(ValueError, match=r"Received: shapes=.*\(4, 5, 1\)"):
        ImageDataset("toy", splits, 3)


@pytest.mark.parametrize("num_classes", [0, -1, 2.0, True])
def test_wrong_num_classes_is_refused(num_classes):
    with pytest.raises(ValueError, match="Received: num_classes="):
        ImageDataset("toy", four(), num_classes)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (tf.zeros([3, 2, 2, 1]), [0, 1, 2], "Received: dtype=float32"),
        (tf.zeros([3, 2, 2], tf.uint8), [0, 1, 2], r"shape=\(3, 2, 2\)"),
        (tf.zeros([3, 2, 2, 1], tf.uint8), [0, 1], r"shape=\(2,\) in 'test'"),
        (tf.zeros([3, 2, 2, 1], tf.uint8), [0.0, 1, 2], "dtype=float32.*test"),
        (tf.zeros([2, 2, 2, 1], tf.uint8), [0, 3], "labels from 0 to 3"),
        (tf.zeros([2, 2, 2, 1], tf.uint8), [-1, 0], "labels from -1 to 0"),
        (
            tf.zeros([0, 2, 2, 1], tf.uint8),
            tf.zeros([0], tf.int32),
            r"Received: shape=\(0, 2, 2, 1\)",
        ),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(images, labels, message):
    split = Split(images, tf.convert_to_tensor(labels))
    with pytest.raises(ValueError, match=message):
        ImageDataset("toy", four(test=split), 3)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_gather_gives_the_float32_product_bit_for_bit(mode):
    images = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    split = make_split(images, np.arange(256) % 10)

    def fetch(indices):
        return gather(split, indices)

    if mode != "eager":
        fetch = tf.function(fetch, jit_compile=mode == "xla")
    order = np.arange(255, -1, -1, dtype=np.int32)
    batch, labels = fetch(tf.constant(order))
    expected = order.astype(np.float32) * np.float32(1.0 / 255.0)
    assert batch.dtype == tf.float32
    np.testing.assert_array_equal(batch[:, 0, 0, 0], expected)
    assert labels.dtype == tf.int32
    np.testing.assert_array_equal(labels, order % 10)
    assert float(tf.reduce_max(batch)) == 1.0


@settings(max_examples=20, deadline=None)
@given(indices=st.lists(st.integers(0, 299), min_size=1, max_size=8))
def test_gather_follows_the_indices_with_repetition(indices):
    split = some_split()
    batch, labels = gather(split, tf.constant(indices, tf.int32))
    np.testing.assert_array_equal(
        np.round(batch.numpy() * 255), split.images.numpy()[indices]
    )
    np.testing.assert_array_equal(labels, np.array(indices) % 3)


def looped(split, jit_compile):
    """Sum the minibatches of a loop, as `unroll` visits them."""

    @tf.function(jit_compile=jit_compile)
    def total(seed):
        def body(i, acc):
            n = split.images.shape[0]
            indices = seeds.integers(seeds.fold_in(seed, i), [8], n)
            images, labels = gather(split, indices)
            return i + 1, acc + tf.reduce_sum(images[:, 0, 0, 0]) + tf.cast(
                tf.reduce_sum(labels), tf.float32
            )

        return tf.while_loop(
            lambda i, acc: i < 3, body, (0, 0.0), maximum_iterations=3
        )[1]

    return total


def test_loop_of_minibatches_is_the_same_in_graph_and_xla():
    split, seed = some_split(), seeds.make_seed(7)
    graph = float(looped(split, False)(seed))
    xla = float(looped(split, True)(seed))
    assert graph == pytest.approx(xla, rel=1e-6)
    assert graph > 0


def largest_constant(graph_def):
    nodes = list(graph_def.node)
    for function in graph_def.library.function:
        nodes.extend(function.node_def)
    sizes = [
        np.prod([d.size for d in n.attr["value"].tensor.tensor_shape.dim])
        for n in nodes
        if n.op == "Const"
    ]
    return max(sizes)


def test_dataset_is_an_argument_and_not_a_constant_of_the_graph():
    split = some_split(n=300)
    concrete = looped(split, False).get_concrete_function(seeds.make_seed(0))
    captured = [id(outer) for outer, _ in concrete.graph.captures]
    assert id(split.images) in captured
    assert id(split.labels) in captured
    assert largest_constant(concrete.graph.as_graph_def()) < 300


def test_dataset_is_an_argument_and_not_a_constant_under_xla():
    split = some_split(n=300)
    text = looped(split, True).experimental_get_compiler_ir(seeds.make_seed(0))(
        stage="hlo"
    )
    assert "u8[300,4,4,1]" in text
    signature = text.split("entry_computation_layout=")[1].split("->")[0]
    assert "u8[300,4,4,1]" in signature
    constants = [line for line in text.splitlines() if " constant(" in line]
    assert constants
    assert not any("u8[" in line or "[300" in line for line in constants)
