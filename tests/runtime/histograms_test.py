"""A histogram as a row, and as what is drawn of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from l2o_tf.runtime.histograms import BINS, COLUMNS, Histogram, from_row

counts = st.lists(st.integers(0, 2**40), min_size=BINS, max_size=BINS)


def make(filled, lower=-1.0, upper=1.0):
    """Return a histogram with the given bins filled."""
    return Histogram(
        lower, upper, 0, tuple(filled.get(i, 0) for i in range(BINS))
    )


@given(
    counts=counts,
    lower=st.floats(-1e9, 1e9),
    width=st.floats(1e-3, 1e9),
    not_finite=st.integers(0, 2**40),
)
def test_a_row_gives_the_histogram_back(counts, lower, width, not_finite):
    histogram = Histogram(lower, lower + width, not_finite, tuple(counts))
    cells = {
        name: value if name == "tag" else repr(value)
        for name, value in histogram.row("updates/value").items()
    }
    assert tuple(cells) == COLUMNS
    assert cells["tag"] == "updates/value"
    assert from_row(cells) == histogram


def test_buckets_are_the_bins_between_the_first_and_the_last_filled():
    buckets = make({10: 3, 12: 1}, 0.0, float(BINS)).buckets()
    np.testing.assert_array_equal(
        buckets, [[10, 11, 3], [11, 12, 0], [12, 13, 1]]
    )


@given(counts=counts)
def test_no_number_is_lost_or_moved_in_the_buckets(counts):
    histogram = Histogram(-2.0, 2.0, 0, tuple(counts))
    buckets = histogram.buckets()
    assert buckets[:, 2].sum() == sum(counts)
    edges = np.linspace(-2.0, 2.0, BINS + 1)
    for left, right, count in buckets:
        i = int(np.abs(edges - left).argmin())
        assert (left, right, count) == (edges[i], edges[i + 1], counts[i])


def test_nothing_counted_has_no_buckets():
    assert make({}).buckets().shape == (0, 3)
