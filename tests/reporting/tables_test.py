"""Tables of synthetic curves against numbers worked out by hand."""

import csv
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.curves import ending_at

from l2o_tf.reporting import paper
from l2o_tf.reporting.tables import (
    Loss,
    Table,
    comparison_table,
    end_rows,
    end_table,
    groups,
    interval,
    ranges,
    shown,
    tuned_rate,
    tuning_table,
    verdict,
)

TABLE = Table("Title", ("name", "value"), [("a|b", 1.25), ("c", -10.0)])
TUNING = {
    "by": "final",
    "steps": 500,
    "seeds": [1000, 1001],
    "candidates": [
        {"name": "adam_0.01", "config": {}, "score": -1.5},
        {"name": "adam_0.1", "config": {}, "score": -2.25},
        {"name": "adam_1", "config": {}, "score": math.inf},
    ],
    "chosen": 1,
    "at_edge": False,
}
NUMBERS = st.floats(-20, 20)


def full(ln_ends, optimizer="dm", **fields):
    """Return curves of the paper's length."""
    return ending_at(ln_ends, optimizer, steps=paper.STEPS, **fields)


def tuned(ln_ends, at_edge=False, **fields):
    return ending_at(
        ln_ends,
        "adam",
        config={"class": "Adam", "learning_rate": 0.1},
        tuning={**TUNING, "at_edge": at_edge},
        **fields,
    )


def test_markdown():
    assert TABLE.markdown() == (
        "| name | value |\n| --- | --- |\n| a\\|b | 1.25 |\n| c | -10.00 |\n"
    )


def test_plain_aligns_words_left_and_numbers_right():
    assert TABLE.plain() == (
        "Title\nname   value\na|b     1.25\nc     -10.00\n"
    )


def test_losses_are_shown_with_three_digits_and_kept_with_all():
    table = Table("", ("x",), [(Loss(1e-9 / 3),), (Loss(math.nan),)])
    assert table.plain() == "\n       x\n3.33e-10\n\n"
    text = table.csv().splitlines()[1]
    assert float(text) == 1e-9 / 3


def test_csv_keeps_every_digit():
    table = Table("", ("x", "y"), [(1 / 3, 'a "b", c')])
    header, row = csv.reader(table.csv().splitlines())
    assert header == ["x", "y"]
    assert float(row[0]) == 1 / 3
    assert row[1] == 'a "b", c'


def test_a_table_without_rows_has_its_header():
    table = Table("Title", ("x", "y"), [])
    assert table.plain() == "Title\nx  y\n"
    assert table.markdown() == "| x | y |\n| --- | --- |\n"
    assert table.csv() == "x,y\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.255, "1.25"),
        (-0.001, "0.00"),
        (math.nan, ""),
        (-math.inf, "-inf"),
        (7, "7"),
        ("x", "x"),
    ],
)
def test_how_a_cell_is_shown(value, text):
    assert shown(value) == text


def test_interval_of_nothing_is_empty():
    assert interval(-3.0, 1.0) == "-3.00 to 1.00"
    assert interval(math.nan, math.nan) == ""


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        (range(10), "0-9"),
        ([2, 0, 1, 5, 7, 8], "0-2, 5, 7-8"),
        ([3, 3], "3"),
        ([], ""),
    ],
)
def test_ranges(numbers, text):
    assert ranges(numbers) == text


@given(st.sets(st.integers(0, 30)))
def test_ranges_lose_no_number(numbers):
    found = set()
    for part in filter(None, ranges(numbers).split(", ")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    assert found == numbers


def test_groups_keep_optimizees_together():
    curves = [
        *ending_at([0.0], "dm"),
        *ending_at([0.0], "dm", optimizee="nas"),
        *ending_at([0.0, 0.0], "adam"),
        *ending_at([0.0], "dm", split="train"),
    ]
    grouped = groups(curves)
    assert list(grouped) == [
        ("mlp_orig", "test", "dm"),
        ("mlp_orig", "test", "adam"),
        ("nas", "test", "dm"),
        ("mlp_orig", "train", "dm"),
    ]
    assert [len(found) for found in grouped.values()] == [1, 2, 1, 1]


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        (-4.5, "fits"),
        (-5.125, "fits"),
        (-3.875, "fits"),
        (-6.25, "higher by 1.12"),
        (-3.0, "lower by 0.88"),
    ],
)
def test_verdicts_worked_out_by_hand(published, expected):
    assert verdict(-5.0, -4.0, published, 0.125) == expected


@given(NUMBERS, st.floats(0, 5), NUMBERS, st.floats(0, 5), st.floats(0, 5))
def test_a_less_exact_reading_never_stops_to_fit(low, width, value, e, more):
    if verdict(low, low + width, value, e) == "fits":
        assert verdict(low, low + width, value, e + more) == "fits"


@given(NUMBERS, st.floats(0, 5), NUMBERS, st.floats(0, 5))
def test_verdict_goes_from_lower_to_higher_as_our_runs_rise(
    low, width, value, rise
):
    order = ("lower", "fits", "higher")
    words = [
        verdict(low + x, low + width + x, value, 0.2).split()[0]
        for x in (0.0, rise)
    ]
    assert order.index(words[0]) <= order.index(words[1])


def test_end_row_has_the_numbers():
    (row,) = end_rows(full([-4.0, -5.0, None]))
    mean = (math.exp(-4) + math.exp(-5)) / 2
    assert row.ours == pytest.approx(math.log(mean), abs=1e-6)
    assert (row.low, row.high) == pytest.approx((-5, -4), abs=1e-6)
    median = (math.exp(-4) + math.exp(-5)) / 2  # of two
    assert row.typical == pytest.approx(math.log(median), abs=1e-6)
    assert (row.seeds, row.diverged, row.steps) == ((0, 1, 2), 1, 10_000)
    assert row.published == 0.0
    assert row.verdict == "lower by 3.80, 1 of 3 diverged"


def test_end_row_has_the_spread_of_the_ends():
    (row,) = end_rows(full([-4.0, -5.0, -9.0, None]))
    assert row.std == pytest.approx(math.sqrt(7), abs=1e-6)
    assert row.median == pytest.approx(-5, abs=1e-6)
    quartiles = (row.lower_quartile, row.upper_quartile)
    assert quartiles == pytest.approx((-7, -4.5), abs=1e-6)
    losses = [math.exp(x) for x in (-4, -5, -9)]
    mean = sum(losses) / 3
    assert row.mean_loss == pytest.approx(mean)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in losses) / 2)
    assert row.std_loss == pytest.approx(deviation)


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        (full([-0.1, 0.1]), "fits"),
        (full([-0.1, -0.15]), "fits"),  # within 0.2 of the reading
        (full([0.5, 1.0]), "higher by 0.30"),
        (full([0.85], "dm", optimizee="cifar_conv"), "fits"),
        (full([0.9], "dm", optimizee="cifar_conv"), "higher by 0.05"),
        (full([None, None]), "diverged"),
        (full([-0.1, None, None]), "fits, 2 of 3 diverged"),
        (full([0.0, 0.0], notice="SUBSET"), "not compared: not the full data"),
        (full([None], notice="SUBSET"), "not compared: not the full data"),
        (full([0.0], "mine"), ""),
        (full([0.0], "adam"), ""),
        (full([0.0], split="train"), "not compared: split 'train'"),
        (ending_at([0.0]), "not compared: 10 steps"),
    ],
)
def test_verdict_of_a_row(curves, expected):
    (row,) = end_rows(curves)
    assert row.verdict == expected


def test_runs_of_two_lengths_are_refused():
    curves = [ending_at([0.0])[0], ending_at([0.0, 0.0], steps=7)[1]]
    with pytest.raises(ValueError, match=r"Received: steps=\[10, 7\]"):
        end_rows(curves)


def test_a_tuned_learning_rate_is_shown_and_marked_at_the_edge():
    (inside,) = end_rows(tuned([0.0]))
    (edge,) = end_rows(tuned([0.0], at_edge=True))
    (untuned,) = end_rows(
        ending_at([0.0], "adam", config={"learning_rate": 0.1})
    )
    assert tuned_rate(inside) == "0.1"
    assert tuned_rate(edge) == "0.1 (edge of grid)"
    assert tuned_rate(untuned) == ""


def test_end_table_has_a_row_per_optimizer_and_optimizee():
    table = end_table([*full([-4.0, -5.0, None]), *tuned([-1.0], True)])
    assert table.columns == (
        "optimizee",
        "optimizer",
        "ln of mean",
        "lowest run",
        "highest run",
        "typical",
        "std of ln",
        "median of ln",
        "lower quartile",
        "upper quartile",
        "mean loss",
        "std of loss",
        "seeds",
        "diverged",
        "steps",
        "split",
        "published",
        "verdict",
        "learning rate",
    )
    cells = ["; ".join(map(shown, row)) for row in table.rows]
    assert cells == [
        # ln((e^-4 + e^-5) / 2) = -4 + ln((1 + 1/e) / 2) = -4.38; of losses
        # 0.018316 and 0.006738.
        "mlp_orig; dm; -4.38; -5.00; -4.00; -4.38; 0.71; -4.50; -4.75; -4.25; "
        "0.0125; 0.00819; 0-2; 1; 10000; test; 0.00; "
        "lower by 3.80, 1 of 3 diverged; ",
        "mlp_orig; adam; -1.00; -1.00; -1.00; -1.00; ; -1.00; -1.00; -1.00; "
        "0.368; ; 0; 0; 10; test; ; ; 0.1 (edge of grid)",
    ]


def test_tuning_table_has_the_whole_grid():
    table = tuning_table([*full([0.0]), *tuned([0.0, 0.0])])
    assert [row[:5] for row in table.rows] == [
        ("mlp_orig", "adam", "adam_0.01", -1.5, ""),
        ("mlp_orig", "adam", "adam_0.1", -2.25, "chosen"),
        ("mlp_orig", "adam", "adam_1", "diverged", ""),
    ]
    assert {row[5:] for row in table.rows} == {("final", 500, "1000-1001")}


def test_tuning_table_marks_a_choice_at_the_edge():
    rows = tuning_table(tuned([0.0], at_edge=True)).rows
    assert [row[4] for row in rows] == ["", "chosen, at the edge", ""]


def test_nothing_tuned_gives_no_row():
    assert tuning_table(full([0.0])).rows == []


def test_comparison_with_a_baseline():
    curves = [
        *ending_at([-1.0, -1.0, -1.0, 0.0], "adam"),
        *ending_at([-3.0, -3.0, None, -2.0], "dm"),
        *ending_at([-2.0], "sgd"),
        *ending_at([-2.0], "dm", optimizee="nas"),
    ]
    table = comparison_table(curves, "adam")
    dm, sgd, nas = table.rows
    assert dm[:2] == ("mlp_orig", "dm")
    assert dm[2:6] == pytest.approx((-2, -2, -2, -2), abs=1e-6)
    assert dm[6:] == ("3 of 3", "only dm diverged: 1")
    assert sgd[:2] == ("mlp_orig", "sgd")
    assert "Received: seeds=[0] and [0, 1, 2, 3]" in sgd[-1]
    assert nas[:2] == ("nas", "dm")
    assert nas[-1] == "not compared: no curve of adam here"
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_comparison_with_an_absent_baseline_is_refused():
    with pytest.raises(ValueError, match="Received: baseline='adam'"):
        comparison_table(full([0.0]), "adam")


def test_losses_of_another_split_are_a_group_of_their_own():
    usual = full([-1.0, -2.0])
    other = full([-3.0, -4.0], measured="train")
    first, second = end_rows([*usual, *other])
    assert [first.split, second.split] == ["test", "train, optimised on test"]
    assert second.verdict == "not compared: split 'train, optimised on test'"
    assert (first.low, second.low) == pytest.approx((-2.0, -4.0))


def test_problems_of_several_splits_are_told_apart():
    curves = [
        *full([-1.0, -2.0]),
        *full([-3.0, -3.0], "adam"),
        *full([-1.0, -1.0], measured="train"),
        *full([-5.0, -5.0], "adam", measured="train"),
        *full([-1.0, -2.0], optimizee="nas"),
        *full([-1.0, -2.0], "adam", optimizee="nas"),
    ]
    rows = comparison_table(curves, "adam").rows
    assert [row[0] for row in rows] == [
        "mlp_orig (test)",
        "mlp_orig (train, optimised on test)",
        "nas",
    ]
    assert [row[2] for row in rows] == pytest.approx([1.5, 4.0, 0.0])


def test_what_is_measured_twice_is_tuned_once():
    curves = [*tuned([-1.0]), *tuned([-1.0], measured="train")]
    assert len(tuning_table(curves).rows) == 3
