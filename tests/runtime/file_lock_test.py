"""Locks between processes, and between two holders of one process."""

import os
import signal
import time

import pytest

from l2o_tf.runtime.file_lock import file_lock


def test_a_second_holder_gets_false_until_the_first_is_done(tmp_path):
    path = tmp_path / "new" / "x.lock"
    with file_lock(path) as first, file_lock(path, wait=False) as second:
        assert (first, second) == (True, False)
    with file_lock(path, wait=False) as third:
        assert third is True


def test_shared_locks_go_together_and_exclude_the_exclusive_one(tmp_path):
    path = tmp_path / "x.lock"
    with (
        file_lock(path, shared=True, wait=False) as one,
        file_lock(path, shared=True, wait=False) as two,
        file_lock(path, wait=False) as alone,
    ):
        assert (one, two, alone) == (True, True, False)


def test_what_a_killed_process_held_is_free(tmp_path):
    path = tmp_path / "x.lock"
    child = os.fork()
    if child == 0:
        with file_lock(path):
            (tmp_path / "held").touch()
            time.sleep(60)
        os._exit(0)
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    with file_lock(path, wait=False) as held:
        assert held is False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with file_lock(path, wait=False) as held:
        assert held is True


def test_an_error_inside_frees_the_lock(tmp_path):
    path = tmp_path / "x.lock"
    with pytest.raises(KeyError), file_lock(path):
        raise KeyError
    with file_lock(path, wait=False) as held:
        assert held is True
