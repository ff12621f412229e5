"""Curve files and their index."""

import csv
import dataclasses

import numpy as np
import pytest
from support.curves import make_curve

from l2o_tf.evaluation.curves import (
    INDEX,
    LONG_TAIL,
    TAIL,
    curve_file,
    load_curve,
    load_curves,
    save_curve,
    write_index,
)
from l2o_tf.runtime.arrays import CheckpointError, DamagedFileError

FACTS = {
    "config": {"class": "Adam", "learning_rate": 0.01},
    "config_hash": "0123456789abcdef",
    "packages": {"numpy": "2.2"},
    "runtime": "xla",
    "device": "CPU",
    "tuning": {"chosen": 1, "candidates": [{"score": np.inf}]},
    "notice": "NOT THE FULL MNIST",
    "measured": "train",
}


def test_every_field_comes_back(tmp_path):
    curve = make_curve(**FACTS)
    loaded = load_curve(save_curve(tmp_path, curve))
    for field in dataclasses.fields(curve):
        np.testing.assert_array_equal(
            getattr(loaded, field.name), getattr(curve, field.name)
        )


def test_a_curve_without_facts_comes_back_too(tmp_path):
    loaded = load_curve(save_curve(tmp_path, make_curve()))
    assert (loaded.tuning, loaded.notice, loaded.runtime) == (None, None, "")


def test_the_file_is_named_after_what_it_holds(tmp_path):
    assert save_curve(tmp_path, make_curve(seed=3)).name == (
        "dm-mlp_orig-test-seed3.npz"
    )
    assert curve_file("a/b", "quadratic", "", 0) == (
        "a_b-quadratic-nodata-seed0.npz"
    )
    other = make_curve(split="train", measured="test")
    assert save_curve(tmp_path, other).name == (
        "dm-mlp_orig-train-measured_test-seed0.npz"
    )


def test_properties():
    curve = make_curve([3.0, 2.0, 1.0])
    assert (curve.steps, curve.seconds, curve.diverged) == (3, 1.5, False)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_loss_that_is_not_finite_is_divergence(bad):
    assert make_curve([3.0, bad, 1.0]).diverged


def test_tails_are_of_the_last_losses():
    losses = np.concatenate(
        [np.full(500, 9.0), np.full(900, 5.0), np.full(TAIL, 2.0)]
    )
    curve = make_curve(losses)
    assert curve.tail_mean() == 2.0
    assert curve.tail_median() == 5.0
    assert curve.mean() == pytest.approx((4500 + 4500 + 200) / 1500)
    assert LONG_TAIL == 1000


def test_a_spike_moves_the_mean_of_the_tail_and_not_its_median():
    losses = np.ones(2000)
    losses[-1] = 101.0
    assert make_curve(losses).tail_mean() == 2.0
    assert make_curve(losses).tail_median() == 1.0


def test_a_short_curve_is_its_own_tail():
    assert make_curve([3.0, 2.0, 1.0]).tail_mean() == 2.0


def test_index_has_a_row_per_curve(tmp_path):
    losses = np.concatenate([np.full(200, 5.0), np.full(100, 2.0)])
    first, second = make_curve(losses, **FACTS), make_curve([1.0, np.nan], 1)
    path = write_index(tmp_path, [c.index_row() for c in (first, second)])
    assert path == tmp_path / "index.csv"
    a, b = csv.DictReader(path.read_text().splitlines())
    assert tuple(a) == INDEX
    assert float(a["mean_of_last_100"]) == 2.0
    assert float(a["median_of_last_1000"]) == 5.0
    assert float(a["mean_of_all"]) == 4.0
    assert (a["lowest"], a["not_finite"]) == ("2.0", "0")
    assert (a["learning_rate"], a["seconds"]) == ("0.01", "1.5")
    assert a["config_hash"] == FACTS["config_hash"]
    assert a["file"] == "dm-mlp_orig-test-measured_train-seed0.npz"
    assert (a["split"], b["split"]) == ("train, optimised on test", "test")
    assert (b["steps"], b["not_finite"], b["lowest"]) == ("2", "1", "1.0")
    assert (b["learning_rate"], b["notice"]) == ("", "")


def test_nothing_finite_has_no_lowest_loss():
    assert np.isnan(make_curve([np.nan, np.inf]).index_row()["lowest"])


def test_folders_and_files_are_read_in_order(tmp_path):
    (tmp_path / "a").mkdir()
    for seed in (1, 0):
        save_curve(tmp_path / "a", make_curve(seed=seed))
    single = save_curve(tmp_path, make_curve(seed=7))
    found = load_curves([tmp_path / "a", single])
    assert [c.seed for c in found] == [0, 1, 7]


def test_absent_curves_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "no.npz"):
        with pytest.raises(FileNotFoundError, match="Received: path="):
            load_curves([path])


def test_a_foreign_file_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", losses=np.zeros(3))
    with pytest.raises(CheckpointError, match="Received: path="):
        load_curves([tmp_path])


def test_a_cut_file_is_refused(tmp_path):
    path = save_curve(tmp_path, make_curve(np.zeros(1000)))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DamagedFileError, match="damaged"):
        load_curve(path)
