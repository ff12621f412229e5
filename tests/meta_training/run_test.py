"""A run in its directory: what it leaves, and that no interruption shows."""

import csv
import errno
import json
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from support.event_files import histograms
from support.training import (
    ScriptedTrainer,
    ensemble_trainer,
    small_trainer,
)
from tensorboard.backend.event_processing.event_file_loader import (
    EventFileLoader,
)

from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.weights import load_cell
from l2o_tf.meta_training import run as run_module
from l2o_tf.meta_training.failures import NonFiniteError
from l2o_tf.meta_training.run import Run
from l2o_tf.meta_training.state import Phase
from l2o_tf.optimizees.quadratics import Simple
from l2o_tf.runtime import atomic
from l2o_tf.runtime.arrays import CheckpointError
from l2o_tf.runtime.checkpoints import Checkpoints
from l2o_tf.runtime.interrupts import GracefulStop
from l2o_tf.runtime.metrics import MetricsError
from l2o_tf.runtime.run_dir import RunDirectory

DRIVER = pathlib.Path(__file__).parents[1] / "support" / "kill_driver.py"
SIGKILL, SAVED, DONE = -9, 3, 0

# Where each attempt of a run ends; how often a function was called is counted
# within the attempt. A whole run has 21 episodes, 9 validations, 3 stages.
DETERMINISTIC = {
    "metrics": ["metric after 1 SIGKILL", "metric before 12 SIGKILL"],
    "checkpoints": [
        "checkpoint before 2 SIGKILL",
        "checkpoint after 3 SIGKILL",
        "unlink after 2 SIGKILL",
    ],
    "inside_a_write": ["rename before 7 SIGKILL", "rename after 9 SIGKILL"],
    "best_weights": ["weights before 1 SIGKILL", "weights after 3 SIGKILL"],
    "transitions": [
        "judge after 2 SIGKILL",
        "validation_run after 2 SIGKILL",
        "episode after 8 SIGKILL",
    ],
    "terminated": [
        "episode after 2 SIGTERM",
        "validation_run before 2 SIGTERM",
        "judge after 2 SIGTERM",
        "checkpoint before 3 SIGTERM",
    ],
    "interrupted_then_killed": [
        "metric after 20 SIGINT",
        "checkpoint before 2 SIGKILL",
    ],
}
IMITATING = {
    "imitating_whole": [],
    "imitating_killed": [
        "episode after 5 SIGKILL",
        "metric before 9 SIGKILL",
        "validation_run after 2 SIGKILL",
        "judge after 1 SIGTERM",
        "checkpoint after 3 SIGKILL",
    ],
}
OF_L2O_SCALE = {
    "ensemble_whole": [],
    "ensemble_killed": [
        "episode after 3 SIGKILL",
        "judge after 1 SIGTERM",
    ],
    "released_whole": [],
    "released_killed": [
        "validation_run after 2 SIGKILL",
        "episode after 2 SIGTERM",
    ],
}
WINDOWED = {
    "windowed_whole": [],
    # Around every kind of file, in the first window, the last, and between.
    "windowed_killed": [
        "weights before 2 SIGKILL",
        "weights after 3 SIGKILL",
        "checkpoint before 4 SIGKILL",
        "rename after 9 SIGKILL",
        "judge after 1 SIGTERM",
        "validation_run after 7 SIGKILL",
    ],
}
PROBED = {
    "probed_whole": [],
    # Twice among the six rows of a probe, then between a probe's episode and
    # its checkpoint.
    "probed_killed": [
        "metric after 8 SIGKILL",
        "metric before 18 SIGKILL",
        "episode after 5 SIGKILL",
        "checkpoint before 3 SIGKILL",
    ],
}
_DELAYS = np.random.default_rng(0).uniform(0.0, 1.0, 4)
RANDOM = {
    f"random_{i}": [f"delay {d:.3f} SIGKILL" for d in _DELAYS[i : i + 2]]
    for i in (0, 2)
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run everything in one process; return the folder and how it ended."""
    folder = tmp_path_factory.mktemp("runs")
    plan = {"whole": [], **DETERMINISTIC, **RANDOM, **IMITATING}
    plan |= OF_L2O_SCALE | WINDOWED | PROBED
    done = subprocess.run(
        [
            sys.executable,
            str(DRIVER),
            json.dumps({str(folder / name): plan[name] for name in plan}),
        ],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    return folder, {name: ends[str(folder / name)] for name in plan}


def record(path):
    """Read all that must be equal, byte for byte."""
    files = [
        *path.glob("best/*"),
        path / "metrics" / "train.csv",
        path / "metrics" / "validation.csv",
        *path.glob("metrics/imitation.csv"),
        *path.glob("metrics/histograms.csv"),
        max(path.glob("checkpoints/*.npz")),
    ]
    return {str(f.relative_to(path)): f.read_bytes() for f in files}


def read_table(path, name):
    text = (path / "metrics" / f"{name}.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def test_the_uninterrupted_run_sees_three_stages(runs):
    folder, ends = runs
    assert ends["whole"] == [DONE]
    rows = read_table(folder / "whole", "validation")
    verdicts = [row["verdict"] for row in rows]
    assert verdicts.count("next_stage") == 2
    assert verdicts.count("start") == 2
    assert verdicts[-1] == "stop"
    assert len(read_table(folder / "whole", "train")) == 21
    best = sorted(p.name for p in (folder / "whole" / "best").iterdir())
    assert best == ["stage_0.npz", "stage_1.npz", "weights.npz"]


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_run_killed_or_stopped_at_a_moment_ends_the_same(name, runs):
    folder, ends = runs
    expected = [
        SIGKILL if moment.endswith("SIGKILL") else SAVED
        for moment in DETERMINISTIC[name]
    ]
    assert ends[name] == [*expected, DONE]
    assert record(folder / name) == record(folder / "whole")
    assert not list((folder / name).rglob("*.partial"))


def test_a_run_with_teachers_that_was_killed_ends_the_same(runs):
    folder, ends = runs
    assert ends["imitating_whole"] == [DONE]
    assert ends["imitating_killed"] == [*3 * [SIGKILL], SAVED, SIGKILL, DONE]
    whole = folder / "imitating_whole"
    assert record(folder / "imitating_killed") == record(whole)
    assert "metrics/imitation.csv" in record(whole)


def test_a_run_with_teachers_keeps_their_episodes_in_their_own_table(runs):
    folder, _ = runs
    own = read_table(folder / "imitating_whole", "train")
    taught = read_table(folder / "imitating_whole", "imitation")
    numbers = sorted(int(row["episode"]) for row in own + taught)
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(own) > 3
    assert len(taught) > 3
    # round robin
    names = [row["teacher"] for row in taught]
    assert names == (["adam", "sgd"] * len(names))[: len(names)]
    timing = read_table(folder / "imitating_whole", "timing")
    assert len(timing) == len(numbers)
    assert not (folder / "whole" / "metrics" / "imitation.csv").exists()


@pytest.mark.parametrize("kind", ["ensemble", "released"])
def test_a_run_of_l2o_scale_that_was_killed_ends_the_same(kind, runs):
    folder, ends = runs
    assert ends[f"{kind}_whole"] == [DONE]
    assert ends[f"{kind}_killed"] == [SIGKILL, SAVED, DONE]
    whole = record(folder / f"{kind}_whole")
    assert record(folder / f"{kind}_killed") == whole


def test_a_run_with_windows_that_was_killed_ends_with_the_same_files(runs):
    folder, ends = runs
    assert ends["windowed_whole"] == [DONE]
    killed = [SIGKILL, SIGKILL, SIGKILL, SIGKILL, SAVED, SIGKILL]
    assert ends["windowed_killed"] == [*killed, DONE]
    whole = record(folder / "windowed_whole")
    assert record(folder / "windowed_killed") == whole
    windows = sorted(name for name in whole if "episodes" in name)
    assert windows == [f"best/episodes_{n}.npz" for n in (12, 15, 6)]


def test_a_run_with_histograms_that_was_killed_ends_with_the_same_files(runs):
    folder, ends = runs
    assert ends["probed_whole"] == [DONE]
    killed = [SIGKILL] * len(PROBED["probed_killed"])
    assert ends["probed_killed"] == [*killed, DONE]
    whole = folder / "probed_whole"
    assert record(folder / "probed_killed") == record(whole)
    rows = read_table(whole, "histograms")
    assert [int(row["episode"]) for row in rows] == [
        *(6 * [3]),
        *(6 * [6]),
        *(6 * [9]),
    ]
    for path in (folder / "probed_killed", whole):
        shown = histograms(path / "metrics")
        assert len(shown) == 6
        assert {tuple(steps) for steps in shown.values()} == {(3, 6, 9)}


def test_a_run_on_an_ensemble_names_the_problem_of_every_episode(runs):
    folder, _ = runs
    rows = read_table(folder / "ensemble_whole", "train")
    trainer = ensemble_trainer()
    state = trainer.initial_state()
    states = [state.replace(episode=episode) for episode in range(12)]
    assert [row["problem"] for row in rows] == [
        trainer.problem(state) for state in states
    ]
    assert len({row["problem"] for row in rows}) > 1
    plain = read_table(folder / "whole", "train")
    assert "problem" not in plain[0]


def test_the_horizon_of_a_run_with_random_windows_is_their_sum(runs):
    folder, _ = runs
    rows = read_table(folder / "ensemble_whole", "train")
    trainer = ensemble_trainer()
    state = trainer.initial_state()
    windows = [
        trainer.windows(state.replace(episode=episode)) for episode in range(12)
    ]
    assert [int(row["horizon"]) for row in rows] == [sum(w) for w in windows]
    updates = np.cumsum([len(w) for w in windows])
    assert [int(row["meta_updates"]) for row in rows] == list(updates)


def test_a_run_of_l2o_scales_program_goes_back_to_the_best(runs):
    folder, _ = runs
    rows = read_table(folder / "released_whole", "validation")
    assert "next_stage" in [row["verdict"] for row in rows]
    assert read_table(folder / "released_whole", "imitation")


@pytest.mark.parametrize("name", RANDOM)
def test_a_run_killed_at_random_moments_ends_the_same(name, runs):
    folder, ends = runs
    assert ends[name][0] == SIGKILL
    assert ends[name][-1] == DONE
    assert record(folder / name) == record(folder / "whole")


@pytest.mark.parametrize("name", ["whole", "metrics", "terminated"])
def test_tensorboard_has_every_row_once(name, runs):
    path = runs[0] / name
    (file,) = (path / "metrics").glob("events.*")
    steps = [
        event.step
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
        if value.tag == "train/mean_meta_loss"
    ]
    rows = read_table(path, "train")
    assert steps == [int(row["episode"]) for row in rows] == [*range(1, 22)]


def test_the_tables_say_what_happened(runs):
    path = runs[0] / "whole"
    rows = read_table(path, "train")
    horizons = {row["stage"]: row["horizon"] for row in rows}
    assert horizons == {"0": "2", "1": "4", "2": "6"}
    updates = np.cumsum([int(row["horizon"]) // 2 for row in rows])
    assert [int(row["meta_updates"]) for row in rows] == list(updates)
    assert len(read_table(path, "timing")) == 21
    for row in read_table(path, "validation"):
        mean = float(row["mean_loss"])
        assert mean == float(row["cost"]) / 3


def in_process(path, trainer, **options):
    """Run to the end in this process; return the last state."""
    with (
        RunDirectory(path, "a = 1\n") as directory,
        GracefulStop() as stop,
        Run(trainer, directory, {}, quiet=True, **options) as run,
    ):
        return run.finish(stop)


def test_best_weights_are_those_of_the_latest_improvement(tmp_path):
    trainer = ScriptedTrainer(
        [5.0, 4.0, 4.5, 3.0, 2.0, 2.5, 1.0, 1.5], validation_period=1
    )
    state = in_process(tmp_path / "run", trainer)
    assert state.phase is Phase.DONE
    cell, facts = load_cell(tmp_path / "run" / "best" / "weights.npz")
    np.testing.assert_array_equal(cell.meta_params(), state.best)
    assert facts["validation"]["cost"] == 2.0
    assert facts["validation"]["stage"] == 1
    first, facts = load_cell(tmp_path / "run" / "best" / "stage_0.npz")
    assert facts["validation"]["cost"] == 4.0
    assert np.any(first.meta_params() != cell.meta_params())


def test_a_run_without_a_finite_validation_has_no_best_weights(tmp_path):
    trainer = ScriptedTrainer([math.nan, math.nan], validation_period=1)
    state = in_process(tmp_path / "run", trainer)
    assert state.phase is Phase.DONE
    assert list((tmp_path / "run" / "best").iterdir()) == []
    rows = read_table(tmp_path / "run", "validation")
    assert rows[0]["cost"] == "nan"


def test_a_finished_run_is_not_run_again(tmp_path):
    path = tmp_path / "run"
    in_process(path, ScriptedTrainer([3.0], num_episodes=3))
    before = record(path)
    state = in_process(path, ScriptedTrainer([], num_episodes=3))
    assert state.phase is Phase.DONE
    assert record(path) == before


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    path = tmp_path / "run"
    in_process(path, ScriptedTrainer([3.0], num_episodes=3))
    before = record(path)
    other = ScriptedTrainer([], cell=LearnableSGD(), num_episodes=3)
    with pytest.raises(
        ValueError, match=r"another learned optimizer.*Received: \{'state_000'"
    ):
        in_process(path, other)
    assert record(path) == before


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied"])
def test_an_unreadable_checkpoint_is_refused_in_words(damage, tmp_path):
    path = tmp_path / "run"
    in_process(path, ScriptedTrainer([3.0], num_episodes=3))
    newest = max((path / "checkpoints").iterdir())
    data = newest.read_bytes()
    half = len(data) // 2
    newest.write_bytes(
        {
            "cut": data[:half],
            "changed": data[:half] + b"?" + data[half + 1 :],
            "emptied": b"",
        }[damage]
    )
    with pytest.raises(
        CheckpointError, match="newest checkpoint is unusable"
    ) as caught:
        in_process(path, ScriptedTrainer([], num_episodes=3))
    assert f"path={str(newest)!r}" in str(caught.value)
    assert "Deleting it resumes from" in str(caught.value)


def test_metrics_that_lack_rows_of_the_checkpoint_are_refused(tmp_path):
    path = tmp_path / "run"
    in_process(path, ScriptedTrainer([3.0], num_episodes=3))
    table = path / "metrics" / "train.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:-1]))
    with pytest.raises(MetricsError, match="Received: rows=3"):
        in_process(path, ScriptedTrainer([], num_episodes=3))


def test_a_full_disk_ends_the_run_and_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "run"
    write = atomic._write_and_sync

    def full(path, data):
        if "step_00000007" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(atomic, "_write_and_sync", full)
    with pytest.raises(OSError, match="Free some space") as caught:
        in_process(path, small_trainer(num_episodes=9))
    assert caught.value.errno == errno.ENOSPC
    assert Checkpoints(path / "checkpoints").latest()[0] == 4
    monkeypatch.undo()
    in_process(path, small_trainer(num_episodes=9))
    in_process(tmp_path / "whole", small_trainer(num_episodes=9))
    tables = ("metrics/train.csv", "metrics/validation.csv")
    ours, whole = record(path), record(tmp_path / "whole")
    assert [ours[t] for t in tables] == [whole[t] for t in tables]
    # Keras numbers the names of the cells of one process: compare arrays.
    for file in ("best/weights.npz", "checkpoints/step_00000012.npz"):
        with np.load(path / file) as a, np.load(tmp_path / "whole" / file) as b:
            names = [n for n in a.files if n != "__metadata__"]
            assert names
            for name in names:
                np.testing.assert_array_equal(a[name], b[name])


class Fading(Simple):
    """x^2 that is no number once x has become small."""

    def loss(self, params, constants, batch):
        value = super().loss(params, constants, batch)
        return tf.where(value < 1.0, np.nan, value)


def test_a_run_that_fails_leaves_its_state_from_before(tmp_path):
    path = tmp_path / "run"
    trainer = ScriptedTrainer(
        [],
        optimizee=Fading(),
        cell=LearnableSGD(0.1),
        max_failed_episodes=2,
        num_episodes=9,
    )
    with pytest.raises(NonFiniteError, match="Received: max_failed_episodes=2"):
        in_process(path, trainer, checkpoint_period=1)
    rows = read_table(path, "train")
    assert [row["skipped_updates"] for row in rows] == ["1"]
    assert [row["mean_meta_loss"] for row in rows] == ["nan"]
    state = trainer.initial_state().from_arrays(
        *[
            Checkpoints(path / "checkpoints").latest()[1],
            Checkpoints(path / "checkpoints").latest()[2]["state"],
        ]
    )
    assert state.episode == 1
    np.testing.assert_array_equal(
        state.meta.meta_params, trainer.cell.meta_params()
    )


def test_slow_episodes_are_checkpointed_by_the_clock(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(
        Checkpoints, "save", lambda self, step, *rest: saved.append(step)
    )
    for seconds in (600.0, 0.0):
        monkeypatch.setattr(run_module, "_CHECKPOINT_SECONDS", seconds)
        trainer = ScriptedTrainer([3.0], num_episodes=5, validation_period=5)
        in_process(tmp_path / f"{seconds}", trainer, checkpoint_period=100)
        saved.append("end")
    assert saved[: saved.index("end")][0] == 5  # before the validation
    assert saved[saved.index("end") + 1 :][:4] == [1, 2, 3, 4]


@pytest.mark.parametrize("period", [0, -1, 1.5])
def test_the_checkpoint_period_is_a_positive_int(period, tmp_path):
    with pytest.raises(
        ValueError, match=f"Received: checkpoint_period={period}"
    ):
        in_process(
            tmp_path / "run", ScriptedTrainer([]), checkpoint_period=period
        )
