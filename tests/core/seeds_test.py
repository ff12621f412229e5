"""Stateless randomness: the same numbers everywhere, of the right law."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.execution import assert_same_everywhere

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled

MANY = 100_000


def draw(kind, seed, shape):
    """Draw from one of the four laws with arguments away from the defaults."""
    return {
        "integers": lambda: seeds.integers(seed, shape, 55_000),
        "uniform": lambda: seeds.uniform(seed, shape, -2.0, 3.0),
        "normal": lambda: seeds.normal(seed, shape, 0.5),
        "truncated_normal": lambda: seeds.truncated_normal(seed, shape, 0.5),
    }[kind]()


def kolmogorov_smirnov(sample, distribution):
    """Return sqrt(n) times the largest distance to a distribution function."""
    sample = np.sort(np.asarray(sample, np.float64).ravel())
    n = sample.size
    expected = distribution(sample)
    above = np.arange(1, n + 1) / n - expected
    below = expected - np.arange(n) / n
    return math.sqrt(n) * max(above.max(), below.max())


def normal_distribution(x):
    return 0.5 + 0.5 * np.vectorize(math.erf)(x / math.sqrt(2.0))


# P(sqrt(n) D > 1.95) = 0.001 for the Kolmogorov distribution.
KS_BOUND = 1.95


@pytest.mark.parametrize("seed", [0, 1, -(2**31), 2**31 - 1])
def test_integers_and_uniform_have_the_same_bits_everywhere(seed):
    def numbers(seed):
        return (
            seeds.integers(seed, [1000], 55_000),
            seeds.uniform(seed, [1000]),
            seeds.uniform(seed, [1000], -1.0, 1.0),
        )

    assert_same_everywhere(numbers, seeds.make_seed(seed), rtol=0.0)


def test_uniform_on_any_interval_differs_by_one_rounding_at_most():
    # XLA fuses the product and the sum into one rounding.
    assert_same_everywhere(
        lambda s: draw("uniform", s, [1000]),
        seeds.make_seed(5),
        rtol=0.0,
        atol=2.0**-23,
    )


@pytest.mark.parametrize("kind", ["normal", "truncated_normal"])
def test_normal_numbers_agree_everywhere(kind):
    # erfinv is another program under XLA.
    assert_same_everywhere(
        lambda s: draw(kind, s, [1000]),
        seeds.make_seed(5),
        rtol=1e-5,
        atol=1e-6,
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**31 - 1))
def test_a_child_has_the_same_bits_in_a_graph(seed, number):
    fold = tf.function(seeds.fold_in, autograph=False)
    root = seeds.make_seed(seed)
    np.testing.assert_array_equal(
        fold(root, tf.constant(number)), seeds.fold_in(root, number)
    )


def test_a_child_has_the_same_bits_under_xla():
    assert_same_everywhere(
        seeds.fold_in, seeds.make_seed(11), np.int32(7), rtol=0.0
    )


def test_the_numbers_of_a_seed_never_change():
    # Results of runs depend on them: another generator must be noticed.
    seed = seeds.make_seed(42)
    np.testing.assert_array_equal(seed, [0, 42])
    child = seeds.fold_in(seed, 7)
    np.testing.assert_array_equal(child, [362676774, 7])
    grandchild = seeds.fold_in(child, 7)
    np.testing.assert_array_equal(grandchild, [-403617871, 7])
    np.testing.assert_array_equal(
        seeds.integers(seed, [6], 1000), [774, 332, 656, 308, 826, 833]
    )
    np.testing.assert_array_equal(
        seeds.uniform(seed, [5]) * 2.0**24,
        [3933261, 11098841, 3721153, 2122233, 11011493],
    )
    np.testing.assert_allclose(
        seeds.normal(seed, [5]),
        [-0.72430056, 0.41667646, -0.76613486, -1.1431174, 0.40248415],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        seeds.truncated_normal(seed, [5]),
        [-0.6854701, 0.39666367, -0.72424948, -1.0647719, 0.383223],
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    "kind", ["integers", "uniform", "normal", "truncated_normal"]
)
def test_same_seed_same_numbers_other_seed_others(kind):
    first, again, other = (
        draw(kind, seeds.make_seed(s), [200]).numpy() for s in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.95


def test_children_of_a_seed_differ():
    root = seeds.make_seed(9)
    children = {tuple(seeds.fold_in(root, i).numpy()) for i in range(300)}
    assert len(children | {tuple(root.numpy())}) == 301


def test_a_child_of_one_seed_is_not_the_same_child_of_another():
    children = {
        tuple(seeds.fold_in(seeds.make_seed(s), 1).numpy()) for s in range(300)
    }
    assert len(children) == 300


def test_siblings_are_not_correlated():
    root = seeds.make_seed(2)
    a, b = (
        seeds.normal(seeds.fold_in(root, i), [MANY]).numpy() for i in range(2)
    )
    # The standard error of a correlation is 1/sqrt(n).
    assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / math.sqrt(MANY)


def test_uniform_is_uniform_inside_its_ends():
    x = seeds.uniform(seeds.make_seed(1), [MANY], -2.0, 3.0).numpy()
    assert x.dtype == np.float32
    assert -2.0 <= x.min() < -1.999
    assert 2.999 < x.max() <= 3.0
    assert kolmogorov_smirnov(x, lambda x: (x + 2.0) / 5.0) < KS_BOUND


def test_uniform_leaves_out_zero_and_one():
    x = seeds.uniform(seeds.make_seed(1), [2**20]).numpy()
    assert x.min() >= 2.0**-24
    assert x.max() <= 1.0 - 2.0**-24
    # All odd multiples of 2**-24: the grid is symmetric about 1/2.
    np.testing.assert_array_equal((x * 2.0**24) % 2, np.ones_like(x))


def test_integers_are_uniform():
    bins = 50
    x = seeds.integers(seeds.make_seed(1), [MANY], bins).numpy()
    assert x.dtype == np.int32
    counts = np.bincount(x, minlength=bins)
    assert counts.size == bins
    # Chi-squared: mean and variance 49 and 98.
    expected = MANY / bins
    statistic = np.sum((counts - expected) ** 2) / expected
    assert abs(statistic - (bins - 1)) < 4.5 * math.sqrt(2 * (bins - 1))


def test_normal_is_normal():
    x = seeds.normal(seeds.make_seed(1), [MANY], 0.5).numpy() / 0.5
    assert x.dtype == np.float32
    assert kolmogorov_smirnov(x, normal_distribution) < KS_BOUND
    # Standard errors of the first four moments: 1, sqrt(2), sqrt(15),
    # sqrt(96) over sqrt(n).
    for power, moment, error in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        difference = abs(np.mean(x.astype(np.float64) ** power) - moment)
        assert difference < 4.5 * math.sqrt(error / MANY), power


def test_normal_numbers_are_finite_to_the_last_point_of_the_grid():
    ends = tf.constant([1.0, -1.0]) * (1.0 - 2.0**-23)
    bound = math.sqrt(2.0) * tf.math.erfinv(ends).numpy()
    np.testing.assert_allclose(bound, [5.29, -5.29], atol=0.01)
    x = seeds.normal(seeds.make_seed(3), [2**20]).numpy()
    assert np.abs(x).max() <= 5.3


def test_truncated_normal_is_the_conditioned_normal():
    x = seeds.truncated_normal(seeds.make_seed(1), [MANY], 0.5).numpy() / 0.5
    assert np.abs(x).max() <= 2.0
    assert np.abs(x).max() > 1.999
    tail = normal_distribution(np.float64(-2.0))
    assert (
        kolmogorov_smirnov(
            x, lambda x: (normal_distribution(x) - tail) / (1.0 - 2.0 * tail)
        )
        < KS_BOUND
    )
    # A standard deviation's standard error is below std / sqrt(2 n).
    np.testing.assert_allclose(x.std(), 0.87963, rtol=4.5 / math.sqrt(2 * MANY))


@pytest.mark.parametrize("shape", [[], [3], [2, 3, 4]])
@pytest.mark.parametrize(
    "kind", ["integers", "uniform", "normal", "truncated_normal"]
)
def test_numbers_come_in_the_shape_asked_for(kind, shape):
    assert draw(kind, seeds.make_seed(0), shape).shape == shape


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_a_permutation_has_every_number_once(count):
    order = seeds.permutation(seeds.make_seed(3), count)
    assert order.dtype == tf.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(count))


def test_a_permutation_is_its_seeds():
    first, again, other = (
        seeds.permutation(seeds.make_seed(s), 1000).numpy() for s in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    # A random order has one number on average where another has it.
    assert (first == other).sum() < 8
    assert (first == np.arange(1000)).sum() < 8


@pytest.mark.parametrize("seed", [0, -(2**31)])
def test_a_permutation_is_the_same_everywhere(seed):
    assert_same_everywhere(
        lambda s: seeds.permutation(s, 1000), seeds.make_seed(seed), rtol=0.0
    )


def test_every_number_is_equally_likely_at_every_position():
    count, draws = 6, 3_000

    def order(number):
        return seeds.permutation(
            seeds.fold_in(seeds.make_seed(1), number), count
        )

    run = compiled(lambda n: tf.map_fn(order, n), jit_compile=False)
    orders = run(tf.range(draws)).numpy()
    seen = np.stack([(orders == n).sum(axis=0) for n in range(count)])
    # Each of the 36 counts has the standard error sqrt(draws p (1 - p)).
    expected = draws / count
    error = math.sqrt(expected * (1 - 1 / count))
    assert np.abs(seen - expected).max() < 4.5 * error


def test_numpy_ints_are_seeds():
    np.testing.assert_array_equal(
        seeds.make_seed(np.int64(7)), seeds.make_seed(7)
    )


@pytest.mark.parametrize("seed", [2**31, -(2**31) - 1, 1.0, "1", None, True])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match="Received: ") as caught:
        seeds.make_seed(seed)
    assert str(caught.value) == (
        "A seed must be an int from -2**31 to 2**31 - 1. "
        f"Received: seed={seed!r}."
    )
