"""The benchmark of evaluations: one protocol, its arithmetic, its refusals."""

import json

import bench_evaluation
import bench_machine
import numpy as np
import pytest
import tensorflow as tf
from bench_evaluation import (
    OPTIMIZEES,
    PLAIN,
    PROGRAMS,
    PlainEvaluation,
    flatness,
    make_record,
    measure_times,
    memory_lengths,
    summarise,
)
from yardstick import plain_loss

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.evaluation.recorder import CurveRecorder
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.optimizees import collection
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.quadratics import Quadratic

STEPS = 7


def small_mlp():
    return MLP(synthetic_images(), "test", (5, 4), batch_size=8)


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_the_plain_program_records_the_recorders_losses(jit_compile):
    problem, cell = small_mlp(), DMLSTM(output_scale=0.1)
    recorder = CurveRecorder(cell, problem, 4, jit_compile)
    expected = np.concatenate(list(recorder.record(3, STEPS)))
    plain = PlainEvaluation(problem, STEPS, jit_compile)
    weights = list(cell.meta_layout.split(cell.meta_params()))
    # The yardstick's output scale is the paper's, 0.01.
    weights[-2:] = [10.0 * w for w in weights[-2:]]
    losses = plain.curve(weights, seeds.make_seed(3)).numpy()
    assert losses.shape == (STEPS,)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    # Enough happens for a loss of the wrong batch or step to be seen.
    assert np.min(np.abs(np.diff(expected)) / expected[1:]) > 1e-3


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_returns_the_curve_of_its_seed(name):
    record = make_record(name, DMLSTM(), Quadratic(3, 2), STEPS)
    first, second = record(0), record(1)
    assert first.shape == second.shape == (STEPS,)
    assert np.all(first != second)
    np.testing.assert_array_equal(record(0), first)


def timed(samples, losses, first=9.0):
    return {
        "first_call_seconds": first,
        "samples": samples,
        "losses": losses,
    }


def test_the_ratio_is_to_the_faster_plain_program_round_by_round():
    summary = summarise(
        {
            "recorder": timed([2.0, 3.0, 8.0], [[1.0, 2.0]] * 3, 10.0),
            "plain-xla": timed([4.0, 5.0, 6.0], [[1.0, 2.5]] * 3),
            "plain-graph": timed([8.0, 4.0, 4.0], [[1.0, 2.0]] * 3),
        },
        num_steps=10,
    )
    ratio = summary["against_the_faster"]
    # The medians are 5 and 4; 2/8, 3/4, 8/4.
    assert ratio["program"] == "plain-graph"
    assert ratio["median"] == 0.75
    assert (ratio["q1"], ratio["q3"]) == (0.5, 1.375)
    rows = summary["results"]
    assert rows["recorder"]["ratio"]["median"] == 1.0
    assert rows["plain-xla"]["ratio"]["median"] == 0.6  # 2/4, 3/5, 8/6
    assert rows["recorder"]["seconds_per_step"]["median"] == 0.3
    assert rows["recorder"]["compile_seconds"] == 7.0
    assert rows["plain-xla"]["largest_relative_loss_difference"] == 0.25
    assert rows["plain-graph"]["largest_relative_loss_difference"] == 0.0


def test_every_round_times_every_program_on_one_seed():
    asked = []

    def program(name):
        def record(seed):
            asked.append((name, seed))
            return np.full(150, seed + 1.0)

        return record

    results = measure_times({name: program(name) for name in PROGRAMS}, 2)
    a, b, c = PROGRAMS
    warm_up = [(a, 2), (b, 2), (c, 2)]
    assert asked == [*warm_up, (a, 0), (b, 0), (c, 0), (b, 1), (c, 1), (a, 1)]
    for row in results.values():
        assert len(row["samples"]) == 2
        assert row["losses"] == [100 * [1.0], 100 * [2.0]]


def test_an_evaluation_that_diverges_is_not_measured():
    with pytest.raises(
        RuntimeError, match="Received: plain-xla, seed=0, from step 2 on"
    ):
        measure_times({"plain-xla": lambda seed: np.array([1.0, np.nan])}, 1)


def test_memory_is_measured_at_a_tenth_the_whole_and_twice_the_steps():
    assert memory_lengths(10_000) == (1_000, 10_000, 20_000)
    assert memory_lengths(3) == (1, 3, 6)


def test_flat_is_the_memory_of_most_steps_over_that_of_fewest():
    memory = {
        "2000": {"peak_rss_bytes": 50},
        "10000": {"peak_rss_bytes": 90},
        "20000": {"peak_rss_bytes": 60},
    }
    assert flatness(memory) == 1.2


def test_the_command_writes_what_it_shows(monkeypatch, capsys, tmp_path):
    asked = []

    def child(name, script, flags):
        asked.append((name, script, flags))
        return {"peak_rss_bytes": 2**20 * len(asked)}

    monkeypatch.setattr(bench_machine, "measure_in_child", child)
    path = tmp_path / "evaluation.json"
    flags = ["--optimizee=simple", "--steps=20", "--repeats=2"]
    assert bench_evaluation.main([*flags, f"--json={path}"]) == 0
    report = json.loads(path.read_text())
    text = capsys.readouterr().out
    assert bench_evaluation.show(report) in text
    assert [name for name, *_ in asked] == ["2 steps", "20 steps", "40 steps"]
    assert asked[0][1] == bench_evaluation.__file__
    assert report["memory"] == {
        "2": {"peak_rss_bytes": 2**20},
        "20": {"peak_rss_bytes": 2**21},
        "40": {"peak_rss_bytes": 3 * 2**20},
    }
    assert "flat: 3.00" in text
    assert sorted(report["results"]) == sorted(PROGRAMS)
    assert report["against_the_faster"]["program"] in PLAIN
    assert report["sizes"] == {"steps": 20, "repeats": 2}
    assert report["optimizee"]["coordinates"] == 1
    assert report["versions"]["tensorflow"] == tf.__version__
    for row in report["results"].values():
        assert row["largest_relative_loss_difference"] < 1e-4
        assert len(row["samples"]) == 2
        assert len(row["losses"][0]) == 20
    lines = [line.split() for line in text.splitlines() if line]
    header = next(line for line in lines if line[0] == "program")
    assert header[1:] == ["s/step", "q1", "q3", "ratio", "compile", "s"]
    rows = {line[0]: line for line in lines if line[0] in PROGRAMS}
    assert rows["recorder"][4] == "1.00"
    # What the child is asked is what it understands.
    assert bench_evaluation.main(asked[1][2]) == 0
    growth = json.loads(capsys.readouterr().out)
    # This process had the memory already.
    assert abs(growth["peak_rss_bytes"]) < 300e6


def test_without_memory_no_process_is_started(monkeypatch, capsys):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(bench_machine, "measure_in_child", refuse)
    monkeypatch.setattr(bench_evaluation, "measure_times", lambda *_: SCRIPTED)
    flags = ["--optimizee=simple", "--steps=2", "--skip_memory"]
    assert bench_evaluation.main(flags) == 0
    text = capsys.readouterr().out
    assert "flat" not in text
    assert "Against the faster, plain-graph: 0.500 (0.500 to 0.500)" in text
    assert (
        "The first 2 losses differ from the recorder's by at most 0.0" in text
    )


SCRIPTED = {
    "recorder": timed([1.0], [[1.0, 1.0]]),
    "plain-xla": timed([4.0], [[1.0, 1.0]]),
    "plain-graph": timed([2.0], [[1.0, 1.0]]),
}


@pytest.mark.parametrize("name", OPTIMIZEES)
def test_every_problem_that_can_be_named_has_a_plain_program(name, monkeypatch):
    monkeypatch.setattr(collection, "load_images", lambda _: synthetic_images())
    loss = plain_loss(collection.named_optimizee(name, "test"))
    assert callable(loss)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--optimizee=rastrigin", "invalid choice: 'rastrigin'"),
        ("--steps=0", "--steps: must be a positive int. Received: '0'"),
        ("--repeats=1.5", "must be a positive int. Received: '1.5'"),
        ("--json=absent/x.json", "Received: 'absent/x.json'"),
    ],
)
def test_bad_flags_are_refused_in_words(flag, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        bench_evaluation.main([flag])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
