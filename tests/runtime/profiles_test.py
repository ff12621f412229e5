"""A profile lies where TensorBoard looks, or its absence is said."""

import pytest
import tensorflow as tf

from l2o_tf.runtime.profiles import ProfileError, profiled


def files(folder):
    return [
        path.relative_to(folder) for path in folder.rglob("*") if path.is_file()
    ]


def named_work():
    with tf.profiler.experimental.Trace("work_to_be_seen"):
        return tf.reduce_sum(tf.ones([3])).numpy()


def test_a_profile_holds_what_was_done_inside(tmp_path):
    with profiled(tmp_path):
        assert named_work() == 3.0
    (file,) = files(tmp_path)
    assert file.parts[:2] == ("plugins", "profile")
    assert file.name.endswith(".xplane.pb")
    assert b"work_to_be_seen" in (tmp_path / file).read_bytes()


def test_an_error_inside_is_passed_on_and_leaves_no_profile(tmp_path):
    with pytest.raises(ZeroDivisionError), profiled(tmp_path):
        raise ZeroDivisionError
    assert files(tmp_path) == []
    with profiled(tmp_path):  # so the other one was ended
        named_work()
    assert len(files(tmp_path)) == 1


def test_a_profile_inside_another_is_refused_in_words(tmp_path):
    with profiled(tmp_path / "outer"):
        with (
            pytest.raises(ProfileError, match="Another profiler.*Received: f"),
            profiled(tmp_path / "inner"),
        ):
            pytest.fail("begun all the same")
        named_work()
    assert len(files(tmp_path)) == 1


def test_a_profile_that_cannot_be_written_is_said(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with (
        pytest.raises(ProfileError, match="Received: folder=") as caught,
        profiled(taken),
    ):
        named_work()
    assert str(taken) in str(caught.value)
    assert taken.read_text() == "a file"
