"""`python -m l2o_tf.train` inside the process of a test."""

from __future__ import annotations

import pathlib
import types

from l2o_tf import cli, train

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUADRATIC = str(ROOT / "tests" / "fixtures" / "quadratic.gin")


def train_command(monkeypatch, folder):
    """Return a function that runs the command; its result is the exit code.

    It takes bindings, and flags as keyword arguments; without a `run_dir` the
    run is in `<folder>/run`.
    """

    def run(*params, gin_file=(QUADRATIC,), run_dir=folder / "run", **flags):
        values = {
            "gin_file": list(gin_file),
            "gin_param": list(params),
            "run_dir": run_dir and str(run_dir),
            "data_dir": None,
            "histogram_period": 0,
            "profile_episode": None,
            "deterministic": True,
            "quiet": False,
            **flags,
        }
        monkeypatch.setattr(train, "FLAGS", types.SimpleNamespace(**values))
        train.config.gin.clear_config()
        return cli.fail_in_words(train.main, ["train"])

    return run
