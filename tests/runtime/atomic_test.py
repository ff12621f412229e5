"""Whole files or none."""

import errno
import json
import math
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from l2o_tf.runtime import atomic


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_holds_exactly_the_bytes_written(tmp_path):
    path = tmp_path / "a.bin"
    atomic.write_bytes(path, b"\x00first")
    atomic.write_bytes(str(path), b"second\n")
    assert path.read_bytes() == b"second\n"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_text_is_utf_8_and_its_line_ends_are_kept(tmp_path):
    atomic.write_text(tmp_path / "t", "é\r\nz\n")
    assert (tmp_path / "t").read_bytes() == b"\xc3\xa9\r\nz\n"


def test_json_keeps_every_bit_of_a_float(tmp_path):
    value = {"b": [0.1 + 0.2, math.inf, 5e-324], "a": None, "n": math.nan}
    atomic.write_json(tmp_path / "j", value)
    read = json.loads((tmp_path / "j").read_text())
    assert math.isnan(read.pop("n"))
    assert read == {"b": [0.30000000000000004, math.inf, 5e-324], "a": None}


def test_the_new_file_has_the_usual_permissions(tmp_path):
    atomic.write_bytes(tmp_path / "a", b"")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(
    call, tmp_path, monkeypatch
):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, call, full_disk)
    with pytest.raises(OSError, match="Could not write") as caught:
        atomic.write_bytes(path, b"x" * 12345)
    assert caught.value.errno == errno.ENOSPC
    message = str(caught.value)
    assert str(path) in message
    assert "12,345 bytes" in message
    assert "Free some space" in message
    free = message.split("bytes; ")[1].split(" are free")[0]
    assert int(free.replace(",", "")) > 0
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_missing_folder_is_named_with_the_file(tmp_path):
    path = tmp_path / "no" / "a.bin"
    with pytest.raises(FileNotFoundError, match="unknown number") as caught:
        atomic.write_bytes(path, b"x")
    assert str(path) in str(caught.value)


def test_an_interrupt_leaves_the_old_file_and_no_temporary_one(
    tmp_path, monkeypatch
):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("number", "refused"), [(errno.EINVAL, False), (errno.EIO, True)]
)
def test_only_a_folder_that_cannot_be_synced_is_let_pass(
    number, refused, tmp_path, monkeypatch
):
    real, calls = os.fsync, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:  # the first is the file's, the second the folder's
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if refused:
        with pytest.raises(OSError, match=os.strerror(number)):
            atomic.write_bytes(tmp_path / "a", b"new")
    else:
        atomic.write_bytes(tmp_path / "a", b"new")
    assert len(calls) == 2
    assert (tmp_path / "a").read_bytes() == b"new"


KILLED = """
import os, signal, sys
from l2o_tf.runtime import atomic
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
atomic.write_bytes(sys.argv[1], b"never")
"""


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "a")],
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert killed.returncode == -signal.SIGKILL
    (left,) = os.listdir(tmp_path)
    assert left != "a"
    (tmp_path / ".hidden").write_bytes(b"")
    (tmp_path / "b.partial").write_bytes(b"")
    atomic.remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".hidden", "b.partial"]


def test_a_folder_is_made_with_its_parents_and_may_exist(tmp_path):
    path = atomic.make_folder(tmp_path / "a" / "b")
    assert path.is_dir()
    assert atomic.make_folder(str(path)) == path


def test_a_folder_below_a_file_is_refused_with_its_name(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="Choose another") as caught:
        atomic.make_folder(tmp_path / "file" / "run")
    assert str(tmp_path / "file" / "run") in str(caught.value)


def test_a_folder_without_permission_is_refused_with_advice(
    tmp_path, monkeypatch
):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(PermissionError, match="you may write"):
        atomic.make_folder(tmp_path / "run")
