"""One process, one configuration, one folder."""

import datetime
import errno
import fcntl
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from l2o_tf.runtime.run_dir import (
    RunDirectory,
    RunDirectoryError,
    default_run_dir,
    find_run,
)

HOLDER = """
import sys, time
from l2o_tf.runtime.run_dir import RunDirectory
with RunDirectory(sys.argv[1], "a = 1\\n", "training dm"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path / "run"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_new_run_has_all_its_parts(tmp_path):
    with RunDirectory(tmp_path / "x" / "run", "a = 1\n") as run:
        run.write_config("a = 1\nb = 2\n")
    assert sorted(os.listdir(tmp_path / "x" / "run")) == [
        ".lock",
        "best",
        "checkpoints",
        "config.gin",
        "curves",
        "metrics",
        "operative_config.gin",
    ]
    assert run.paths.config.read_text() == "a = 1\n"
    assert run.paths.operative_config.read_text() == "a = 1\nb = 2\n"
    assert run.paths.best == tmp_path / "x" / "run" / "best"
    assert run.paths.weights == run.paths.best / "weights.npz"


def test_a_run_is_resumed_with_its_configuration(tmp_path):
    for line_end in ("\n", "\r\n"):
        with RunDirectory(tmp_path, f"a = 1{line_end}") as run:
            (run.paths.checkpoints / "kept").touch()
    assert run.paths.config.read_bytes() == b"a = 1\n"
    assert (tmp_path / "checkpoints" / "kept").exists()


def test_a_second_process_is_refused_with_the_first_ones_number(
    holder, tmp_path
):
    with (
        pytest.raises(RunDirectoryError, match="in use") as caught,
        RunDirectory(tmp_path / "run", "a = 1\n"),
    ):
        pass
    message = str(caught.value)
    assert f"process {holder.pid} on " in message
    assert "(training dm)" in message
    assert f"Received: run_dir={str(tmp_path / 'run')!r}" in message


def test_the_lock_ends_with_a_killed_process(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    assert holder.wait() == -signal.SIGKILL
    with RunDirectory(tmp_path / "run", "a = 1\n") as run:
        assert f'"pid": {os.getpid()}' in run.paths.lock.read_text()


def test_the_lock_ends_with_the_block_and_after_an_error(tmp_path):
    with pytest.raises(KeyError), RunDirectory(tmp_path, "a = 1"):
        raise KeyError
    with RunDirectory(tmp_path, "a = 1") as run:
        pass
    assert run.paths.lock.read_text() == ""


def test_the_same_process_cannot_hold_a_run_twice(tmp_path):
    with (
        RunDirectory(tmp_path, "a = 1"),
        pytest.raises(RunDirectoryError, match=f"process {os.getpid()} on"),
        RunDirectory(tmp_path, "a = 1"),
    ):
        pass


def test_a_holder_that_has_not_written_its_number_is_refused_too(tmp_path):
    with open(tmp_path / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(RunDirectoryError, match="not written its number"),
            RunDirectory(tmp_path, "a = 1"),
        ):
            pass


def test_another_configuration_is_refused_with_the_lines_that_differ(tmp_path):
    with RunDirectory(tmp_path, "a = 1\nb = 2\nc = 3\n"):
        pass
    with (
        pytest.raises(RunDirectoryError, match="another config") as caught,
        RunDirectory(tmp_path, "a = 1\nb = 20\nc = 3\n"),
    ):
        pass
    lines = str(caught.value).splitlines()
    assert "-b = 2" in lines
    assert "+b = 20" in lines
    assert not any("a = 1" in line for line in lines)
    assert str(tmp_path / "config.gin") in lines[-1]
    assert "--run_dir" in lines[-1]
    with RunDirectory(tmp_path, "a = 1\nb = 2\nc = 3\n"):
        pass  # the refused one has not kept the lock


def test_a_long_difference_is_cut(tmp_path):
    with RunDirectory(tmp_path, "".join(f"a{i} = 1\n" for i in range(50))):
        pass
    with (
        pytest.raises(RunDirectoryError, match="and 34 more lines") as caught,
        RunDirectory(tmp_path, "b = 1"),
    ):
        pass
    assert len(str(caught.value).splitlines()) < 25


def test_a_file_is_not_a_run_directory(tmp_path):
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(RunDirectoryError, match="which is a file"),
        RunDirectory(tmp_path / "file", ""),
    ):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with (
        pytest.raises(RunDirectoryError, match="something else"),
        RunDirectory(tmp_path, ""),
    ):
        pass
    assert os.listdir(tmp_path) == ["photo.jpg"]


@pytest.mark.parametrize("marker", [".lock", "config.gin"])
def test_a_run_killed_early_or_copied_is_recognised(marker, tmp_path):
    (tmp_path / marker).write_text("a = 1")
    (tmp_path / "metrics").mkdir()
    with RunDirectory(tmp_path, "a = 1") as run:
        assert run.paths.curves.is_dir()


def test_a_path_below_a_file_cannot_be_created(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match="Could not create the folder"),
        RunDirectory(tmp_path / "file" / "run", ""),
    ):
        pass


def test_an_unreadable_folder_is_refused(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "iterdir", refuse)
    with (
        pytest.raises(RunDirectoryError, match="unreadable .Permission"),
        RunDirectory(tmp_path, ""),
    ):
        pass


def test_a_lock_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "config.gin").write_text("a = 1")
    (tmp_path / ".lock").mkdir()  # cannot be opened for writing, root or not
    with (
        pytest.raises(OSError, match="Could not write .*lock"),
        RunDirectory(tmp_path, "a = 1"),
    ):
        pass


def test_a_disk_without_locks_is_refused(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(RunDirectoryError, match="No locks available"),
        RunDirectory(tmp_path, ""),
    ):
        pass


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    with RunDirectory(tmp_path, ""):
        pass
    for folder in (tmp_path, tmp_path / "best", tmp_path / "curves"):
        (folder / ".w.npz.77.partial").touch()
    with RunDirectory(tmp_path, ""):
        assert not list(tmp_path.rglob("*.partial"))


def test_a_run_is_found_without_its_lock(holder, tmp_path):
    paths = find_run(tmp_path / "run")
    assert paths.config.read_text() == "a = 1\n"


def test_what_is_no_run_is_not_found(tmp_path):
    with pytest.raises(RunDirectoryError, match="Received: run_dir="):
        find_run(tmp_path)


def test_the_default_names_configuration_and_time():
    now = datetime.datetime(2024, 3, 5, 7, 8, 9)
    assert default_run_dir("dm_cl", now) == pathlib.Path(
        "runs/dm_cl-20240305-070809"
    )


@pytest.mark.parametrize("name", ["", "gin/dm", ".."])
def test_a_default_needs_a_plain_name(name):
    now = datetime.datetime(2024, 3, 5)
    with pytest.raises(ValueError, match=f"config_name={name!r}"):
        default_run_dir(name, now)
