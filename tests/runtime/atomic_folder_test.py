"""A folder is there whole, or as it was before."""

import os

import pytest

from l2o_tf.runtime.atomic_folder import check_new_folder, written_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fill(path, text):
    with written_whole(path) as folder:
        (folder / "inside").mkdir()
        (folder / "mark").write_text(text)


def test_the_folder_appears_at_the_end_only(tmp_path):
    path = tmp_path / "deep" / "out"
    with written_whole(path) as folder:
        (folder / "mark").write_text("x")
        assert not path.exists()
        assert folder.parent == path.parent
    assert (path / "mark").read_text() == "x"
    assert names(path.parent) == ["out"]


def test_an_old_folder_is_replaced_with_all_that_is_in_it(tmp_path):
    path = tmp_path / "out"
    fill(path, "old")
    (path / "more").write_text("of the old one")
    fill(path, "new")
    assert (path / "mark").read_text() == "new"
    assert names(path) == ["inside", "mark"]
    assert names(tmp_path) == ["out"]


def test_a_failure_leaves_everything_as_it_was(tmp_path):
    path = tmp_path / "out"
    fill(path, "old")

    def interrupted():
        with written_whole(path) as folder:
            (folder / "mark").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (path / "mark").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_an_old_folder_comes_back_if_the_new_one_cannot_be_renamed(
    tmp_path, monkeypatch
):
    path = tmp_path / "out"
    fill(path, "old")
    rename = os.rename

    def refuse(source, target):
        if target == path and not source.name.endswith(".old.partial"):
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="no"):
        fill(path, "new")
    assert (path / "mark").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_folder_that_cannot_be_made_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Could not create the folder"):
        fill(tmp_path / "file" / "out", "x")


def test_a_new_path_is_accepted(tmp_path):
    path = tmp_path / "out"
    assert check_new_folder(path, False, "mark") == path


def test_an_existing_folder_is_refused_unless_told_otherwise(tmp_path):
    path = tmp_path / "out"
    fill(path, "old")
    with pytest.raises(ValueError, match=f"Received: path='{path}'.*overwrite"):
        check_new_folder(path, False, "mark")
    assert check_new_folder(path, True, "mark") == path


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_of_another_kind_is_never_replaced(tmp_path, kind):
    path = tmp_path / "out"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
        (path / "mine").write_text("mine")
    else:
        fill(tmp_path / "elsewhere", "old")
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"never.*Received: path='{path}'"):
        check_new_folder(path, True, "mark")
