"""`python -m l2o_tf.train` as a user types it, and what it answers."""

import csv
import errno
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from support.train_command import QUADRATIC, ROOT, train_command
from tensorboard.backend.event_processing.event_file_loader import (
    EventFileLoader,
)

from l2o_tf import cli, train
from l2o_tf.datasets.embedded import load_mnist_subset
from l2o_tf.learned.weights import load_cell
from l2o_tf.meta_training.summary import check_same_data
from l2o_tf.optimizees import collection
from l2o_tf.optimizees.quadratics import Quadratic
from l2o_tf.runtime import atomic
from l2o_tf.runtime.run_dir import RunDirectoryError


def start(*arguments, cwd=ROOT, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "l2o_tf.train", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Wait for the end; return (exit code, stdout, stderr)."""
    try:
        out, err = process.communicate(timeout=200)
    finally:
        process.kill()
    # What TensorFlow's C++ part writes before it can be told not to.
    noise = ("oneDNN", "absl::InitializeLog", "cuda", "CUDA")
    lines = [x for x in err.splitlines() if not any(n in x for n in noise)]
    return process.returncode, out, "\n".join(lines)


def rows(path, table):
    text = (pathlib.Path(path) / "metrics" / f"{table}.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def record(path):
    tables = [path / "metrics" / f"{t}.csv" for t in ("train", "validation")]
    files = [*tables, *path.glob("best/*"), *path.glob("checkpoints/*")]
    return {str(f.relative_to(path)): f.read_bytes() for f in files}


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Return a function that runs the command in this process."""
    return train_command(monkeypatch, tmp_path)


def test_help_shows_examples_and_every_flag():
    _, out, _ = finish(start("--help"))
    assert "python -m l2o_tf.train --gin_file=gin/dm_cl.gin\n" in out
    assert "--gin_file=gin/dm.gin \\\n" in out
    assert "Ctrl-C or SIGTERM" in out
    text = " ".join(out.split())
    assert "The run itself stays the same, bit for bit. 0: no hist" in text
    assert "pip install tensorboard_plugin_profile, then tensorboard " in text
    for flag in (
        "gin_file",
        "gin_param",
        "run_dir",
        "histogram_period",
        "profile_episode",
        "deterministic",
        "quiet",
        "data_dir",
    ):
        assert f"\n  --{flag}:" in out or f"\n  --[no]{flag}:" in out


def test_the_command_leaves_a_run_directory_and_says_done_the_second_time(
    tmp_path,
):
    # Elsewhere, so that the package's gin folder has to be found.
    command = [f"--gin_file={QUADRATIC}", "--run_dir=mine", "--quiet"]
    code, out, err = finish(start(*command, cwd=tmp_path))
    assert code == 0, err
    path = tmp_path / "mine"
    assert out.startswith("mine: 6 episodes, 12 meta-updates (0 were not")
    assert "Done. The best weights: mine/best/weights.npz" in out
    assert "python -m l2o_tf.evaluate --run_dir=mine" in out
    assert "meta-training: 6/6 episodes" in err
    assert "\r" not in err
    assert len(err.splitlines()) == 1
    operative = (path / "operative_config.gin").read_text()
    assert "Trainer.num_episodes = 6" in operative
    assert "Adam.epsilon = 1e-08" in operative
    assert [row["episode"] for row in rows(path, "train")] == list("123456")
    assert [row["episode"] for row in rows(path, "validation")] == list("36")
    (events,) = (path / "metrics").glob("events.*")
    values = {
        (value.tag, event.step): value
        for event in EventFileLoader(str(events)).Load()
        for value in event.summary.value
    }
    seen = tf.make_ndarray(values["train/mean_meta_loss", 6].tensor)
    told = float(rows(path, "train")[-1]["mean_meta_loss"])
    assert seen == np.float32(told)
    text = tf.make_ndarray(
        next(v for (tag, _), v in values.items() if "config" in tag).tensor
    )
    assert b"DMLSTM.units = (3,)" in text.reshape(-1)[0]
    cell, facts = load_cell(path / "best" / "weights.npz")
    assert cell.units == (3,)
    assert facts["config"] == "quadratic"
    assert facts["seed"] == 0
    assert facts["notice"] is None
    summary = json.loads((path / "summary.json").read_text())
    assert summary["status"] == "done"
    assert summary["episodes"] == 6
    assert summary["versions"]["tensorflow"] == tf.__version__
    before = record(path)
    timing = (path / "metrics" / "timing.csv").read_bytes()
    code, out, err = finish(start(*command, cwd=tmp_path))
    assert code == 0, err
    assert "This run was done before." in out
    assert "meta-training" not in err
    assert record(path) == before
    assert (path / "metrics" / "timing.csv").read_bytes() == timing


def wait_for_episodes(path, count, process):
    table = path / "metrics" / "train.csv"
    while process.poll() is None:
        if table.exists() and len(table.read_bytes().splitlines()) > count:
            return
        time.sleep(0.02)
    pytest.fail(f"ended too early: {process.communicate()}")


def test_sigterm_saves_and_names_the_command_that_continues(
    tmp_path, call, capsys
):
    path = tmp_path / "a run"
    params = ["Trainer.num_episodes = 120", "Trainer.validation_period = 50"]
    process = start(
        f"--gin_file={QUADRATIC}",
        *[f"--gin_param={p}" for p in params],
        f"--run_dir={path}",
        f"--data_dir={tmp_path}",
        "--nodeterministic",
    )
    wait_for_episodes(path, 5, process)
    process.send_signal(signal.SIGSTOP)
    # Meanwhile nobody else may have the directory.
    assert call(*params, run_dir=path) == 1
    said = capsys.readouterr().err
    assert said.startswith("RunDirectoryError: The run directory is in use.")
    assert str(process.pid) in said
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    code, out, err = finish(process)
    assert code == 128 + signal.SIGTERM, err
    assert "Saved after SIGTERM. To continue:" in out
    done = int(out.split(" episodes")[0].split(": ")[1])
    assert 5 <= done < 120
    assert len(rows(path, "train")) == done
    summary = json.loads((path / "summary.json").read_text())
    assert (summary["status"], summary["episodes"]) == ("stopped", done)
    words = shlex.split(out.splitlines()[-1])
    assert summary["command"] == out.splitlines()[-1].strip()
    assert words[:3] == ["python", "-m", "l2o_tf.train"]
    assert f"--data_dir={tmp_path}" in words
    assert "--nodeterministic" in words
    code, out, err = finish(start(*words[3:]))
    assert code == 0, err
    assert f"Continuing after {done} episodes" in err
    assert out.startswith(f"{path}: 120 episodes, 240 meta-updates")
    whole = tmp_path / "whole"
    assert call(*params, run_dir=whole) == 0
    for table in ("train", "validation"):
        assert rows(path, table) == rows(whole, table)
    assert [int(r["episode"]) for r in rows(path, "train")] == [*range(1, 121)]
    a, _ = load_cell(path / "best" / "weights.npz")
    b, _ = load_cell(whole / "best" / "weights.npz")
    np.testing.assert_array_equal(a.meta_params(), b.meta_params())


def test_an_error_is_one_line_and_exit_code_1():
    code, out, err = finish(start("--gin_file=gin/dm_cll.gin"))
    assert code == 1
    assert out == ""
    assert err.startswith(
        "ConfigError: There is no such gin file. "
        "Received: --gin_file='gin/dm_cll.gin'. Did you mean 'gin/dm_cl.gin'?"
    )
    assert len(err.splitlines()) == 1


def test_without_data_and_network_the_subset_is_used_and_said(tmp_path):
    proxy = "http://127.0.0.1:9"
    begin = time.monotonic()
    process = start(
        "--gin_file=gin/dm.gin",
        "--gin_param=Trainer.num_episodes = 1",
        "--gin_param=Trainer.validation_runs = 1",
        "--gin_param=FixedHorizon.horizon = 20",
        "--gin_param=FixedHorizon.validation_horizon = 20",
        "--gin_param=Trainer.jit_compile = False",
        f"--data_dir={tmp_path / 'empty'}",
        f"--run_dir={tmp_path / 'run'}",
        http_proxy=proxy,
        https_proxy=proxy,
        no_proxy="",
    )
    code, out, err = finish(process)
    assert code == 0, err
    assert time.monotonic() - begin < 60.0
    notice = (
        "NOT THE FULL MNIST: the embedded subset of 10,000 train and 2,000 "
        "test images."
    )
    assert "MNIST is not prepared in" in err
    assert "cannot be downloaded" in err
    assert notice in err.splitlines()
    assert notice in out.splitlines()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["notice"] == notice
    assert load_cell(tmp_path / "run/best/weights.npz")[1]["notice"] == notice
    with pytest.raises(
        RunDirectoryError, match="data now: 'the full set'"
    ) as caught:
        check_same_data(tmp_path / "run", None)
    assert notice in str(caught.value)
    check_same_data(tmp_path / "run", notice)


def test_a_run_is_not_continued_on_other_data(call, capsys, monkeypatch):
    assert call("Trainer.num_episodes = 1") == 0
    monkeypatch.setattr(Quadratic, "notice", "NOT THE FULL QUADRATIC")
    assert call("Trainer.num_episodes = 1") == 1
    said = capsys.readouterr().err
    assert "data now: 'NOT THE FULL QUADRATIC'" in said
    assert "at its beginning: 'the full set'" in said


def test_a_notice_is_on_both_streams_and_in_tensorboard(
    call, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(Quadratic, "notice", "NOT THE FULL QUADRATIC")
    assert call("Trainer.num_episodes = 1") == 0
    out, err = capsys.readouterr()
    assert "NOT THE FULL QUADRATIC" in out.splitlines()
    assert "NOT THE FULL QUADRATIC" in err.splitlines()
    (events,) = (tmp_path / "run" / "metrics").glob("events.*")
    assert b"NOT THE FULL QUADRATIC" in events.read_bytes()


@pytest.mark.parametrize("text", ["{", "[]", "{}", "3"])
def test_a_damaged_summary_is_refused(text, tmp_path):
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(RunDirectoryError, match="Received: path="):
        check_same_data(tmp_path, None)


def test_another_configuration_is_refused(call, capsys, tmp_path):
    assert call("Trainer.num_episodes = 1") == 0
    before = record(tmp_path / "run")
    assert call("Trainer.num_episodes = 2") == 1
    said = capsys.readouterr().err
    assert "belongs to another configuration" in said
    assert "-Trainer.num_episodes = 1\n+Trainer.num_episodes = 2\n" in said
    assert record(tmp_path / "run") == before


def test_a_run_dir_that_is_a_file_is_refused(call, capsys, tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    assert call(run_dir=path) == 1
    assert "which is a file" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_a_folder_of_something_else_is_refused(call, capsys, tmp_path):
    (tmp_path / "photo.jpg").write_text("")
    assert call(run_dir=tmp_path) == 1
    assert "a folder of something else" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["photo.jpg"]


@pytest.mark.parametrize(
    ("param", "says"),
    [
        ("Trainer.num_epochs = 3", "num_epochs"),
        ("Curriculum.patience = 3", "Received: Curriculum.patience"),
        ("FixedHorizon.horizon = 5", "horizon=5, unroll_length=2. Use 4 or 6."),
        ("meta/Adam.learning_rate = -1.0", "Received: learning_rate=-1.0"),
        ("DMLSTM.units = (-3,)", "Received: units=-3"),
        ("Trainer.cell = @Adam()", "Adam has no weight to train"),
    ],
)
def test_a_bad_configuration_creates_nothing(
    param, says, call, capsys, tmp_path
):
    assert call(param) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_explained_and_the_command_continues(
    call, capsys, monkeypatch, tmp_path
):
    write = atomic._write_and_sync

    def full(path, data):
        if "step_00000004" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_write_and_sync", full)
        assert call() == 1
    said = capsys.readouterr().err
    assert "OSError: " in said
    assert "Free some space" in said
    assert "run the same command again" in said
    assert "Traceback" not in said
    assert call() == 0
    assert call(run_dir=tmp_path / "whole") == 0
    for table in ("train", "validation"):
        assert rows(tmp_path / "run", table) == rows(tmp_path / "whole", table)


def test_a_run_that_stays_not_finite_fails_in_words(
    call, capsys, monkeypatch, tmp_path
):
    loss = Quadratic.loss
    monkeypatch.setattr(
        Quadratic, "loss", lambda *args: loss(*args) * float("nan")
    )
    assert call("Trainer.max_failed_episodes = 2") == 1
    said = capsys.readouterr().err
    assert "NonFiniteError: 2 episodes in a row" in said
    assert "Lower the meta-optimizer's learning_rate" in said
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert summary["skipped_updates"] == 2
    assert summary["best_weights"] is None


def test_skipped_updates_and_missing_weights_are_said(
    call, capsys, monkeypatch
):
    loss = Quadratic.loss
    monkeypatch.setattr(
        Quadratic, "loss", lambda *args: loss(*args) * float("nan")
    )
    assert call("Trainer.num_episodes = 2") == 0
    out = capsys.readouterr().out
    assert "2 episodes, 0 meta-updates (4 were not finite)" in out
    assert "There are no best weights" in out


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_means_lines_in_place_of_a_bar(quiet, call, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert call("Trainer.num_episodes = 1", quiet=quiet) == 0
    err = capsys.readouterr().err
    assert ("\r" in err) is not quiet
    assert ("meta-training: 1/1 episodes" in err) is quiet


def test_the_command_that_continues_has_all_flags(call):
    call(
        "Trainer.num_episodes = 1",
        run_dir=None,
        gin_file=("gin/nowhere.gin",),
        data_dir="/some where",
        deterministic=False,
        quiet=True,
    )
    assert shlex.split(train._command("runs/x")) == [
        "python",
        "-m",
        "l2o_tf.train",
        "--gin_file=gin/nowhere.gin",
        "--gin_param=Trainer.num_episodes = 1",
        "--run_dir=runs/x",
        "--data_dir=/some where",
        "--nodeterministic",
        "--quiet",
    ]


def test_the_default_directory_is_named_after_the_config(
    call, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert call("Trainer.num_episodes = 1", run_dir=None) == 0
    (path,) = (tmp_path / "runs").iterdir()
    assert path.name.startswith("quadratic-2")
    assert f"runs/{path.name}: 1 episodes" in capsys.readouterr().out


def test_no_configuration_names_one_to_try(call, capsys):
    assert call(gin_file=()) == 1
    assert "Try --gin_file=gin/dm_cl.gin." in capsys.readouterr().err


def test_words_that_are_no_flags_are_refused(call):
    call(gin_file=())  # sets the flags
    with pytest.raises(train.app.UsageError, match=r"gin/dm\.gin"):
        train.main(["train", "gin/dm.gin"])


def test_a_second_interrupt_ends_without_a_traceback(capsys):
    def interrupted(argv):
        raise KeyboardInterrupt

    assert cli.fail_in_words(interrupted, []) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_l2o_scale_meta_runs_on_a_small_ensemble(
    call, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(
        collection, "load_images", lambda name: load_mnist_subset()
    )
    code = call(
        "ensemble.families = ('bowl', 'norm')",
        "ensemble.episodes_per_problem = 3",
        "HierarchicalRNN.units = (2, 3, 3)",
        "windows/LongTail.scale = 0.5",
        "windows/LongTail.maximum = 3",
        "steps/LongTail.scale = 1.0",
        "steps/LongTail.minimum = 1",
        "steps/LongTail.maximum = 3",
        "TruncatedBackpropagation.unroll_length = 3",
        "RandomWindows.validation_horizon = 2",
        "Trainer.num_episodes = 6",
        "Trainer.validation_runs = 1",
        "valid/mlp_orig.objective_size = 500",
        gin_file=["gin/scale_meta.gin"],
    )
    assert code == 0
    assert "6 episodes" in capsys.readouterr().out
    episodes = rows(tmp_path / "run", "train")
    problems = [row["problem"] for row in episodes]
    assert problems == [problems[0]] * 3 + [problems[3]] * 3
    assert {name.partition("/")[0] for name in problems} <= {"bowl", "norm"}
    assert all(1 <= int(row["horizon"]) <= 9 for row in episodes)
    (validation,) = rows(tmp_path / "run", "validation")
    assert validation["verdict"] == "save"
    cell, facts = load_cell(tmp_path / "run" / "best" / "weights.npz")
    assert cell.units == (2, 3, 3)
    assert facts["config"] == "scale_meta"
    assert "NOT THE FULL MNIST" in facts["notice"]
