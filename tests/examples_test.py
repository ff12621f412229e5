"""The programs of examples/ run, at a small size, and show what they promise.

Each is a process of its own, as a user starts it, in an empty folder.
"""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import l2o_tf
from l2o_tf.learned.weights import load_cell

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
NOWHERE = "http://127.0.0.1:9"  # a port that refuses


def run(name, folder, *arguments):
    """Return what an example prints."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        # Nothing is prepared there, and nothing can be downloaded: the
        # embedded subset takes its place.
        "TFDS_DATA_DIR": str(folder / "no_data"),
        "http_proxy": NOWHERE,
        "https_proxy": NOWHERE,
        "no_proxy": "",
    }
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested_and_says_how_to_run_it():
    tests = pathlib.Path(__file__).read_text()
    names = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert len(names) == 4
    for name in names:
        assert re.search(rf'run\(\s*"{name}"', tests), name
        assert f"python examples/{name}" in (EXAMPLES / name).read_text()


@pytest.mark.slow
def test_a_keras_model_is_trained_by_a_learned_optimizer(tmp_path):
    out = run("train_keras_model.py", tmp_path, "--epochs", 2, "--steps", 30)
    assert "NOT THE FULL MNIST" in out
    losses = dict(re.findall(r"(\w+) epoch 2: test loss ([\d.]+)", out))
    assert set(losses) == {"rnnprop_cl_il", "adam"}
    # An untrained network is at ln 10 = 2.3 or above.
    assert float(losses["rnnprop_cl_il"]) < 1.0
    assert " dm_cl_il " in out.splitlines()[1]


@pytest.mark.slow
def test_meta_training_on_a_keras_model_helps(tmp_path):
    out = run(
        "meta_train_on_your_model.py", tmp_path, "--episodes", 6, "--steps", 40
    )
    assert "NOT THE FULL MNIST" in out
    losses = re.findall(r"episode \d+: last loss ([\d.]+)", out)
    assert len(losses) == 6
    ends = re.search(r"of 40 steps: ([\d.]+) -> ([\d.]+)", out)
    before, after = map(float, ends.groups())
    assert after < 0.7 * before
    file = re.search(r'keras_optimizer\("\./(.*)"\)', out)[1]
    cell, facts = load_cell(tmp_path / file)
    assert type(cell).__name__ == "RNNprop"
    assert facts == {"episodes": 6}
    optimizer = l2o_tf.keras_optimizer(tmp_path / file)
    assert type(optimizer.cell) is type(cell)


@pytest.mark.slow
def test_an_own_cell_is_meta_trained_and_evaluated(tmp_path):
    out = run("write_your_own_cell.py", tmp_path, "--episodes", 20)
    assert "NOT THE FULL MNIST" in out
    losses = re.findall(r"episode (\d+): last losses ([\d.]+)", out)
    assert [int(number) for number, _ in losses] == [1, 10, 20]
    assert float(losses[-1][1]) < 0.7 * float(losses[0][1])
    weights = np.load(tmp_path / "agreement.npy")
    assert weights.shape == (3,)
    assert weights[0] > -7.0  # the step size has grown

    out = run("evaluate_your_own_cell.py", tmp_path, "--steps", 20)
    assert "NOT THE FULL MNIST" in out
    rows = [line.split()[:2] for line in out.splitlines()]
    assert ["mlp_orig", "agreement"] in rows
    assert ["mlp_orig", "adam"] in rows
    assert out.split()[-1] == "comparison/curves.png"
    picture = (tmp_path / "comparison" / "curves.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    curves = sorted(p.name for p in (tmp_path / "comparison").glob("*.npz"))
    assert len(curves) == 6
