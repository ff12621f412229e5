"""The newest checkpoint is whole, or refused."""

import errno
import os

import numpy as np
import pytest

from l2o_tf.runtime.arrays import CheckpointError, Format, save_arrays
from l2o_tf.runtime.checkpoints import FORMAT, Checkpoints


def arrays(step):
    return {"w": np.full(5, step, np.float32)}


def filled(folder, steps, keep=3):
    checkpoints = Checkpoints(folder, keep)
    for step in steps:
        checkpoints.save(step, arrays(step), {"step": step})
    return checkpoints


def test_a_fresh_folder_has_no_checkpoint(tmp_path):
    assert Checkpoints(tmp_path / "new").latest() is None
    assert not (tmp_path / "new").exists()


def test_the_latest_is_what_was_saved_last(tmp_path):
    filled(tmp_path / "new", [0, 300])
    step, loaded, metadata = Checkpoints(tmp_path / "new").latest()
    assert step == 300
    assert metadata == {"step": 300}
    np.testing.assert_array_equal(loaded["w"], np.full(5, 300, np.float32))


def test_the_newest_are_kept_under_names_of_their_step(tmp_path):
    filled(tmp_path, [1, 20, 300, 4000], keep=2)
    assert sorted(os.listdir(tmp_path)) == [
        "step_00000300.npz",
        "step_00004000.npz",
    ]


def test_steps_are_ordered_as_numbers_beyond_eight_digits(tmp_path):
    filled(tmp_path, [99_999_999, 100_000_000, 1_000_000_000], keep=2)
    assert Checkpoints(tmp_path).latest()[0] == 1_000_000_000
    assert len(os.listdir(tmp_path)) == 2


def test_the_same_step_is_replaced(tmp_path):
    checkpoints = filled(tmp_path, [5])
    path = checkpoints.save(5, arrays(9), {})
    assert os.listdir(tmp_path) == [path.name]
    assert checkpoints.latest()[1]["w"][0] == 9


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "step_1.npz").write_text("mine")
    (tmp_path / "step_00000001.npz.bak").write_text("mine")
    filled(tmp_path, [2, 3], keep=1)
    assert sorted(os.listdir(tmp_path)) == [
        "step_00000001.npz.bak",
        "step_00000003.npz",
        "step_1.npz",
    ]


def test_a_save_removes_what_a_killed_one_left(tmp_path):
    left = tmp_path / ".step_00000007.npz.4242.partial"
    left.write_bytes(b"half")
    filled(tmp_path, [8])
    assert os.listdir(tmp_path) == ["step_00000008.npz"]


def test_a_damaged_newest_file_is_named_with_the_way_out(tmp_path):
    checkpoints = filled(tmp_path, [1, 2])
    newest = tmp_path / "step_00000002.npz"
    newest.write_bytes(newest.read_bytes()[:-30])
    with pytest.raises(CheckpointError, match="resumes from step_00000001"):
        checkpoints.latest()
    newest.unlink()
    assert checkpoints.latest()[0] == 1


def test_a_damaged_only_file_restarts_the_run_when_deleted(tmp_path):
    (tmp_path / "step_00000002.npz").write_bytes(b"")
    with pytest.raises(CheckpointError, match="it is the only one") as caught:
        Checkpoints(tmp_path).latest()
    assert str(tmp_path / "step_00000002.npz") in str(caught.value)


def test_a_file_of_another_version_is_not_called_damaged(tmp_path):
    later = Format(FORMAT.name, FORMAT.version + 1)
    save_arrays(tmp_path / "step_00000002.npz", {}, {}, later)
    with pytest.raises(CheckpointError, match="version=2") as caught:
        Checkpoints(tmp_path).latest()
    assert "Deleting" not in str(caught.value)


def test_a_full_disk_keeps_the_checkpoints_before(tmp_path, monkeypatch):
    checkpoints = filled(tmp_path, [1, 2], keep=1)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="Free some space"):
            checkpoints.save(3, arrays(3), {})
    assert os.listdir(tmp_path) == ["step_00000002.npz"]
    assert checkpoints.latest()[0] == 2
    checkpoints.save(3, arrays(3), {})
    assert checkpoints.latest()[0] == 3


@pytest.mark.parametrize("step", [-1, 1.0, True, "1"])
def test_a_step_must_be_a_natural_number(step, tmp_path):
    with pytest.raises(ValueError, match=f"Received: step={step!r}"):
        Checkpoints(tmp_path).save(step, {}, {})


def test_a_step_before_the_newest_is_refused(tmp_path):
    checkpoints = filled(tmp_path, [5])
    with pytest.raises(ValueError, match="Received: step=4"):
        checkpoints.save(4, {}, {})


def test_keep_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="Received: keep=0"):
        Checkpoints(tmp_path, keep=0)
