"""The section on SimpleOptimizer's paper: every number in it is known."""

import re

import numpy as np
import pytest
from support.curves import ending_at, make_curve

from l2o_tf.reporting.deviations import SIMPLE_DEVIATIONS
from l2o_tf.reporting.reproduction import not_measured, reproduction
from l2o_tf.reporting.simple_paper import Cost
from l2o_tf.reporting.simple_section import simple_section

TUNING = {
    "by": "final",
    "split": "train[5%]",
    "steps": 1000,
    "seeds": [1000],
    "candidates": [
        {"name": "sgd_0.1", "config": {}, "score": -1.5},
        {"name": "sgd_1", "config": {}, "score": np.inf},
    ],
    "chosen": 0,
    "at_edge": False,
}


def full(ends, optimizer, optimizee="base_mlp", **fields):
    facts = {"split": "train", "steps": 10_000, **fields}
    return ending_at(ends, optimizer, optimizee=optimizee, **facts)


SIMPLE = full([-3.0, -3.0], "simple")
CURVES = [
    *full([-1.0, -1.0], "simple_bias"),
    *SIMPLE,
    *full([-2.0, None], "sgd", "lenet_cifar", tuning=TUNING),
]


def lines_of(curves=CURVES, pictures=None, costs=None):
    return simple_section(curves, pictures or {}, costs).splitlines()


def test_statements_are_counted_and_listed():
    lines = lines_of()
    assert (
        "Of 11 statements, holds: 1, fails: 0, open: 1, not measured: 9."
    ) in lines
    assert (
        "| 3 | With biases it is worse. | holds | `simple` minus "
        "`simple_bias`: -2.00 (-2.00 to -2.00), 2 of 2 seeds |"
    ) in lines
    assert "| 2 | L2O-DM stops converging after 200 updates. | " in "\n".join(
        lines
    )


def test_end_values_are_in_the_papers_order():
    lines = lines_of()
    first = lines.index(
        "|  | optimizer | ln loss | single runs | seeds | diverged | updates |"
    )
    assert lines[first + 2 : first + 5] == [
        "| Base MLP | SimpleOptimizer (`simple`) | -3.00 | -3.00 to -3.00 | "
        "0-1 | 0 | 10,000 |",
        "| Base MLP | with biases (`simple_bias`) | -1.00 | -1.00 to -1.00 | "
        "0-1 | 0 | 10,000 |",
        "| LeNet on CIFAR-10 | SGD, tuned (`sgd`) | -2.00 | -2.00 to -2.00 | "
        "0-1 | 1 | 10,000 |",
    ]


def test_what_is_unusual_of_a_row_is_said():
    curves = [
        *full(
            [0.0], "sgd", tuning=TUNING, config={"learning_rate": 0.1}, steps=5
        ),
        *full([0.0], "mine", split="test"),
    ]
    text = "\n".join(lines_of(curves))
    assert "SGD, tuned (`sgd`), learning rate 0.1 |" in text
    assert "| (`mine`), split 'test' |" in text
    assert "| 0 | 0 | 5 |" in text


def test_curves_are_read_at_marks():
    row = "| SimpleOptimizer (`simple`) | 2 | -3.00 | -3.00 | -3.00 | -3.00 |"
    assert row in lines_of()
    short = "\n".join(lines_of(full([0.0], "sgd", "lenet_cifar")))
    assert "by updates on the base MLP" not in short


def test_tuning_on_a_part_says_so():
    assert (
        "| LeNet on CIFAR-10 | SGD, tuned | **sgd_0.1: -1.50**, sgd_1: "
        "diverged | no | final, on train[5%] | 1,000 | 1000 |"
    ) in lines_of()
    assert "tuned rivals\n" not in "\n".join(lines_of(SIMPLE))


def test_pictures_stand_under_their_numbers():
    lines = lines_of(pictures={"simple_3": "x/3.png", "2": "x/2.png"})
    where = lines.index("![Without one of its parts](x/3.png)")
    assert lines[where - 2] == (
        "### SimpleOptimizer, Figure 3: Without one of its parts"
    )
    assert "x/2.png" not in "\n".join(lines)
    ours = "\n".join(lines_of(pictures={"simple_A1": "x/a.png"}))
    assert "### SimpleOptimizer, Figure A1 (ours): " in ours


def test_table_1_needs_no_curve():
    lines = lines_of([], costs={"simple": Cost(132, 4.0)})
    assert (
        "| SimpleOptimizer (`simple`) | 132 | 132 | 4 | 1.0 | 1.96 | 1.0 |"
        in (lines)
    )
    assert "### What the paper says" not in lines


def test_without_curves_of_the_paper_there_is_no_section():
    assert simple_section(ending_at([0.0], "dm"), {}) == ""


def test_deviations_are_listed_once_each_and_point_nowhere():
    text = "\n".join(lines_of())
    for deviation in SIMPLE_DEVIATIONS:
        assert text.count(f"| {' | '.join(deviation)} |") == 1
        assert not re.findall(r"\b(?:below|above)\b", " ".join(deviation))
    subjects = [deviation.what for deviation in SIMPLE_DEVIATIONS]
    assert len(set(subjects)) == len(subjects)


def test_prose_is_wrapped():
    text = simple_section(CURVES, {"simple_2": "2.png"}, {"sgd": Cost(0, 1.0)})
    free = ("|", "#", "!")
    prose = [s for s in text.splitlines() if not s.startswith(free)]
    assert max(map(len, prose)) <= 80
    assert "\n\n\n" not in text
    assert text.endswith("|\n")


def test_the_whole_text_has_each_curve_in_one_section():
    chen = ending_at([0.0, 0.0], "dm", steps=10_000)
    text = reproduction([*chen, *CURVES], {"simple_3": "3.png"}, "do it")
    first, second = text.split("## SimpleOptimizer: Learning to learn")
    assert "simple_bias" not in first
    assert "| runs | 8 |" in first
    assert "L2O-DM (`dm`)" in first
    assert "(`dm`)" not in second
    assert "![Without one of its parts](3.png)" in second


def test_the_other_papers_sections_need_its_curves():
    text = reproduction(CURVES, {}, "do it")
    assert "## The figures and their claims" not in text
    assert "Not measured:" not in text
    assert not_measured(CURVES) == {}


def test_costs_are_in_the_whole_text():
    text = reproduction(CURVES, {}, "do it", {"simple": Cost(132, 4.0)})
    assert "Table 1: what an update costs" in text


def test_runs_that_do_not_belong_together_are_refused():
    curves = [*SIMPLE, make_curve([1.0], 7, "simple", "base_mlp", "train")]
    with pytest.raises(ValueError, match="Received: steps="):
        simple_section(curves, {})
