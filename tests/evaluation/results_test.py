"""The folder of a sweep: found, refused, redone and indexed results."""

import csv
import threading
import time

import numpy as np
import pytest

from l2o_tf.evaluation.curves import Curve, load_curve, save_curve
from l2o_tf.evaluation.results import Results, Wanted
from l2o_tf.runtime.arrays import CheckpointError

WANTED = Wanted("sgd", "simple", "", 3, 4, "abc")


def curve(losses=(4.0, 3.0, 2.0, 1.0), **fields):
    facts = {"optimizer": "sgd", "optimizee": "simple", "split": "", "seed": 3}
    return Curve(
        losses=np.array(losses, np.float32),
        chunk_seconds=np.array([0.5]),
        chunk_length=4,
        **{**facts, "config_hash": "abc", **fields},
    )


def rows(folder):
    text = (folder / "index.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def test_a_saved_curve_is_found_and_indexed(tmp_path):
    results = Results(tmp_path)
    assert not results.has(WANTED)
    results.save(WANTED, curve())
    assert results.has(WANTED)
    assert Results(tmp_path).has(WANTED)
    np.testing.assert_array_equal(results.load(WANTED).losses, [4, 3, 2, 1])
    (row,) = rows(tmp_path)
    assert row["optimizer"] == "sgd"
    assert row["steps"] == "4"
    assert float(row["mean_of_last_100"]) == 2.5
    assert row["file"] == "sgd-simple-nodata-seed3.npz"


def test_candidates_have_a_folder_and_an_index_of_their_own(tmp_path):
    results = Results(tmp_path)
    wanted = WANTED._replace(tuning=True)
    results.save(wanted, curve())
    assert results.has(wanted)
    assert not results.has(WANTED)
    assert len(rows(tmp_path / "tuning")) == 1
    assert results.index() == []


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "text"])
def test_a_broken_file_is_announced_once_and_missing(tmp_path, damage):
    path = save_curve(tmp_path, curve())
    data = bytearray(path.read_bytes())
    if damage == "bit":
        data[len(data) // 3] ^= 1
    broken = {"cut": data[:-30], "bit": data, "empty": b"", "text": b"no"}
    path.write_bytes(bytes(broken[damage]))
    said = []
    results = Results(tmp_path, say=said.append)
    assert not results.has(WANTED)
    assert not results.has(WANTED)
    assert len(said) == 1
    assert str(path) in said[0]
    assert results.index() == []
    results.save(WANTED, curve())
    assert results.has(WANTED)
    assert len(results.index()) == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"config_hash": "xyz"}, "config_hash='xyz' (wanted 'abc')"),
        ({"losses": (1.0, 2.0)}, "steps=2 (wanted 4)"),
    ],
)
def test_another_result_in_its_place_is_refused(tmp_path, fields, named):
    save_curve(tmp_path, curve(**fields))
    with pytest.raises(ValueError, match="--overwrite") as error:
        Results(tmp_path).has(WANTED)
    assert named in str(error.value)
    assert not Results(tmp_path, overwrite=True).has(WANTED)


def test_a_file_of_another_format_is_refused(tmp_path):
    np.savez(tmp_path / WANTED.file_name, losses=np.zeros(4))
    with pytest.raises(CheckpointError, match="no metadata"):
        Results(tmp_path).has(WANTED)


def test_a_claimed_job_is_not_given_twice(tmp_path):
    one, two = Results(tmp_path), Results(tmp_path)
    other = WANTED._replace(seed=4)
    with one.claim(WANTED) as first, two.claim(WANTED) as second:
        assert (first, second) == (True, False)
        with two.claim(other) as third:
            assert third is True
    with two.claim(WANTED) as later:
        assert later is True


def test_opening_removes_what_a_killed_process_left(tmp_path):
    save_curve(tmp_path, curve())
    (before,) = tmp_path.glob("*.npz")
    left = tmp_path / f".{before.name}.123.partial"
    left.write_bytes(b"half a file")
    results = Results(tmp_path)
    assert before.exists()
    assert not left.exists()
    assert results.has(WANTED)


def test_the_index_follows_a_file_that_is_written_again(tmp_path):
    results = Results(tmp_path, overwrite=True)
    results.save(WANTED, curve())
    results.save(WANTED, curve((8.0, 6.0, 4.0, 2.0)))
    (row,) = rows(tmp_path)
    assert float(row["mean_of_all"]) == 5.0
    assert load_curve(tmp_path / row["file"]).losses[0] == 8.0


def test_who_measures_keeps_jobs_out_and_waits_for_those_begun(tmp_path):
    one, said = Results(tmp_path), []
    two = Results(tmp_path, say=said.append)
    with two.alone(), one.claim(WANTED) as held:
        assert held is False
    assert said == []
    order = []

    def measure():
        with two.alone():
            order.append("measured")

    thread = threading.Thread(target=measure, daemon=True)
    with one.claim(WANTED) as held:
        assert held is True
        thread.start()
        deadline = time.monotonic() + 10
        while not said:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        # It waits: nothing new begins, what was begun ends.
        with Results(tmp_path).claim(WANTED._replace(seed=9)) as late:
            assert late is False
        order.append("computed")
    thread.join(10)
    assert order == ["computed", "measured"]
    assert said == ["Waiting for the curves that are being computed."]


def test_an_index_that_was_lost_is_made_again(tmp_path):
    results = Results(tmp_path)
    results.save(WANTED._replace(tuning=True), curve())
    (tmp_path / "tuning" / "index.csv").unlink()
    assert len(results.index(tmp_path / "tuning")) == 1
    assert len(rows(tmp_path / "tuning")) == 1


def test_what_others_write_there_is_not_removed(tmp_path):
    other = tmp_path / ".wall_clock.csv.77.partial"
    other.write_text("half")
    Results(tmp_path)
    assert other.exists()
