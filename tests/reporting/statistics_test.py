"""Smoothing, spread, ends and pairs against hand-worked numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.curves import ending_at, make_curve

from l2o_tf.reporting.statistics import (
    UnpairedError,
    endings,
    ln,
    paired,
    paired_changes,
    smooth,
    spread,
)

LOSSES = hnp.arrays(np.float32, 30, elements=st.floats(0, 1e3, width=32))
ENDS = st.lists(
    st.tuples(*[st.none() | st.floats(-12, 2)] * 2), min_size=2, max_size=6
)


def test_smooth_is_the_running_mean():
    np.testing.assert_allclose(
        smooth(np.array([1.0, 3.0, 5.0, 9.0]), 2), [2.0, 4.0, 7.0]
    )


@given(LOSSES, st.integers(1, 30))
def test_smooth_equals_a_convolution(losses, window):
    expected = np.convolve(
        losses.astype(np.float64), np.full(window, 1 / window), "valid"
    )
    np.testing.assert_allclose(
        smooth(losses, window), expected, rtol=1e-9, atol=0
    )


def test_a_spike_leaves_what_follows_it_exact():
    losses = np.array([1e12, *[1e-5] * 200])
    np.testing.assert_allclose(smooth(losses, 100)[1:], 1e-5, rtol=1e-12)


def test_a_curve_that_falls_for_ever_stays_exact():
    losses = np.logspace(2, -20, 300)
    expected = [losses[j : j + 7].mean() for j in range(294)]
    np.testing.assert_allclose(smooth(losses, 7), expected, rtol=1e-12)


@given(LOSSES, LOSSES, st.floats(0.01, 3), st.integers(1, 30))
def test_smooth_is_linear(a, b, scale, window):
    a, b = a.astype(np.float64), b.astype(np.float64)
    np.testing.assert_allclose(
        smooth(a + scale * b, window),
        smooth(a, window) + scale * smooth(b, window),
        rtol=1e-9,
        atol=0,
    )


@pytest.mark.parametrize("window", [0, -1, 4])
def test_bad_windows_are_refused(window):
    with pytest.raises(ValueError, match=f"Received: window={window}"):
        smooth(np.zeros(3), window)


def test_spread_over_seeds():
    result = spread([make_curve([1, 2, 3]), make_curve([3, 4, 11])], window=1)
    np.testing.assert_array_equal(result.steps, [1, 2, 3])
    np.testing.assert_array_equal(result.mean, [2, 3, 7])
    np.testing.assert_array_equal(result.low, [1, 2, 3])
    np.testing.assert_array_equal(result.high, [3, 4, 11])
    assert (result.runs, result.diverged) == (2, 0)


def test_quartiles_of_five_runs_are_the_second_and_the_fourth():
    result = spread([make_curve([x]) for x in (16, 1, 4, 2, 8)])
    assert (result.lower_quartile, result.median) == (2, 4)
    assert result.upper_quartile == 8
    # Squares about 31 / 5: 27.04 + 17.64 + 4.84 + 3.24 + 96.04, over 4.
    np.testing.assert_allclose(result.std, math.sqrt(148.8 / 4))


def test_logarithms_are_taken_after_smoothing():
    curves = [make_curve([1, 3, 5]), make_curve([8, 8, 8])]
    result = spread(curves, window=2, log=True)
    np.testing.assert_allclose(result.low, np.log([2, 4]))
    np.testing.assert_allclose(result.high, np.log([8, 8]))
    np.testing.assert_allclose(result.mean, np.log([4, math.sqrt(32)]))


def test_one_run_has_no_standard_deviation():
    assert np.isnan(spread([make_curve([1, 2])]).std).all()


def test_steps_are_the_ends_of_the_windows():
    result = spread([make_curve([1, 2, 3, 4])], window=3)
    np.testing.assert_array_equal(result.steps, [3, 4])


def test_diverged_runs_are_counted_and_left_out_of_the_mean():
    runs = [
        make_curve([1, 2]),
        make_curve([5, np.inf]),
        make_curve([np.nan, 1]),
    ]
    result = spread(runs)
    np.testing.assert_array_equal(result.mean, [1, 2])
    np.testing.assert_array_equal(result.median, [1, 2])
    assert (result.runs, result.diverged) == (3, 2)


def test_all_diverged_gives_nan_not_a_number_of_nothing():
    result = spread([make_curve([5, np.inf])], log=True)
    assert np.isnan(result.mean).all()
    assert result.diverged == 1


def test_curves_of_two_lengths_are_refused():
    message = r"Received: steps=\[2, 3\], curves of dm on mlp_orig\."
    with pytest.raises(ValueError, match=message):
        spread([make_curve([1, 2]), make_curve([1, 2, 3])])


def test_ln_of_zero_is_minus_infinity_and_below_there_is_none():
    np.testing.assert_array_equal(
        ln(np.array([math.e, 0.0, -1.0])), [1.0, -np.inf, np.nan]
    )


def test_a_loss_of_zero_has_a_lowest_logarithm_and_no_deviation():
    result = spread([make_curve([0.0]), make_curve([1.0])], log=True)
    assert (result.low, result.high) == (-np.inf, 0.0)
    assert np.isnan(result.std).all()


def test_endings_of_raw_losses():
    ends = endings([make_curve([x] * 4, s) for s, x in enumerate((1, 2, 6))])
    assert ends.seeds == (0, 1, 2)
    assert (ends.runs, ends.diverged) == (3, 0)
    assert (ends.mean, ends.median, ends.low, ends.high) == (3, 2, 1, 6)
    assert (ends.lower_quartile, ends.upper_quartile) == (1.5, 4)
    assert ends.std == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert ends.ln_of_mean == pytest.approx(math.log(3))
    assert ends.typical == pytest.approx(math.log(2))


def test_endings_of_logarithms():
    ends = endings(ending_at([-1.0, -2.0, -6.0]), log=True)
    assert ends.mean == pytest.approx(-3, abs=1e-6)
    assert ends.median == pytest.approx(-2, abs=1e-6)
    assert ends.low == pytest.approx(-6, abs=1e-6)
    assert ends.high == pytest.approx(-1, abs=1e-6)
    assert ends.std == pytest.approx(math.sqrt(7), abs=1e-6)
    mean = sum(math.exp(x) for x in (-1, -2, -6)) / 3
    assert ends.ln_of_mean == pytest.approx(math.log(mean), abs=1e-6)
    assert ends.typical == pytest.approx(-2, abs=1e-6)


def test_the_paper_averages_before_the_logarithm():
    ends = endings(ending_at([0.0, -20.0]), log=True)
    assert ends.ln_of_mean == pytest.approx(-math.log(2))
    assert ends.mean == pytest.approx(-10)


def test_a_spike_does_not_move_the_typical_end():
    losses = np.ones(2000)
    losses[-1] = 101.0
    ends = endings([make_curve(losses, seed) for seed in range(3)])
    assert ends.ln_of_mean == pytest.approx(math.log(2))
    assert ends.typical == 0


def test_ends_of_diverged_runs_are_counted_and_in_no_moment():
    runs = ending_at([-1.0, None, -3.0])
    ends = endings(runs, log=True)
    assert (ends.seeds, ends.runs, ends.diverged) == ((0, 1, 2), 3, 1)
    assert ends._replace(seeds=(0, 2), runs=2, diverged=0) == endings(
        [runs[0], runs[2]], log=True
    )


def test_ends_of_nothing_finite_are_nan():
    ends = endings(ending_at([None, None]), log=True)
    assert ends.diverged == 2
    assert np.isnan(ends[3:]).all()


def test_one_end_has_no_standard_deviation():
    ends = endings(ending_at([-1.0]))
    assert math.isnan(ends.std)
    assert ends.mean == ends.median == ends.low == ends.high


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("optimizer", ("dm", "adam")),
        ("optimizee", ("mlp_orig", "nas")),
        ("split", ("test", "train")),
        ("measured", ("test", None)),
        ("config_hash", ("a", "b")),
    ],
)
def test_runs_that_differ_in_more_than_the_seed_are_refused(field, values):
    curves = [make_curve(seed=i, **{field: v}) for i, v in enumerate(values)]
    with pytest.raises(ValueError, match=rf"Received: {field}=\['{values[0]}"):
        endings(curves)


def test_ends_of_two_lengths_are_refused():
    message = r"Received: steps=\[3, 2\], curves of dm on mlp_orig\."
    with pytest.raises(ValueError, match=message):
        endings([make_curve(), make_curve([1, 2], 1)])


def test_ends_of_nothing_are_refused():
    with pytest.raises(ValueError, match=r"optimizer=\[\], curves of nothing"):
        endings([])


def test_a_seed_twice_is_refused():
    message = r"Received: seeds=\[0, 0\], curves of dm on mlp_orig\."
    with pytest.raises(ValueError, match=message):
        endings([make_curve(), make_curve()])


def test_pairs_are_by_seed():
    a = ending_at([-5.0, -3.0, -1.0, 7.0])
    b = ending_at([-1.0, -2.0, -3.0], "adam")
    result = paired(a[::-1], b)
    assert result.seeds == (0, 1, 2)
    np.testing.assert_allclose(result.differences, [-4, -1, 2], atol=1e-6)
    assert result.mean == pytest.approx(-1, abs=1e-6)
    assert result.median == pytest.approx(-1, abs=1e-6)
    assert result.a_lower == 2
    assert -4 - 1e-6 <= result.low <= result.mean <= result.high <= 2 + 1e-6
    assert result[-3:] == (0, 0, 0)


def test_the_interval_of_three_seeds_is_their_range():
    # All three resampled as the lowest has probability 1/27, over 2.5 %.
    a, b = ending_at([-5.0, -3.0, -1.0]), ending_at([0.0] * 3, "adam")
    result = paired(a, b)
    assert (result.low, result.high) == pytest.approx((-5, -1), abs=1e-6)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    numbers = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        ends = numbers.normal(-3.0, 1.0, 20)
        result = paired(ending_at(ends), ending_at([0.0] * 20, "adam"), 500)
        hits += result.low <= -3.0 <= result.high
    # 0.95 of 200 are 190, with a standard deviation of 3.1; the percentile
    # interval of 20 numbers covers a little less.
    assert 177 <= hits <= 198


def test_equal_differences_have_a_degenerate_interval():
    a, b = ending_at([-2.0] * 3), ending_at([-1.0] * 3, "adam")
    result = paired(a, b)
    assert result.low == result.high == result.mean
    assert result.mean == pytest.approx(-1, abs=1e-6)


def test_the_interval_is_the_same_every_time_and_another_with_another_seed():
    a, b = ending_at([-5.0, -3.3, -1.2, 0.1]), ending_at([0.0] * 4, "adam")
    assert paired(a, b).low == paired(a, b).low
    draws = {paired(a, b, resamples=50, seed=s).low for s in range(5)}
    assert len(draws) > 1


@settings(max_examples=25, deadline=None)
@given(ENDS)
def test_pairs_are_antisymmetric(ends):
    a, b = (
        ending_at([row[i] for row in ends], name)
        for i, name in enumerate(("dm", "adam"))
    )
    there, back = paired(a, b, resamples=200), paired(b, a, resamples=200)
    np.testing.assert_array_equal(there.differences, -back.differences)
    np.testing.assert_allclose(
        [there.mean, there.median, there.low, there.high],
        [-back.mean, -back.median, -back.high, -back.low],
        atol=1e-9,
    )
    assert there.only_a_diverged == back.only_b_diverged
    assert there.both_diverged == back.both_diverged
    assert len(ends) == (
        len(there.seeds)
        + there.only_a_diverged
        + there.only_b_diverged
        + there.both_diverged
    )


def test_pairs_with_a_diverged_run_are_counted_apart():
    a = ending_at([-5.0, None, -1.0, None, -2.0, -4.0])
    b = ending_at([None, None, -3.0, 0.0, None, -3.0], "adam")
    result = paired(a, b)
    assert result.seeds == (2, 5)
    np.testing.assert_allclose(result.differences, [2, -1], atol=1e-6)
    assert (result.only_a_diverged, result.only_b_diverged) == (1, 2)
    assert (result.both_diverged, result.a_lower) == (1, 1)


def test_no_finite_pair_has_no_difference():
    result = paired(ending_at([-5.0, -5.0]), ending_at([None, None], "adam"))
    assert result.seeds == ()
    assert np.isnan(result[2:6]).all()
    assert result.only_b_diverged == 2


def test_one_finite_pair_has_no_interval():
    result = paired(ending_at([-5.0, -5.0]), ending_at([-2.0, None], "adam"))
    assert result.mean == pytest.approx(-3, abs=1e-6)
    assert np.isnan([result.low, result.high]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizee": "nas"}, "Received: optimizee='mlp_orig' and 'nas'"),
        ({"split": "train"}, "Received: split='test' and 'train'"),
        ({"measured": "train"}, "Received: measured=None and 'train'"),
        ({"steps": 7}, "Received: steps=10 and 7"),
    ],
)
def test_what_does_not_belong_together_is_not_paired(fields, message):
    a, b = ending_at([-1.0, -2.0]), ending_at([-1.0, -2.0], "adam", **fields)
    with pytest.raises(UnpairedError, match=message):
        paired(a, b)


def test_one_common_seed_is_not_enough():
    a, b = ending_at([-1.0, -2.0]), ending_at([-1.0, -2.0], "adam")[:1]
    with pytest.raises(UnpairedError, match=r"seeds=\[0, 1\] and \[0\]"):
        paired(a, b)


def test_an_end_without_a_logarithm_is_not_compared():
    a = [make_curve([0.0, 0.0], s) for s in range(2)]
    b = ending_at([-1.0, -2.0], "adam", steps=2)
    with pytest.raises(UnpairedError, match="Received: end=0.0"):
        paired(a, b)


def test_a_side_of_two_optimizers_is_refused():
    a = ending_at([-1.0, -2.0])
    with pytest.raises(ValueError, match="Received: optimizer="):
        paired(a, [a[0], ending_at([0.0, 0.0], "adam")[1]])


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("resamples", 0),
        ("seed", 0.5),
    ],
)
def test_bad_arguments_of_the_bootstrap_are_refused(argument, value):
    a, b = ending_at([-1.0, -2.0]), ending_at([-1.0, -2.0], "adam")
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        paired(a, b, **{argument: value})


def changed(before, after, run):
    """Return the curves of two windows of a run's training."""
    return ending_at(before, f"{run}@1"), ending_at(after, f"{run}@2")


def test_changes_are_compared_by_seed():
    a = changed([-3.0, -4.0, 0.0], [-2.0, -5.0], "long")
    b = changed([-3.0, -3.0, 0.0], [-1.0, 0.0, 9.0], "short")
    result = paired_changes(a, b)
    assert result.seeds == (0, 1)
    # (1) - (2), (-1) - (3).
    np.testing.assert_allclose(result.differences, [-1, -4], atol=1e-6)
    assert result.mean == pytest.approx(-2.5, abs=1e-6)
    assert (result.low, result.high) == pytest.approx((-4, -1), abs=1e-6)
    assert result.a_lower == 2
    assert result[-3:] == (0, 0, 0)


def test_a_change_from_or_to_a_diverged_run_is_counted_apart():
    a = changed([0.0, None, 0.0, 0.0], [0.0, 0.0, 0.0, None], "long")
    b = changed([0.0, 0.0, 0.0, 0.0], [1.0, 1.0, None, None], "short")
    result = paired_changes(a, b)
    assert result.seeds == (0,)
    assert result.mean == pytest.approx(-1, abs=1e-6)
    assert result[-3:] == (1, 1, 1)


def test_changes_without_two_common_seeds_are_not_compared():
    a = changed([0.0, 0.0, 0.0], [0.0, 0.0], "long")
    before, after = changed([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], "short")
    with pytest.raises(UnpairedError, match=r"seeds=\[0, 1\] and \[1, 2\]"):
        paired_changes(a, (before, after[1:]))


def test_changes_on_two_optimizees_are_not_compared():
    a, b = (changed([0.0] * 2, [0.0] * 2, name) for name in ("a", "b"))
    elsewhere = tuple(
        ending_at([0.0] * 2, f"c@{i}", optimizee="nas") for i in (1, 2)
    )
    assert paired_changes(a, b).mean == 0
    with pytest.raises(UnpairedError, match="'mlp_orig' and 'nas'"):
        paired_changes(a, elsewhere)
