"""A folder that several processes fill: tidied only by one that is alone."""

import pytest

from l2o_tf.runtime.shared_folder import SharedFolder

PATTERNS = ("*.npz", "tuning/index.csv")


def leave(folder, name):
    """Leave a half-written copy of a file; return its path."""
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    partial = path.with_name(f".{path.name}.123.partial")
    partial.write_text("half")
    return partial


def test_half_written_files_of_the_dead_are_removed_and_no_others(tmp_path):
    dead = [leave(tmp_path, "a.npz"), leave(tmp_path, "tuning/index.csv")]
    others = [leave(tmp_path, "a.csv"), leave(tmp_path, "tuning/b.npz")]
    whole = tmp_path / "a.npz"
    whole.write_text("whole")
    assert SharedFolder(tmp_path, PATTERNS).path == tmp_path
    assert not any(path.exists() for path in dead)
    assert all(path.exists() for path in [*others, whole])


def test_nothing_is_removed_while_another_writes(tmp_path):
    with SharedFolder(tmp_path, PATTERNS).writing() as held:
        assert held
        partial = leave(tmp_path, "a.npz")
        SharedFolder(tmp_path, PATTERNS)
        assert partial.exists()
    SharedFolder(tmp_path, PATTERNS)
    assert not partial.exists()


def test_many_write_at_once_and_each_name_is_a_lock_of_its_own(tmp_path):
    one, two = (SharedFolder(tmp_path, PATTERNS) for _ in range(2))
    with one.writing() as first, two.writing() as second:
        assert (first, second) == (True, True)
        with two.lock("writing", wait=False) as alone:
            assert not alone
    with one.lock("job"), two.lock("job", wait=False) as held:
        assert not held
    with one.lock("job"), two.lock("other", wait=False) as held:
        assert held


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(OSError, match=str(path)):
        SharedFolder(path, PATTERNS)
