"""`evaluate` and `plot` as a user types them."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.released_pickles import released_pickle

from l2o_tf.evaluation.curves import load_curves
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.learned.weights import save_weights


def run(command, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"l2o_tf.{command}", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def read_rows(folder):
    text = (folder / "index.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "mine.npz"
    cell = DMLSTM(preprocessing="identity", seed=3)
    save_weights(path, cell, cell.meta_params(), {"config": "test"})
    return path


def test_evaluate_then_plot(weights, tmp_path):
    result = run(
        "evaluate",
        f"--weights={weights}",
        "--optimizee=quadratic,simple",
        "--steps=30",
        "--seeds=0,5",
        f"--output_dir={tmp_path}",
    )
    assert result.returncode == 0, result.stderr
    curves = load_curves([tmp_path])
    assert sorted((c.optimizee, c.seed) for c in curves) == [
        ("quadratic", 0),
        ("quadratic", 5),
        ("simple", 0),
        ("simple", 5),
    ]
    assert all(c.optimizer == "mine" and len(c.losses) == 30 for c in curves)
    assert all(np.isfinite(c.losses).all() for c in curves)
    rows = read_rows(tmp_path)
    assert len(rows) == 4

    again = run(
        "evaluate",
        "--optimizer=sgd",
        "--learning_rate=0.1",
        "--optimizee=simple",
        "--steps=30",
        "--seeds=0",
        f"--output_dir={tmp_path}",
    )
    assert again.returncode == 0, again.stderr
    # x_t = 0.8^t from x_0 = 1.
    (sgd,) = (c for c in load_curves([tmp_path]) if c.optimizer == "sgd_0.1")
    np.testing.assert_allclose(
        sgd.losses, 0.8 ** (2 * np.arange(1, 31)), rtol=1e-4
    )
    assert len(read_rows(tmp_path)) == 5

    picture = run("plot", tmp_path, "--smooth=5")
    assert picture.returncode == 0, picture.stderr
    assert str(tmp_path / "curves.png") in picture.stdout
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


ADAM = ("--optimizer=adam", "--learning_rate=0.1")
MISTAKES = [
    ((), "Received: none of them"),
    (("--weights=a", "--run_dir=b"), "Give one of"),
    (("--optimizer=adam",), "learning_rate=None"),
    (("--weights=absent.npz",), "Received: path='absent.npz'"),
    (("--weights=absent/cw.l2l-0",), "Received: path='absent/cw.l2l-0'"),
    (("--run_dir=absent",), "Received: run_dir='absent'"),
    ((*ADAM, "--optimizee=mlp_rel"), "Did you mean 'mlp_relu'"),
    (
        ("--optimizer=adam", "--learning_rate=nan"),
        "Received: learning_rate=nan",
    ),
    ((*ADAM, "--seeds=0,x"), "--seeds must be ints"),
    ((*ADAM, "--seeds=1,1"), "each once"),
    ((*ADAM, "--optimizee=simple", "--steps=-3"), "Received: steps=-3"),
    (
        ("--gin_file=gin/eval_paper.gin", "--seeds=0", "--weights=a"),
        "--gin_file with --weights, --seeds",
    ),
    (("--gin_file=gin/eval_papr.gin",), "Did you mean 'gin/eval_paper.gin'"),
    (("--gin_file=gin/eval_paper.gin",), "path='weights/dm.npz'"),
    ((*ADAM, "--gin_param=seeds = (0,)"), "Add --gin_file"),
]


def run_all(lists):
    """Return the exit code and the errors of each command, in one process."""
    script = pathlib.Path(__file__).parent / "support" / "many_commands.py"
    result = subprocess.run(
        [sys.executable, script],
        input=json.dumps(lists),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(script.parents[2])},
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_mistakes_end_in_one_worded_line(tmp_path):
    answers = run_all(
        [
            ["evaluate", *arguments, f"--output_dir={tmp_path}"]
            for arguments, _ in MISTAKES
        ]
    )
    assert len(answers) == len(MISTAKES)
    for (_, message), (code, text) in zip(MISTAKES, answers, strict=True):
        assert code == 1
        assert message in text
        # gin adds a line that names the scope.
        lines = text.splitlines()
        assert len(lines) == 1 or lines[1].startswith("  In call to")


def test_released_pickles_have_the_curves_of_the_same_arrays(tmp_path):
    common = ["--optimizee=simple", "--steps=20", "--seeds=3", "--quiet"]
    common += ["--nojit_compile", f"--output_dir={tmp_path / 'curves'}"]
    lists = []
    for cell, name in ((DMLSTM(seed=4), "dm"), (RNNprop(seed=4), "rnnprop")):
        values = map(np.asarray, cell.meta_layout.split(cell.meta_params()))
        arrays = dict(zip(cell.meta_layout.names, values, strict=True))
        plain = tmp_path / f"{name}_npz.npz"
        np.savez(plain, **arrays)
        pickled = tmp_path / name / "cw.l2l-0"
        pickled.parent.mkdir()
        pickled.write_bytes(released_pickle(arrays))
        for path in (plain, pickled):
            lists.append(["evaluate", f"--weights={path}", *common])
    assert [code for code, _ in run_all(lists)] == [0] * 4
    curves = {c.optimizer: c.losses for c in load_curves([tmp_path / "curves"])}
    assert sorted(curves) == ["dm", "dm_npz", "rnnprop", "rnnprop_npz"]
    np.testing.assert_array_equal(curves["dm"], curves["dm_npz"])
    np.testing.assert_array_equal(curves["rnnprop"], curves["rnnprop_npz"])
    assert not np.array_equal(curves["dm"], curves["rnnprop"])


def test_plot_without_curves_is_refused(tmp_path):
    for arguments in ((), (tmp_path,)):
        result = run("plot", *arguments)
        assert result.returncode == 1
        assert "Received" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["evaluate", "plot"])
def test_help_shows_examples(command):
    result = run(command, "--help")
    assert f"python -m l2o_tf.{command}" in result.stdout
    assert "For example" in result.stdout


SWEEP = """
evaluate.sweep = @Sweep()
Sweep.comparisons = [@Comparison()]
Comparison.optimizers = [@sgd/Fixed(), @adam/Tuned()]
Comparison.optimizees = ('simple',)
Comparison.seeds = (0, 1, 2, 3, 4, 5)
Comparison.steps = 40000
sgd/Fixed.name = 'sgd'
sgd/Fixed.cell = @SGD()
SGD.learning_rate = 1e-4
adam/Tuned.name = 'adam'
adam/Tuned.candidates = @LearningRateGrid()
adam/Tuned.steps = 20
LearningRateGrid.cell = @Adam
LearningRateGrid.learning_rates = (0.01, 0.1)
"""


def begin(config, folder):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "l2o_tf.evaluate",
            f"--gin_file={config}",
            f"--output_dir={folder}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def losses_in(folder):
    return {
        p.name: load_curves([p])[0].losses
        for p in folder.rglob("*.npz")
        if ".locks" not in p.parts
    }


def test_killed_and_shared_a_sweep_ends_with_the_files_of_one_run(tmp_path):
    config = tmp_path / "sweep.gin"
    config.write_text(SWEEP)
    shared, whole = tmp_path / "shared", tmp_path / "whole"
    killed = begin(config, shared)
    while not list(shared.glob("sgd*.npz")):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.005)
    killed.kill()
    killed.communicate()
    finished = {p: p.stat().st_mtime_ns for p in shared.glob("*.npz")}
    assert 1 <= len(finished) < 12

    both = [begin(config, shared), begin(config, shared)]
    alone = begin(config, whole)
    for process in (*both, alone):
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert "12 curves in" in out
    assert {p: p.stat().st_mtime_ns for p in finished} == finished
    expected, found = losses_in(whole), losses_in(shared)
    assert sorted(expected) == sorted(found)
    assert len(expected) == 14
    for name, losses in expected.items():
        np.testing.assert_array_equal(found[name], losses)
    assert len(read_rows(shared)) == 12
    (stored,) = (shared / "configs").iterdir()
    assert "LearningRateGrid.learning_rates = (0.01, 0.1)" in stored.read_text()


def test_sigterm_names_the_command_that_goes_on(tmp_path):
    config = tmp_path / "sweep.gin"
    config.write_text(SWEEP.replace("40000", "4000000"))
    process = begin(config, tmp_path / "out")
    while not (tmp_path / "out" / ".locks" / "measuring.lock").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert "Stopped by SIGTERM" in out
    assert f"python -m l2o_tf.evaluate --gin_file={config}" in out
