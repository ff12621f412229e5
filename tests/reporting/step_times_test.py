"""What an update takes: the table, and the section in the text."""

import pytest
from support.curves import ending_at

from l2o_tf.evaluation.wall_clock import WallClockRow
from l2o_tf.reporting.reproduction import reproduction
from l2o_tf.reporting.step_times import step_time_section, step_time_table

OPTIMIZEES = {"mlp": "MLP", "conv": "Conv"}
OPTIMIZERS = {"dm": "L2O-DM", "adam": "Adam, tuned"}


def row(optimizer, optimizee, ms, runtime="xla"):
    return WallClockRow(optimizer, optimizee, runtime, "CPU", 9, ms, 0.0, 99.0)


ROWS = [
    row("adam", "zoo", 0.012345),
    row("adam", "conv", 9.0612, "graph"),
    row("adam", "mlp", 0.11472),
    row("mine", "mlp", 1500.04),
    row("dm", "mlp", 1.03613),
]


def test_rows_and_columns_are_in_the_given_order_and_unknown_ones_last():
    table = step_time_table(ROWS, OPTIMIZEES, OPTIMIZERS)
    assert table.columns == ("optimizer", "MLP", "Conv", "zoo")
    assert table.rows == [
        ("L2O-DM", "1.04", "", ""),
        ("Adam, tuned", "0.115", "9.06", "0.0123"),
        ("mine", "1,500", "", ""),
    ]


@pytest.mark.parametrize(
    ("ms", "word"),
    [(0.0999, "0.0999"), (9.996, "10.0"), (99.94, "99.9"), (99.96, "100")],
)
def test_times_have_three_digits(ms, word):
    assert step_time_table([row("a", "b", ms)], {}, {}).rows == [("a", word)]


def test_the_last_row_of_a_pair_counts():
    table = step_time_table([row("a", "b", 1.0), row("a", "b", 2.0)], {}, {})
    assert table.rows == [("a", "2.00")]


def test_the_section_says_on_what_the_times_were_measured():
    text = step_time_section("## Times", ROWS, OPTIMIZEES, OPTIMIZERS)
    assert text.startswith("## Times\n")
    prose = " ".join(text.split("|")[0].split())
    assert prose.endswith("CPU, xla: MLP, zoo; CPU, graph: Conv.")
    assert "| L2O-DM | 1.04 |  |  |" in text.splitlines()


def test_an_optimizee_measured_twice_says_who_was_where():
    rows = [
        row("adam", "mlp", 1.0)._replace(device="H200"),
        row("adam", "mlp", 2.0),  # the one that counts
        row("dm", "mlp", 3.0)._replace(device="H200"),
        row("mine", "mlp", 4.0),
        row("dm", "conv", 5.0),
    ]
    text = step_time_section("## Times", rows, OPTIMIZEES, OPTIMIZERS)
    prose = " ".join(text.split("|")[0].split())
    assert prose.endswith(
        "CPU, xla: MLP (Adam, tuned; mine), Conv; H200, xla: MLP (L2O-DM)."
    )


def test_times_on_the_optimizees_of_other_papers_are_not_told():
    times = [row("adam", "mlp_orig", 0.1), row("simple", "base_mlp", 4.0)]
    times.append(row("mlp", "metz_conv", 5.0))
    text = reproduction(ending_at([0.0]), {}, "do it", times=times)
    lines = text[text.index("## What an update takes") :].splitlines()
    assert "| optimizer | MLP-orig |" in lines
    assert not {"base_mlp", "metz_conv"} & set(text.split())


def test_without_times_there_is_no_section():
    assert step_time_section("## Times", [], OPTIMIZEES, OPTIMIZERS) == ""
    text = reproduction(ending_at([0.0]), {}, "do it")
    assert "What an update takes" not in text


def test_the_text_has_them_in_the_papers_words():
    times = [row("adam", "mlp_orig", 0.1), row("dm", "mlp_orig", 1.0)]
    text = reproduction(ending_at([0.0]), {}, "do it", times=times)
    lines = text[text.index("## What an update takes") :].splitlines()
    start = lines.index("| optimizer | MLP-orig |")
    assert lines[start + 2 : start + 4] == [
        "| L2O-DM | 1.00 |",
        "| Adam, tuned | 0.100 |",
    ]
