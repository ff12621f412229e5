"""Named tensors in one vector: there and back, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.execution import assert_same_everywhere

from l2o_tf.core.layout import Layout

SHAPES = st.lists(
    st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=5
)
LAYOUT = Layout(("w", "b", "c"), ((2, 3), (3,), ()))


def layout_of(shapes):
    return Layout(tuple(f"t{i}" for i in range(len(shapes))), tuple(shapes))


@settings(deadline=None)  # the first call of an operation is slow
@given(SHAPES)
def test_flatten_is_the_inverse_of_split(shapes):
    layout = layout_of(shapes)
    vector = np.arange(layout.size, dtype="f4")
    tensors = layout.split(tf.constant(vector))
    assert tuple(tuple(t.shape) for t in tensors) == layout.shapes
    np.testing.assert_array_equal(layout.flatten(tensors), vector)


@settings(deadline=None)
@given(SHAPES)
def test_a_tensor_lies_row_major_from_its_offset(shapes):
    layout = layout_of(shapes)
    vector = np.arange(layout.size, dtype="f4")
    tensors = layout.split(tf.constant(vector))
    for tensor, offset, size in zip(
        tensors, layout.offsets, layout.sizes, strict=True
    ):
        np.testing.assert_array_equal(
            tensor.numpy().ravel(), vector[offset : offset + size]
        )


def test_sizes_and_offsets_of_a_matrix_a_vector_and_a_scalar():
    assert LAYOUT.sizes == (6, 3, 1)
    assert LAYOUT.offsets == (0, 6, 9)
    assert LAYOUT.size == 10


def test_from_shapes_keeps_the_order_of_the_mapping():
    built = Layout.from_shapes({"w": [2, 3], "b": tf.TensorShape([3]), "c": ()})
    assert built == LAYOUT
    assert hash(built) == hash(LAYOUT)


def test_split_and_flatten_are_the_same_everywhere():
    def double(vector):
        return LAYOUT.flatten([2.0 * t for t in LAYOUT.split(vector)])

    vector = np.random.RandomState(0).randn(10).astype("f4")
    result = assert_same_everywhere(double, vector, rtol=0.0)
    np.testing.assert_array_equal(result, 2.0 * vector)


def test_a_vector_of_unknown_size_is_split():
    sizes = []

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def split(vector):
        sizes.append(vector.shape[0])
        return LAYOUT.split(vector)

    _, b, c = split(tf.range(10, dtype=tf.float32))
    assert sizes == [None]
    np.testing.assert_array_equal(b, [6.0, 7.0, 8.0])
    assert c.numpy() == 9.0


@pytest.mark.parametrize("shape", [(9,), (11,), (1, 10), ()])
def test_split_refuses_another_size(shape):
    received = tf.TensorShape(shape)
    with pytest.raises(ValueError, match="Received: ") as caught:
        LAYOUT.split(tf.zeros(shape))
    assert str(caught.value) == (
        "Expected a vector of 10 coordinates (w, b, c). "
        f"Received: shape={received}."
    )


@pytest.mark.parametrize(
    "shapes", [((3, 2), (3,), ()), ((2, 3), (3,)), ((6,), (3,), ())]
)
def test_flatten_refuses_other_shapes(shapes):
    with pytest.raises(ValueError, match="Received: ") as caught:
        LAYOUT.flatten([tf.zeros(shape) for shape in shapes])
    assert str(caught.value) == (
        f"Expected tensors of shapes {LAYOUT.shapes}. "
        f"Received: shapes={shapes}."
    )


@pytest.mark.parametrize(
    ("names", "shapes", "message"),
    [
        ((), (), r"at least one tensor. Received: names=\(\)"),
        (("a",), ((1,), (2,)), r"Received: names=\('a',\), shapes="),
        (("a", "a"), ((1,), (2,)), r"unique. Received: names=\('a', 'a'\)"),
        (("a",), ((0,),), r"Received: shape=\(0,\) of 'a'"),
        (("a",), ((2, -1),), r"Received: shape=\(2, -1\) of 'a'"),
        (("a",), ((2.0,),), r"Received: shape=\(2.0,\) of 'a'"),
        (("a",), ((None,),), r"Received: shape=\(None,\) of 'a'"),
    ],
)
def test_a_layout_that_describes_nothing_is_refused(names, shapes, message):
    with pytest.raises(ValueError, match=message):
        Layout(names, shapes)
