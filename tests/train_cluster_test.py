"""What the training command says of a cluster before its first step."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from support.train_command import ROOT, train_command

from l2o_tf.runtime.tf_config import free_port, is_reachable

PAIRS = str(ROOT / "tests" / "fixtures" / "pairs.gin")
ASYNCHRONOUS = "Trainer.workers = @AsynchronousPairs()"


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Return a function that runs the command in this process."""
    return train_command(monkeypatch, tmp_path)


def tf_config(job, index, **cluster):
    task = {"type": job, "index": index}
    return json.dumps({"cluster": cluster, "task": task})


def test_a_malformed_cluster_is_refused(call, monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", "{")
    assert call() == 1
    assert "ClusterError: TF_CONFIG must be JSON" in capsys.readouterr().err


def test_equal_workers_need_the_name_of_their_run(call, monkeypatch, capsys):
    value = tf_config("worker", 0, worker=["127.0.0.1:1", "127.0.0.1:2"])
    monkeypatch.setenv("TF_CONFIG", value)
    assert call(run_dir=None) == 1
    assert "Received: run_dir=None. Give all of" in capsys.readouterr().err


def test_workers_without_a_cluster_are_refused(call, monkeypatch, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert call(ASYNCHRONOUS, gin_file=(PAIRS,)) == 1
    assert "TF_CONFIG unset. Start a cluster" in capsys.readouterr().err


def test_a_cluster_that_nothing_is_asked_of_is_refused_at_once(
    call, monkeypatch, capsys
):
    value = tf_config("chief", 0, chief=["127.0.0.1:1"], worker=["127.0.0.1:2"])
    monkeypatch.setenv("TF_CONFIG", value)
    begun = time.monotonic()
    assert call("Trainer.workers = None", gin_file=(PAIRS,)) == 1
    assert "Received: Trainer.workers=None. Set" in capsys.readouterr().err
    assert time.monotonic() - begun < 20.0


def test_a_worker_serves_until_it_is_told_to_stop(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    value = tf_config("worker", 0, chief=["127.0.0.1:1"], worker=[address])
    process = subprocess.Popen(
        [sys.executable, "-m", "l2o_tf.train", f"--gin_file={PAIRS}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": value},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 60.0
        while not is_reachable(address):
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30.0)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + signal.SIGTERM
    assert f"Serving at {address}." in err
    assert list(pathlib.Path(tmp_path).iterdir()) == []
