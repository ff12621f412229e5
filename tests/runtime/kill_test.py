"""Kill -9 while a run writes, then resume: nothing is doubled or lost."""

import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from l2o_tf.runtime.checkpoints import Checkpoints
from l2o_tf.runtime.metrics import MetricsWriter
from l2o_tf.runtime.run_dir import RunDirectory

TABLES = {
    "train": ("episode", "loss"),
    "validation": ("episode", "cost", "stage"),
}
EVERY = 7  # episodes between two checkpoints
CHILD = """
import pathlib, runpy, sys
test = runpy.run_path(sys.argv[1])
test["run"](pathlib.Path(sys.argv[2]), 10**9, lambda: print("go", flush=True))
"""


def run(path, episodes, begun=lambda: None):
    """Resume or start a run whose numbers depend on its state alone."""
    with (
        RunDirectory(path, "a = 1\n") as directory,
        MetricsWriter(directory.paths.metrics, TABLES) as metrics,
    ):
        checkpoints = Checkpoints(directory.paths.checkpoints)
        found = checkpoints.latest()
        if found is None:
            first, state = 0, np.zeros(20_000)
            metrics.rewind(dict.fromkeys(TABLES, 0))
        else:
            first, arrays, metadata = found
            state = arrays["state"]
            metrics.rewind(metadata["position"])
        begun()
        for episode in range(first, episodes):
            state = np.sin(state + episode)
            row = {"episode": episode, "loss": state[0]}
            metrics.write("train", row)
            if episode % 2:
                row = {"episode": episode, "cost": state[1], "stage": "one"}
                metrics.write("validation", row)
            if (episode + 1) % EVERY == 0:
                position = {"position": metrics.position()}
                checkpoints.save(episode + 1, {"state": state}, position)


def record(path):
    """Read everything that must be equal, byte for byte."""
    files = [*path.glob("metrics/*.csv"), *path.glob("checkpoints/*")]
    return {str(f.relative_to(path)): f.read_bytes() for f in files}


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_run_resumes_to_the_same_bytes(seed, tmp_path):
    path = tmp_path / "killed"
    delays = np.random.default_rng(seed).uniform(0.0, 0.1, 2)
    for delay in delays:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, __file__, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
        )
        assert process.stdout.readline() == "go\n"
        time.sleep(delay)
        process.kill()
        assert process.wait() == -9
        process.stdout.close()
    found = Checkpoints(path / "checkpoints").latest()
    episodes = (found[0] if found else 0) + 2 * EVERY + 3
    run(path, episodes)
    run(tmp_path / "whole", episodes)
    assert record(path) == record(tmp_path / "whole")
    assert not list(path.rglob("*.partial"))
