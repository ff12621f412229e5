"""Table 1: ratios beside the paper's, and files that are refused."""

import json

import pytest

from l2o_tf.reporting.simple_costs import FILE, cost_table, read_costs
from l2o_tf.reporting.simple_paper import Cost

MEASURED = {
    "simple": Cost(132, 4.0),
    "dm_base_mlp": Cost(5141, 40.0),
    "sgd": Cost(0, 1.0),
}


def written(folder, content):
    (folder / FILE).write_text(json.dumps(content))
    return folder


def of(rows, optimizee="base_mlp"):
    return {"optimizee": {"name": optimizee}, "optimizers": rows}


def test_ratios_are_to_simple_optimizer_here_and_there():
    # A file of JSON has its names in another order.
    assert cost_table(dict(sorted(MEASURED.items()))).rows == [
        ("SimpleOptimizer (`simple`)", "132", "132", "4", "1.0", "1.96", "1.0"),
        (
            "L2O-DM, same training (`dm_base_mlp`)",
            "5,141",
            "5,301",
            "40",
            "10.0",
            "21.88",
            "11.2",
        ),
        ("`sgd`", "0", "", "1", "0.2", "", ""),
    ]


def test_without_simple_optimizer_there_is_no_ratio():
    ((*_, ratio, _, _),) = cost_table({"sgd": Cost(0, 1.0)}).rows
    assert ratio == ""


def test_what_was_measured_is_read(tmp_path):
    rows = {name: cost._asdict() for name, cost in MEASURED.items()}
    assert read_costs(written(tmp_path, of(rows))) == MEASURED


def test_no_file_is_no_costs(tmp_path):
    assert read_costs(tmp_path) == {}


@pytest.mark.parametrize("content", [{}, [], of(3), {"optimizers": {}}])
def test_another_file_is_refused(content, tmp_path):
    with pytest.raises(ValueError, match="Received: path="):
        read_costs(written(tmp_path, content))


def test_times_of_another_problem_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Received: optimizee='simple'"):
        read_costs(written(tmp_path, of({}, "simple")))


@pytest.mark.parametrize(
    "row",
    [
        {"weights": 1},
        {"weights": "many", "milliseconds": 1.0},
        {"weights": 1, "milliseconds": 0.0},
        {"weights": 1, "milliseconds": float("nan")},
        {"weights": -1, "milliseconds": 1.0},
        7,
    ],
)
def test_a_row_without_its_numbers_is_refused(row, tmp_path):
    with pytest.raises(ValueError, match="Received: 'simple' of "):
        read_costs(written(tmp_path, of({"simple": row})))
