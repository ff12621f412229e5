"""The benchmark of the cells: its problem, its arithmetic, its refusals."""

import json

import bench_cells
import bench_machine
import numpy as np
import pytest
import tensorflow as tf
from bench_cell_rows import (
    CELLS,
    TASKS,
    Bowl,
    Row,
    make_run,
    measure_times,
    steps_of,
    tensor_sizes,
)
from bench_variants import Sizes
from hypothesis import given
from hypothesis import strategies as st

from l2o_tf.core import seeds
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.unroll.rollout import final_loss

SMALL = Sizes(repeats=2, windows=1, unroll_length=2, eval_steps=3)
FLAGS = [f"--{key}={size}" for key, size in SMALL._asdict().items()]
SEED = seeds.make_seed(0)


@given(st.integers(1, 600), st.integers(0, 5000))
def test_the_sizes_are_of_all_coordinates_and_none_is_empty(tensors, more):
    sizes = tensor_sizes(tensors, tensors + more)
    assert len(sizes) == tensors
    assert sum(sizes) == tensors + more
    assert min(sizes) >= 1


def test_large_and_small_tensors_alternate_a_thousand_apart():
    sizes = tensor_sizes(6, 128_000)
    assert sizes[0] > sizes[2] > sizes[4] > sizes[5] > sizes[3] > sizes[1]
    assert sizes[0] / sizes[1] == pytest.approx(1000, rel=0.02)
    assert sizes[2] / sizes[0] == pytest.approx(1000 ** (-1 / 5), rel=0.01)


def test_more_tensors_than_coordinates_are_refused():
    with pytest.raises(ValueError, match="tensors=5, coordinates=4"):
        tensor_sizes(5, 4)


def test_the_problem_has_its_params_as_gradient():
    problem = Bowl([3, 1, 2])
    assert problem.layout.sizes == (3, 1, 2)
    params, constants = problem.reset(SEED)
    loss, gradient = problem.loss_and_gradient(params, constants, ())
    np.testing.assert_array_equal(gradient, params)
    np.testing.assert_allclose(params, np.linspace(0.1, 1.0, 6), rtol=1e-6)
    assert float(loss) == pytest.approx(0.5 * np.sum(np.square(params)))


def test_a_row_is_read_from_its_name():
    row = Row("train", "DMLSTM", 30, 16_000)
    assert str(row) == "train/DMLSTM/30x16000"
    assert Row.parse(str(row)) == row


def test_the_rows_are_windows_and_runs_of_the_package():
    cell, problem = HierarchicalRNN(), Bowl(tensor_sizes(2, 9))
    losses = [
        float(final_loss(cell, problem, None, SEED, tf.constant(steps), 3))
        for steps in (1, 3)
    ]
    start = 0.5 * np.sum(np.linspace(0.1, 1.0, 9) ** 2)
    # Of f(x_0) twice and f(x_1), each relative to f(x_0).
    expected = {"train": np.log(losses[0] / start) / 3, "eval": losses[1]}
    for task in TASKS:
        run = make_run(Row(task, "HierarchicalRNN", 2, 9), SMALL, False)
        # The meta-loss, 2.7e-5, is of numbers near 1, with 1e-6 added to each.
        assert run() == pytest.approx(expected[task], abs=2e-6)


def test_every_row_is_timed_once_a_round():
    rows = [Row("eval", cell, 2, 9) for cell in CELLS]
    timed = measure_times(rows, SMALL, False)
    assert list(timed) == rows
    for times in timed.values():
        assert len(times["samples"]) == 2
        assert times["first_call_seconds"] > max(times["samples"]) > 0
        assert np.isfinite(times["loss"])


@pytest.fixture
def results():
    samples = {
        Row("train", "RNNprop", 1, 10): [1.0, 2.0, 4.0],
        Row("train", "RNNprop", 5, 10): [3.0, 2.0, 8.0],
        Row("train", "RNNprop", 5, 40): [6.0, 8.0, 16.0],
        Row("train", "DMLSTM", 5, 40): [3.0, 2.0, 4.0],
    }
    timed = {
        row: {"first_call_seconds": 9.0, "samples": seconds, "loss": 0.5}
        for row, seconds in samples.items()
    }
    return bench_cells.summarise(timed, Sizes(3, 2, 5, 50))


def test_seconds_are_per_step_and_coordinate(results):
    row = results["train/RNNprop/5x10"]
    assert row["seconds_per_step"]["median"] == 3.0 / 10
    assert row["ns_per_coordinate"] == pytest.approx(1e9 * 3.0 / 10 / 10)
    assert row["compile_seconds"] == 6.0
    assert steps_of(Row("eval", "DMLSTM", 1, 1), Sizes(3, 2, 5, 50)) == 50


def test_ratios_are_of_the_same_round(results):
    ratios = results["train/RNNprop/5x10"]["ratios"]
    # 3/1, 2/2, 8/4; no DMLSTM of that size.
    assert ratios == {"x tensors": 2.0, "x coords": 1.0, "x DMLSTM": None}
    ratios = results["train/RNNprop/5x40"]["ratios"]
    # 6/3, 8/2, 16/8, of four times the coordinates; 6/3, 8/2, 16/4.
    assert ratios == {"x tensors": 1.0, "x coords": 0.5, "x DMLSTM": 4.0}


def test_the_table_has_a_block_per_task_and_a_line_per_row(results):
    results["train/DMLSTM/5x40"]["memory"] = {"peak_rss_bytes": 7 * 2**20}
    report = {
        **bench_machine.facts(),
        "runtime": "graph",
        "sizes": SMALL._asdict(),
        "results": results,
    }
    lines = [line.split() for line in bench_cells.show(report).splitlines()]
    lines = [line for line in lines if line]
    assert lines[1][:5] == ["train", "s/step", "q1", "q3", "ns/coord"]
    assert lines[2][0] == "DMLSTM/5x40"
    assert lines[2][-3:] == ["6.0", "7", "-"]
    assert lines[4][0] == "RNNprop/5x10"
    assert lines[4][5:] == ["2.00", "1.00", "-", "6.0", "-", "-"]
    assert [line[0] for line in lines[6:]] == ["eval"]


def test_the_command_writes_what_it_shows(monkeypatch, capsys, tmp_path):
    asked = []

    def child(name, script, flags):
        asked.append((name, script, flags))
        return {"peak_rss_bytes": 2**20}

    monkeypatch.setattr(bench_machine, "measure_in_child", child)
    path = tmp_path / "cells.json"
    size = ["--tensors", "1", "2", "--coordinates", "4", "--cells", "DMLSTM"]
    flags = [*FLAGS, *size, "--runtime=graph", f"--json={path}"]
    assert bench_cells.main(flags) == 0
    report = json.loads(path.read_text())
    names = [f"{task}/DMLSTM/{p}x4" for task in TASKS for p in (1, 2)]
    assert [name for name, *_ in asked] == names
    assert sorted(report["results"]) == sorted(names)
    assert report["sizes"] == SMALL._asdict()
    assert report["runtime"] == "graph"
    assert bench_cells.show(report) in capsys.readouterr().out
    for row in report["results"].values():
        assert row["memory"] == {"peak_rss_bytes": 2**20}
    assert asked[0][1] == bench_cells.__file__
    # What the child is asked is what it understands.
    assert bench_cells.main(asked[-1][2]) == 0
    growth = json.loads(capsys.readouterr().out)
    # This process had the memory already.
    assert abs(growth["peak_rss_bytes"]) < 300e6


def test_sizes_that_do_not_fit_are_refused_before_any_work(capsys):
    flags = ["--tensors", "1", "30", "--coordinates", "8"]
    assert bench_cells.main(flags) == 1
    assert "tensors=30, coordinates=8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--cells=Adam", "invalid choice: 'Adam'"),
        ("--tensors=0", "must be a positive int. Received: '0'"),
        ("--runtime=eager", "invalid choice: 'eager'"),
        ("--json=absent/cells.json", "Received: 'absent/cells.json'"),
    ],
)
def test_bad_flags_are_refused_in_words(flag, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        bench_cells.main([flag])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
