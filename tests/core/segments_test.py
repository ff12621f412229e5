"""Sums over tensors and their transpose against one tensor at a time."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.execution import assert_same_everywhere

from l2o_tf.core.layout import Layout
from l2o_tf.core.segments import SMALLEST_SLICE, Segments, segments

ROWS = 3
# Scalars, the neighbours of powers of two, and both sides of SMALLEST_SLICE.
SIZES = st.one_of(
    st.integers(1, 40),
    st.sampled_from(
        [
            1,
            63,
            64,
            65,
            127,
            128,
            129,
            SMALLEST_SLICE - 1,
            SMALLEST_SLICE,
            SMALLEST_SLICE + 1,
            2 * SMALLEST_SLICE,
        ]
    ),
)
each_layout = given(st.lists(SIZES, min_size=1, max_size=9))
quickly = settings(deadline=None, max_examples=15)
MIXED = [
    1,
    SMALLEST_SLICE,
    7,
    8,
    SMALLEST_SLICE + 3,
    1,
    9,
    SMALLEST_SLICE - 1,
    64,
    65,
]


def layout_of(sizes):
    return Layout.from_shapes({str(i): (n,) for i, n in enumerate(sizes)})


def parts_of(sizes):
    return Segments(layout_of(sizes))


def drawn(columns, rows=ROWS, dtype="float64"):
    return np.random.RandomState(columns).randn(rows, columns).astype(dtype)


def cut(columns, sizes):
    return np.split(columns, np.cumsum(sizes)[:-1], axis=1)


def plain_sum(columns, sizes):
    """Add up by cutting: what TensorFlow differentiates by itself."""
    pieces = tf.split(columns, sizes, axis=1)
    return tf.stack([tf.reduce_sum(p, axis=1) for p in pieces], axis=1)


def plain_mean(columns, sizes):
    pieces = tf.split(columns, sizes, axis=1)
    return tf.stack([tf.reduce_mean(p, axis=1) for p in pieces], axis=1)


def plain_spread(columns, sizes):
    pieces = [
        tf.tile(columns[:, i : i + 1], [1, n]) for i, n in enumerate(sizes)
    ]
    return tf.concat(pieces, axis=1)


PLAIN = {"sum": plain_sum, "mean": plain_mean, "spread": plain_spread}
each_map = pytest.mark.parametrize("name", PLAIN)


def columns_for(name, sizes, **kwargs):
    return drawn(len(sizes) if name == "spread" else sum(sizes), **kwargs)


@quickly
@each_layout
def test_sum_and_mean_are_numpys_of_each_tensor(sizes):
    columns = drawn(sum(sizes))
    pieces = cut(columns, sizes)
    parts = parts_of(sizes)
    for function, reduce in ((parts.sum, np.sum), (parts.mean, np.mean)):
        expected = np.stack([reduce(p, axis=1) for p in pieces], axis=1)
        actual = function(tf.constant(columns))
        assert actual.shape == (ROWS, len(sizes))
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@quickly
@each_layout
def test_spread_repeats_each_column_exactly(sizes):
    columns = drawn(len(sizes), dtype="float32")
    spread = parts_of(sizes).spread(tf.constant(columns))
    assert spread.dtype == tf.float32
    np.testing.assert_array_equal(spread, np.repeat(columns, sizes, axis=1))


@quickly
@each_layout
def test_the_derivatives_are_those_of_cutting(sizes):
    parts = parts_of(sizes)
    for name, plain in PLAIN.items():
        x = tf.constant(columns_for(name, sizes))
        # A function with a second derivative: sum w y^3.
        gradients = []
        for function in (
            getattr(parts, name),
            functools.partial(plain, sizes=sizes),
        ):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
                loss = tf.reduce_sum(drawn(y.shape[1]) * y**3)
            gradients.append(tape.gradient(loss, x))
        np.testing.assert_allclose(*gradients, rtol=1e-10, atol=1e-10)


@quickly
@each_layout
def test_sum_and_spread_are_each_others_transpose(sizes):
    # <sum x, y> = <x, spread y>
    parts = parts_of(sizes)
    x, y = drawn(sum(sizes)), drawn(len(sizes))
    left = np.sum(parts.sum(tf.constant(x)) * y)
    right = np.sum(x * parts.spread(tf.constant(y)))
    np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-10)


@each_map
def test_second_derivatives_are_those_of_cutting(name):
    parts, plain = parts_of(MIXED), PLAIN[name]
    x = tf.constant(columns_for(name, MIXED))
    direction = tf.constant(columns_for(name, MIXED)[::-1])

    def curvature(function):
        """The Hessian of sum y^3 along a direction."""
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                loss = tf.reduce_sum(function(x) ** 3)
            slope = tf.reduce_sum(inner.gradient(loss, x) * direction)
        return outer.gradient(slope, x)

    expected = curvature(lambda x: plain(x, MIXED))
    actual = curvature(getattr(parts, name))
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


@each_map
def test_no_derivative_adds_up_in_an_order_of_its_own(name):
    parts = parts_of(MIXED)

    def derivatives(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                loss = tf.reduce_sum(getattr(parts, name)(x) ** 3)
            first = inner.gradient(loss, x)
        return first, outer.gradient(first, x)

    x = tf.constant(columns_for(name, MIXED))
    graph = tf.function(derivatives, autograph=False)
    kinds = {
        op.type for op in graph.get_concrete_function(x).graph.get_operations()
    }
    assert "GatherV2" in kinds
    assert not [k for k in kinds if "Scatter" in k or "Segment" in k]


def test_five_hundred_tensors_are_summed_and_spread():
    sizes = np.random.RandomState(0).randint(1, 40, 500).tolist()
    sizes[::50] = [SMALLEST_SLICE + i for i in range(10)]
    parts = parts_of(sizes)
    columns = drawn(sum(sizes), rows=2)
    expected = np.stack([p.sum(axis=1) for p in cut(columns, sizes)], axis=1)
    np.testing.assert_allclose(
        parts.sum(tf.constant(columns)), expected, rtol=1e-11, atol=1e-12
    )
    few = drawn(500, rows=2)
    np.testing.assert_array_equal(
        parts.spread(tf.constant(few)), np.repeat(few, sizes, axis=1)
    )


@each_map
def test_values_and_gradients_agree_everywhere(name):
    parts = parts_of(MIXED)

    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = getattr(parts, name)(x)
            loss = tf.reduce_sum(y**2)
        return y, tape.gradient(loss, x)

    assert_same_everywhere(
        both, columns_for(name, MIXED, dtype="float32"), rtol=1e-5, atol=1e-6
    )


@each_map
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_is_kept(name, dtype):
    columns = tf.constant(columns_for(name, MIXED, dtype=dtype))
    with tf.GradientTape() as tape:
        tape.watch(columns)
        result = getattr(parts_of(MIXED), name)(columns)
    assert result.dtype == dtype
    assert tape.gradient(result, columns).dtype == dtype


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("tensor", range(len(MIXED)))
def test_a_number_that_is_not_finite_stays_in_its_tensor(tensor, bad):
    parts, others = parts_of(MIXED), np.arange(len(MIXED)) != tensor
    columns = np.ones([1, sum(MIXED)], "f4")
    columns[0, sum(MIXED[:tensor])] = bad
    for reduced in (parts.sum, parts.mean):
        result = reduced(tf.constant(columns)).numpy()[0]
        assert np.isfinite(result).tolist() == others.tolist()
    few = np.ones([1, len(MIXED)], "f4")
    few[0, tensor] = bad
    spread = parts.spread(tf.constant(few)).numpy()
    inside = np.repeat(~others, MIXED)
    assert (np.isfinite(spread[0]) == ~inside).all()


@pytest.mark.parametrize("tensor", [0, 1, 7])
def test_a_cotangent_that_is_not_finite_stays_in_its_tensor(tensor):
    parts = parts_of(MIXED)
    columns = tf.ones([1, sum(MIXED)])
    with tf.GradientTape() as tape:
        tape.watch(columns)
        result = parts.sum(columns)
    cotangent = np.ones([1, len(MIXED)], "f4")
    cotangent[0, tensor] = np.nan
    gradient = tape.gradient(result, columns, tf.constant(cotangent))
    expected = np.repeat(np.arange(len(MIXED)) == tensor, MIXED)
    np.testing.assert_array_equal(np.isnan(gradient[0]), expected)


def test_a_layouts_segments_are_built_once():
    assert segments(layout_of(MIXED)) is segments(layout_of(MIXED))
    assert segments(layout_of([3])) is not segments(layout_of([4]))


def test_a_large_tensor_has_no_indices_and_small_ones_are_padded_to_twice():
    # What is gathered is at most twice the small coordinates, whatever they
    # are: the cost promised.
    parts = parts_of(MIXED)
    small = [n for n in MIXED if n < SMALLEST_SLICE]
    gathered = sum(indices.size for indices, _ in parts._groups)
    assert sum(small) <= gathered <= 2 * sum(small)
