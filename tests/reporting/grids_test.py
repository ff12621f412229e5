"""Tuned grids as a table; tests/reporting/reproduction_test.py has its text."""

import math

from support.curves import ending_at

from l2o_tf.reporting.grids import grid_table

TUNING = {
    "by": "final",
    "steps": 500,
    "seeds": [0, 1000],
    "candidates": [
        {"name": "adam_0.01", "config": {}, "score": math.inf},
        {"name": "adam_0.1", "config": {}, "score": -1.5},
    ],
    "chosen": 1,
    "at_edge": True,
}


def test_a_row_has_every_candidate_and_how_it_was_judged():
    curves = ending_at([0.0], "adam", tuning=TUNING) + ending_at([0.0], "dm")
    table = grid_table(curves, {"mlp_orig": "MLP"}, {"adam": "Adam"})
    assert table.rows == [
        (
            "MLP",
            "Adam",
            "adam_0.01: diverged, **adam_0.1: -1.50**",
            "yes",
            "final",
            "500",
            "0, 1000 (also evaluated: 0)",
        )
    ]


def test_names_without_words_stay_and_a_part_is_said():
    part = {**TUNING, "split": "train[5%]", "at_edge": False, "seeds": [9]}
    ((optimizee, optimizer, _, edge, by, _, seeds),) = grid_table(
        ending_at([0.0], "adam", tuning=part), {}, {}
    ).rows
    assert (optimizee, optimizer) == ("mlp_orig", "adam")
    assert (edge, by, seeds) == ("no", "final, on train[5%]", "9")
