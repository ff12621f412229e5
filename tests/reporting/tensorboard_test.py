"""Curves as TensorBoard reads them back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.curves import make_curve
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)

from l2o_tf.reporting.tensorboard import averaged, run_folder, write_events


def scalars(folder, tag):
    """Return steps and values, as TensorBoard reads them."""
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events = found.Reload().Scalars(tag)
    return [e.step for e in events], [e.value for e in events]


def test_averages_stand_at_their_last_update():
    steps, means = averaged(np.array([1.0, 3.0, 5.0, 7.0, 9.0]), 2)
    np.testing.assert_array_equal(steps, [2, 4, 5])
    np.testing.assert_array_equal(means, [2, 6, 9])


@given(st.integers(1, 50), st.integers(1, 60))
def test_averages_weighted_by_their_updates_are_the_mean(length, every):
    losses = np.random.default_rng(length).random(length).astype(np.float32)
    steps, means = averaged(losses, every)
    updates = np.diff([0, *steps])
    assert steps[-1] == length
    assert (updates[:-1] == every).all()
    np.testing.assert_allclose(
        np.average(means, weights=updates), losses.mean(dtype=float), rtol=1e-9
    )


def test_opposite_infinities_are_not_a_number():
    _, means = averaged(np.array([np.inf, -np.inf, 1.0]), 2)
    np.testing.assert_array_equal(means, [np.nan, 1.0])


def test_losses_of_another_split_are_a_run_of_their_own(tmp_path):
    usual = make_curve([1.0], split="train")
    other = make_curve([1.0], split="train", measured="test")
    names = [run_folder(tmp_path, c).name for c in (usual, other)]
    assert names == [
        "mlp_orig-train-seed0",
        "mlp_orig-train-measured_test-seed0",
    ]


def test_every_curve_is_a_run(tmp_path):
    curves = [
        make_curve(np.arange(25.0), 0),
        make_curve(np.arange(25.0) + 1, 3),
        make_curve([4.0, np.nan], 0, "adam", "nas", "train"),
    ]
    root = write_events(tmp_path, curves)
    assert root == tmp_path / "tensorboard"
    assert sorted(str(p.relative_to(root)) for p in root.glob("*/*")) == [
        "adam/nas-train-seed0",
        "dm/mlp_orig-test-seed0",
        "dm/mlp_orig-test-seed3",
    ]
    for curve, shift in zip(curves[:2], (0, 1), strict=True):
        steps, values = scalars(run_folder(tmp_path, curve), "mlp_orig/loss")
        assert steps == [10, 20, 25]
        assert values == [4.5 + shift, 14.5 + shift, 22.0 + shift]
    steps, values = scalars(run_folder(tmp_path, curves[2]), "nas/loss")
    assert steps == [2]
    assert np.isnan(values).all()


def test_writing_again_replaces_what_was_there(tmp_path):
    for losses in ([1.0, 2.0, 3.0], [5.0]):
        write_events(tmp_path, [make_curve(losses)], every=1)
    place = run_folder(tmp_path, make_curve())
    assert scalars(place, "mlp_orig/loss") == ([1], [5.0])
    assert len(list(place.iterdir())) == 1


def test_names_stay_inside_their_folder(tmp_path):
    place = run_folder(tmp_path, make_curve(optimizer="a/b", split=""))
    assert place == tmp_path / "tensorboard/a_b/mlp_orig-nodata-seed0"


def test_two_curves_of_one_run_are_refused_before_anything(tmp_path):
    with pytest.raises(ValueError, match="Received: two curves of .*-seed0"):
        write_events(tmp_path, [make_curve(), make_curve()])
    assert not list(tmp_path.iterdir())


def test_averages_over_no_updates_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Received: every=0"):
        write_events(tmp_path, [make_curve()], every=0)
    with pytest.raises(ValueError, match="Received: every=-1"):
        averaged(np.ones(3), -1)
    assert not list(tmp_path.iterdir())
