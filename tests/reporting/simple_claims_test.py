"""Statements of SimpleOptimizer's paper, decided by curves that are known."""

import numpy as np
import pytest
from support.curves import ending_at, make_curve

from l2o_tf.reporting import simple_paper
from l2o_tf.reporting.simple_claims import (
    STATEMENTS,
    Below,
    Change,
    KeepsUp,
    Statement,
    at,
    check_words,
    decide,
    decide_check,
    mark_table,
    protocol,
    statement_table,
    verdicts,
)

FACTS = {"optimizee": "base_mlp", "split": "train"}
FALLS = Change("simple", "base_mlp", 200, 10_000, falls=True)
STOPS = FALLS._replace(start=1_000, falls=False)
LATE = FALLS._replace(start=5_000)
ON_LENET = {"optimizee": "lenet_mnist", "split": "train", "steps": 300}


def run(pieces, seed=0, optimizer="simple", **fields):
    """Return a curve of pieces: (updates, ln loss), one after the other."""
    losses = np.concatenate([np.full(n, np.exp(v)) for n, v in pieces])
    return make_curve(losses, seed, optimizer, **{**FACTS, **fields})


def runs(*pieces, seeds=2, **fields):
    return [run(pieces, seed, **fields) for seed in range(seeds)]


def constant(ends, optimizer, **fields):
    return ending_at(ends, optimizer, **{**FACTS, "steps": 10_000, **fields})


def test_early_the_mean_is_over_20_losses_later_over_100():
    curve = make_curve(np.arange(1.0, 401.0))
    assert at(curve, 200).losses == pytest.approx([190.5])
    assert at(curve, 201).losses == pytest.approx([151.5])
    assert at(curve, 400).losses == pytest.approx([350.5])
    assert at(curve, 200).steps == 1
    assert at(curve, 200).optimizer == "dm at 200"


@pytest.mark.parametrize(
    ("pieces", "falls", "stops"),
    [
        ([(1_000, -1.0), (9_000, -3.0)], "holds", "fails"),
        ([(1_000, -3.0), (9_000, -1.0)], "fails", "holds"),
        # Before the last 20 of the first 200 updates nothing counts.
        ([(180, 5.0), (9_820, -1.0)], "open", "holds"),
        # Level from 1,000 updates on, if not from 200.
        ([(900, -1.0), (9_100, -3.0)], "holds", "holds"),
        ([(1_000, -1.0), (9_000, np.nan)], "fails", "holds"),
        # Lost before either update.
        ([(100, -1.0), (9_900, np.nan)], "open", "holds"),
    ],
)
def test_a_curve_falls_after_200_updates_or_is_level(pieces, falls, stops):
    curves = runs(*pieces)
    assert decide_check(FALLS, curves).verdict == falls
    assert decide_check(STOPS, curves).verdict == stops


@pytest.mark.parametrize("end", [-1.0, -3.0])
def test_runs_lost_beside_runs_that_do_not_rise_leave_it_open(end):
    curves = [
        run([(1_000, -1.0), (9_000, end)], 0),
        run([(1_000, -1.0), (9_000, end)], 1),
        run([(1_000, -1.0), (9_000, np.nan)], 2),
    ]
    found = decide_check(STOPS, curves)
    assert found.verdict == "open"
    assert found.numbers.endswith("only simple at 10,000 diverged: 1")


def test_the_numbers_of_a_change_are_end_minus_start():
    curves = runs((200, -1.0), (9_800, -3.0))
    assert decide_check(FALLS, curves).numbers == (
        "-2.00 (-2.00 to -2.00), 2 of 2 seeds"
    )


def test_a_curve_falls_late_or_not():
    early = runs((200, 0.0), (9_800, -2.0))
    assert decide_check(LATE, early).verdict == "open"
    late = runs((200, 0.0), (4_800, -2.0), (5_000, -2.5))
    assert decide_check(LATE, late).verdict == "holds"


@pytest.mark.parametrize(
    "fields",
    [
        {"split": "test"},
        {"measured": "test"},
        {"notice": "NOT THE FULL MNIST"},
    ],
)
def test_other_splits_and_parts_of_data_do_not_decide(fields):
    curves = runs((200, -1.0), (9_800, -3.0), **fields)
    assert protocol(curves) == []
    assert decide_check(FALLS, curves) == ("not measured", "")


def test_on_the_base_mlp_10000_updates_decide():
    short = runs((200, -1.0), (9_799, -3.0))
    assert protocol(short) == []
    (longer,) = protocol(runs((200, -1.0), (10_000, -3.0), seeds=1))
    assert longer.steps == 10_000
    elsewhere = constant([0.0], "simple", optimizee="lenet_mnist", steps=5)
    assert protocol(elsewhere) == elsewhere
    assert protocol(ending_at([0.0], optimizee="mlp_orig", split="train")) == []


def test_below_compares_ends():
    curves = constant([-3, -4], "simple") + constant([-1, -1], "simple_bias")
    check = Below("simple", "simple_bias", "base_mlp")
    assert decide_check(check, curves) == (
        "holds",
        "-2.50 (-3.00 to -2.00), 2 of 2 seeds",
    )
    assert decide_check(check._replace(b="adam"), curves) == (
        "not measured",
        "",
    )


@pytest.mark.parametrize(
    ("own", "sgd", "adam", "verdict"),
    [
        ([-2, -2], [-3, -3], [-1, -1], "holds"),
        ([-2, -2], [-3, -3], [-3, -3], "fails"),
        ([-2, -2], [-3, -1], [-3, -3], "holds"),  # open against SGD
        ([-2, -2], [-3, -3], [], "not measured"),
        ([-2, -2], [], [-1, -1], "holds"),
        ([], [-3, -3], [-1, -1], "not measured"),
        ([None, None], [-3, -3], [-1, -1], "fails"),
    ],
)
def test_competitive_is_not_above_every_rival(own, sgd, adam, verdict):
    curves = [
        *constant(own, "simple", **ON_LENET),
        *constant(sgd, "sgd", **ON_LENET),
        *constant(adam, "adam", **ON_LENET),
    ]
    check = KeepsUp("simple", ("sgd", "adam"), "lenet_mnist")
    found = decide_check(check, curves)
    assert found.verdict == verdict
    assert ("minus `sgd`" in found.numbers) == bool(own and sgd)


@pytest.mark.parametrize("others", [[-3.0, -3.0, -3.0], [np.nan] * 3])
def test_runs_that_are_lost_do_not_keep_up(others):
    """Above on the one seed that is left, or all runs of all lost."""
    own = [-1.0 if others[0] < 0 else np.nan, np.nan, np.nan]
    curves = [
        *constant(own, "simple", **ON_LENET),
        *constant(others, "sgd", **ON_LENET),
        *constant(others, "adam", **ON_LENET),
    ]
    check = KeepsUp("simple", ("sgd", "adam"), "lenet_mnist")
    assert decide_check(check, curves).verdict == "open"


@pytest.mark.parametrize(
    ("simple", "adam", "sgd", "verdict"),
    [
        ([-2, -2], [-1, -1], [-3, -3], "holds"),
        ([-2, -2], [-1, -1], [-1, -1], "fails"),
        ([-2, -2], [-1, -3], [-3, -3], "open"),
        ([-2, -2], [-1, -1], [], "not measured"),
        ([-2, -2], [-3, -3], [], "fails"),
        ([], [], [], "not measured"),
    ],
)
def test_all_checks_of_a_statement_must_hold(simple, adam, sgd, verdict):
    statement = next(s for s in STATEMENTS if "five-layer" in s.words)
    there = {"optimizee": "five_layer_mlp"}
    curves = [
        *constant(simple, "simple", **there),
        *constant(adam, "adam", **there),
        *constant(sgd, "sgd", **there),
    ]
    found = decide(statement, curves)
    assert found.verdict == verdict
    assert ("`simple` minus `adam`:" in found.numbers) == bool(simple)


def test_words_of_checks():
    assert check_words(LATE) == "`simple`, 5,000 to 10,000"
    assert check_words(Below("a", "b", "c")) == "`a` minus `b`"
    assert check_words(KeepsUp("a", ("b",), "c")) == "`a`"


def test_every_statement_is_of_what_its_figure_shows():
    for statement in STATEMENTS:
        figure = next(
            f for f in simple_paper.FIGURES if f.name == statement.figure
        )
        shown = {(o, p.optimizee) for p in figure.panels for o in p.optimizers}
        for check in statement.checks:
            named = {
                Below: lambda c: (c.a, c.b),
                Change: lambda c: (c.optimizer,),
                KeepsUp: lambda c: (c.a, *c.rivals),
            }[type(check)](check)
            assert {(name, check.optimizee) for name in named} <= shown
    said = {statement.figure for statement in STATEMENTS}
    assert said == {f.name for f in simple_paper.FIGURES if not f.ours}


def test_the_papers_own_story_holds():
    tuned = {"sgd": -4.0, "adam": -2.0}
    curves = [
        *runs((200, -1.0), (4_800, -4.0), (5_000, -6.0)),
        *runs((200, -1.0), (9_800, -0.9), optimizer="dm_base_mlp"),
        *runs((200, -1.0), (9_800, np.nan), optimizer="rnnprop_base_mlp"),
        *(
            curve
            for name in simple_paper.OPTIMIZERS
            if name.startswith("simple_") and name != "simple_fine_tuned"
            for curve in constant([-2.0, -2.0], name)
        ),
        *(
            curve
            for optimizee in simple_paper.OPTIMIZEES
            if optimizee != "base_mlp"
            for name, end in {
                **tuned,
                "simple": -3.0,
                "simple_fine_tuned": -3.0,
            }.items()
            for curve in constant([end, end], name, optimizee=optimizee)
        ),
    ]
    assert {found.verdict for found in verdicts(curves)} == {"holds"}
    assert len(verdicts(curves)) == len(STATEMENTS) == 11


def test_nothing_is_decided_without_curves():
    assert {found.verdict for found in verdicts([])} == {"not measured"}
    table = statement_table([])
    assert [row[2:] for row in table.rows] == [("not measured", "")] * 11


def test_the_table_of_one_figure():
    curves = constant([-3, -3], "simple") + constant([-1, -1], "simple_bias")
    rows = statement_table(curves, "simple_3").rows
    assert rows[0] == (
        "3",
        "With biases it is worse.",
        "holds",
        "`simple` minus `simple_bias`: -2.00 (-2.00 to -2.00), 2 of 2 seeds",
    )
    assert [row[2] for row in rows[1:]] == ["not measured"] * 2
    assert statement_table(curves, "simple_A1").rows == []


def test_marks_are_ln_of_the_mean_loss():
    curves = [
        run([(200, 0.0), (9_800, -2.0)], 0),
        run([(200, -1.0), (4_800, -4.0), (5_000, np.nan)], 1),
    ]
    ((word, seeds, *cells),) = mark_table(curves).rows
    assert (word, seeds) == ("SimpleOptimizer (`simple`)", 2)
    # ln((1 + 1/e) / 2) and ln((e^-2 + e^-4) / 2).
    assert cells == ["-0.38", "-2.57", "-2.57", "-2.00, 1 of 2 diverged"]
    assert mark_table(curves).columns[2:] == (
        "at 200",
        "at 1,000",
        "at 5,000",
        "at 10,000",
    )
    assert mark_table([]).rows == []


def test_a_mark_that_no_run_reaches_alive_has_no_number():
    curves = runs((200, 0.0), (9_800, np.nan))
    assert mark_table(curves).rows[0][2:] == (
        "0.00",
        *["2 of 2 diverged"] * 3,
    )


def test_statements_are_decided_by_all_their_checks():
    checks = (FALLS, LATE)
    statement = Statement("simple_2", "It falls.", checks)
    curves = runs((200, 0.0), (9_800, -2.0))
    found = decide(statement, curves)
    assert found.verdict == "open"
    assert found.numbers.count("; ") == 1
