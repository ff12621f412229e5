"""The benchmark of Table 1: its weights, its arithmetic, what it writes."""

import json

import bench_machine
import bench_simple
import pytest
from bench_simple import OPTIMIZERS, count_weights, show, summarise

from l2o_tf.evaluation import wall_clock
from l2o_tf.evaluation.wall_clock import StepTime
from l2o_tf.reporting.simple_costs import FILE, read_costs
from l2o_tf.reporting.simple_paper import TABLE_1

SMALL = ["--optimizee=simple", "--steps=2", "--repeats=2"]


def times(**medians):
    return {
        name: StepTime(median, median / 2, 2 * median, 10, 3)
        for name, median in medians.items()
    }


def test_weights_are_counted_and_differ_from_the_papers_by_its_second_biases():
    counts = {name: count_weights(make()) for name, make in OPTIMIZERS.items()}
    assert counts == {
        "simple": 132,
        "dm_base_mlp": 5_141,
        "rnnprop_base_mlp": 6_641,
        "sgd": 0,
    }
    # 4 gates of 20 units in each of two layers.
    for name in ("dm_base_mlp", "rnnprop_base_mlp"):
        assert TABLE_1[name].weights - counts[name] == 2 * 4 * 20


def test_the_default_problem_is_the_base_mlp(monkeypatch):
    asked = []
    monkeypatch.setattr(
        bench_simple, "benchmark", lambda *sizes: asked.append(sizes)
    )
    assert bench_simple.main([]) == 0
    assert asked == [("base_mlp", 10, 7, True)]


def test_ratios_are_of_medians_whole_and_on_top_of_sgd():
    measured = times(simple=4.0, dm_base_mlp=40.0, sgd=1.0)
    rows = summarise(measured, {"simple": 132, "dm_base_mlp": 7, "sgd": 0})
    assert [row["ratio"] for row in rows.values()] == [1.0, 10.0, 0.25]
    assert [row["own_ratio"] for row in rows.values()] == [1.0, 13.0, 0.0]
    assert rows["dm_base_mlp"]["weights"] == 7
    assert rows["dm_base_mlp"]["milliseconds"] == 40.0
    assert (rows["simple"]["low_ms"], rows["simple"]["high_ms"]) == (2.0, 8.0)


def test_no_own_ratio_where_sgd_was_not_faster():
    rows = summarise(times(simple=1.0, sgd=2.0), {"simple": 132, "sgd": 0})
    assert rows["simple"]["own_ratio"] is None


def test_the_command_writes_the_table_that_the_text_reads(tmp_path, capsys):
    path = tmp_path / FILE
    assert bench_simple.main([*SMALL, "--skip_memory", f"--json={path}"]) == 0
    report = json.loads(path.read_text())
    assert capsys.readouterr().out == show(report) + "\n"
    assert report["memory"] == {}
    assert report["optimizee"] == {
        "name": "simple",
        "coordinates": 1,
        "notice": None,
    }
    assert report["sizes"] == {"steps": 2, "repeats": 2}
    # As if it had been the base MLP, which takes longer.
    report["optimizee"]["name"] = "base_mlp"
    path.write_text(json.dumps(report))
    costs = read_costs(tmp_path)
    assert sorted(costs) == sorted(OPTIMIZERS)
    for name, row in report["optimizers"].items():
        assert costs[name] == (row["weights"], row["median_ms"])
        assert row["low_ms"] <= row["median_ms"] <= row["high_ms"]
    lines = show(report).splitlines()
    cells = next(line.split() for line in lines if line.startswith("dm_base"))
    assert cells[1:3] == ["5,141", "5,301"]
    assert cells[7] == "11.2"


def test_memory_is_that_of_a_process_per_optimizer(monkeypatch, capsys):
    asked = []

    def child(name, script, flags):
        asked.append((name, script, flags))
        return {"peak_rss_bytes": 3 * 2**20}

    def measure(pairs, *_):
        return [StepTime(1.0, 1.0, 1.0, 2, 2) for _ in pairs]

    monkeypatch.setattr(bench_machine, "measure_in_child", child)
    monkeypatch.setattr(wall_clock, "measure_all", measure)
    assert bench_simple.main(SMALL) == 0
    assert [name for name, *_ in asked] == list(OPTIMIZERS)
    assert asked[0][2] == ["--only=simple", *SMALL[:2]]
    (line,) = (
        s for s in capsys.readouterr().out.splitlines() if s.startswith("sgd")
    )
    assert line.split()[-2:] == ["3", "-"]


def test_a_child_prints_how_it_grew(monkeypatch, capsys):
    def growth(make):
        time = make()()
        assert (time.steps, time.repeats) == (2, 1)
        return {"peak_rss_bytes": 5}

    monkeypatch.setattr(bench_machine, "memory_growth", growth)
    assert bench_simple.main(["--only=sgd", *SMALL]) == 0
    assert json.loads(capsys.readouterr().out) == {"peak_rss_bytes": 5}


def test_unknown_optimizees_are_refused(capsys):
    with pytest.raises(SystemExit):
        bench_simple.main(["--optimizee=mars"])
    assert "invalid choice: 'mars'" in capsys.readouterr().err
