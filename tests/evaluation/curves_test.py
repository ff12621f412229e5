"""Curve files and their summary."""

import csv

import numpy as np
import pytest

from l2o_tf.evaluation.curves import (
    SUMMARY,
    Curve,
    load_curve,
    load_curves,
    save_curve,
    write_summary,
)
from l2o_tf.runtime.arrays import CheckpointError


def make(losses=(3.0, 2.0, 1.0), seed=0, **fields):
    facts = {
        "optimizer": "dm",
        "optimizee": "mlp_orig",
        "split": "test",
        "seconds": 1.5,
        "notice": None,
    }
    losses = np.asarray(losses, np.float32)
    return Curve(losses=losses, seed=seed, **{**facts, **fields})


def test_round_trip(tmp_path):
    curve = make(notice="NOT THE FULL MNIST")
    path = save_curve(tmp_path, curve)
    assert path.name == "dm-mlp_orig-test-seed0.npz"
    loaded = load_curve(path)
    np.testing.assert_array_equal(loaded.losses, curve.losses)
    assert loaded._replace(losses=0) == curve._replace(losses=0)


def test_summary_row(tmp_path):
    losses = np.concatenate([np.full(200, 5.0), np.full(100, 2.0)])
    path = write_summary(tmp_path, [make(losses), make([1.0, np.nan], 1)])
    first, second = csv.DictReader(path.read_text().splitlines())
    assert tuple(first) == SUMMARY
    assert float(first["mean_of_last_100"]) == 2.0
    assert float(first["mean_of_all"]) == 4.0
    assert (first["lowest"], first["not_finite"]) == ("2.0", "0")
    assert (second["steps"], second["not_finite"]) == ("2", "1")


def test_folders_and_files_are_read_in_order(tmp_path):
    (tmp_path / "a").mkdir()
    for seed in (1, 0):
        save_curve(tmp_path / "a", make(seed=seed))
    single = save_curve(tmp_path, make(seed=7))
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
    path = save_curve(tmp_path, make(np.zeros(1000)))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="damaged"):
        load_curve(path)
