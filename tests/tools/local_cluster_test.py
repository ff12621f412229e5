"""Clusters on this machine, killed in the middle, against one process."""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import local_cluster
import pytest
from support.train_command import ROOT, train_command

from l2o_tf import config
from l2o_tf.learned.weights import load_cell
from l2o_tf.meta_training import run as run_module
from l2o_tf.runtime.checkpoints import Checkpoints

TOOL = str(ROOT / "tools" / "local_cluster.py")
PAIRS = str(ROOT / "tests" / "fixtures" / "pairs.gin")
LONG = ("Trainer.num_episodes = 40", "Trainer.validation_period = 20")
ASYNCHRONOUS = "Trainer.workers = @AsynchronousPairs()"
SYNCHRONOUS = "Trainer.workers = @SynchronousPairs()"
PATIENCE = 60.0  # seconds; each of these takes one or two on an idle machine
TABLES = ("train", "validation", "population")


class Launched:
    """The tool as a process; its output, and the processes that it names."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, TOOL, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line)

    @property
    def text(self):
        return "".join(self.lines)

    def pids(self, name):
        return [
            int(pid)
            for pid in re.findall(rf"{name} is process (\d+)\.", self.text)
        ]

    def wait_until(self, true, what):
        end = time.monotonic() + PATIENCE
        while not true():
            if time.monotonic() > end or self.process.poll() is not None:
                pytest.fail(f"not until {what}:\n{self.text}")
            time.sleep(0.02)

    def code(self):
        code = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return code


@contextlib.contextmanager
def launched(*arguments):
    cluster = Launched(*arguments)
    try:
        yield cluster
    finally:
        cluster.process.kill()
        cluster.process.wait()
        cluster.reader.join(PATIENCE)
        for pid in cluster.pids(r"\[cluster\] \w+ ?\d*"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def command(path, *params):
    params = [f"--gin_param={param}" for param in (*LONG, *params)]
    return ["--", f"--gin_file={PAIRS}", f"--run_dir={path}", *params]


def rows(path):
    table = pathlib.Path(path) / "metrics" / "train.csv"
    return len(table.read_bytes().splitlines()) if table.exists() else 0


def record(path):
    """Read what two equal runs have in common, byte for byte."""
    tables = {t: (path / "metrics" / f"{t}.csv").read_text() for t in TABLES}
    cell, _ = load_cell(path / "best" / "weights.npz")
    return tables, cell.meta_params().numpy().tobytes()


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """Train without a cluster, in this process; return the run."""
    folder = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        keep_all = functools.partial(Checkpoints, keep=100)
        patch.setattr(run_module, "Checkpoints", keep_all)
        run = train_command(patch, folder)
        assert run(*LONG, gin_file=(PAIRS,), quiet=True) == 0
    return folder / "run"


def test_killed_workers_and_a_killed_learner_change_nothing(
    one_process, tmp_path
):
    path = tmp_path / "run"
    with launched("--restart", *command(path, ASYNCHRONOUS)) as cluster:
        cluster.wait_until(lambda: rows(path) > 3, "the third episode")
        os.kill(cluster.pids("worker 0")[0], signal.SIGKILL)
        cluster.wait_until(
            lambda: len(cluster.pids("worker 0")) == 2, "a new worker"
        )
        seen = rows(path)
        cluster.wait_until(lambda: rows(path) > seen + 7, "seven episodes more")
        assert rows(path) < 30, "nothing is left to be interrupted"
        os.kill(cluster.pids("learner")[0], signal.SIGKILL)
        assert cluster.code() == 0, cluster.text
        assert "[cluster] worker 0 ended with -9." in cluster.text
        assert "learner was killed (-9) and is started again" in cluster.text
        assert "[learner] Continuing after " in cluster.text
        assert "40 episodes, 120 meta-updates (0 were not" in cluster.text
        # Those of the learner's second life, after the tenth episode.
        used = re.search("samples (.*) were used and 0 dr", cluster.text)
        done = re.search("Continuing after (.*) episodes", cluster.text)
        assert int(used[1]) == 12 * (40 - int(done[1]))
        # It lived through both, and served two learners.
        assert len(cluster.pids("worker 1")) == 1
    assert record(path) == record(one_process)


def test_equal_workers_go_on_together_and_stop_together(one_process, tmp_path):
    # The run of one process, put back to its tenth episode.
    path = tmp_path / "run"
    shutil.copytree(one_process, path)
    for checkpoint in sorted((path / "checkpoints").iterdir())[1:]:
        checkpoint.unlink()
    config.gin.clear_config()
    text = config.load([PAIRS], [*LONG, SYNCHRONOUS])
    (path / "config.gin").write_text(text)
    expected = (path / "metrics" / "train.csv").read_text()
    with launched("--equal", *command(path, SYNCHRONOUS)) as cluster:
        cluster.wait_until(lambda: 0 < rows(path) < 20, "the rewinding")
        cluster.wait_until(lambda: rows(path) > 13, "three episodes more")
        # One is told; all stop.
        os.kill(cluster.pids("worker 1")[0], signal.SIGTERM)
        assert cluster.code() == 128 + signal.SIGTERM, cluster.text
    done = rows(path) - 1
    assert 13 <= done < 40
    assert "[worker 0] Continuing after 10 episodes, 30 meta" in cluster.text
    assert "[worker 0] Saved after SIGTERM." in cluster.text
    assert f"[worker 1] Worker 1: {done} episodes" in cluster.text
    assert expected.startswith((path / "metrics" / "train.csv").read_text())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers=0", "--", "--quiet"], "must be positive. Received: 0"),
        (["--equal", "--restart", "--", "--quiet"], "no use with --equal"),
        (["--restart", "--", "--quiet"], "needs the run"),
        ([], "required: train"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        local_cluster.main(arguments)
    assert message in capsys.readouterr().err


def test_tasks_have_different_addresses():
    cluster = local_cluster.cluster_of(5, equal=False)
    every = cluster["chief"] + cluster["worker"]
    assert len(set(every)) == 6
    assert list(local_cluster.cluster_of(2, equal=True)) == ["worker"]
