"""Losses of another split than the one that is optimised on."""

import io
import types

import numpy as np
import pytest

from l2o_tf.core import seeds
from l2o_tf.datasets.base import SPLITS, ImageDataset, make_split
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.evaluation import identity
from l2o_tf.evaluation.candidates import LearningRateGrid
from l2o_tf.evaluation.comparison import Comparison
from l2o_tf.evaluation.contenders import Fixed
from l2o_tf.evaluation.curves import (
    FORMAT,
    curve_file,
    load_curve,
    load_curves,
)
from l2o_tf.evaluation.recorder import CurveRecorder
from l2o_tf.evaluation.results import Results, Wanted
from l2o_tf.evaluation.sweep import Sweep
from l2o_tf.evaluation.sweep_run import run_sweep
from l2o_tf.evaluation.tuning import Tuned
from l2o_tf.optimizees import collection
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.sampled_classes import SampledClasses
from l2o_tf.optimizees.wrappers import Clamped
from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.description import cell_config
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.runtime.arrays import load_arrays
from l2o_tf.runtime.progress import ProgressBar
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import inner_step

DATA = synthetic_images(num_train=60)
SEED = seeds.make_seed(1)


def small(split="train", units=2):
    problem = MLP(DATA, split, (units,), "sigmoid", batch_size=4)
    problem.notice = f"half of {split}" if split == "test" else None
    return problem


def sampled(split, classes="outer_train"):
    """Return problems of two of four classes, images that tell the split."""
    splits = {
        name: make_split(
            np.full([40, 2, 2, 1], 60 * i, np.uint8), np.arange(40) % 8
        )
        for i, name in enumerate(SPLITS)
    }

    def network(data, part):
        return MLP(data, part, (2,), batch_size=4, init_stddev=0.5)

    problem = SampledClasses(
        ImageDataset("numbered", splits, 8), split, network, classes, 2, 8, 0.5
    )
    return Clamped(problem, 10.0)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setitem(collection.OPTIMIZEES, "small", small)


def recorded(recorder, steps=3):
    return np.concatenate(list(recorder.record(1, steps)))


def compared(*optimizers, optimizee="small", measured="test", **options):
    return Comparison(
        optimizers,
        [optimizee],
        (0, 1),
        3,
        "train",
        jit_compile=False,
        measured=measured,
        **options,
    )


def tuned(rates=(0.1, 1.0), **options):
    grid = LearningRateGrid(SGD, rates)
    return Tuned("tuned", grid, steps=5, seeds=(7,), **options)


def run(sweep, folder):
    results = Results(folder)
    with ProgressBar(None, stream=io.StringIO()) as bar:
        assert run_sweep(sweep, results, bar, lambda: False)


def test_updates_are_of_the_one_split_and_losses_of_the_other():
    problem, other, cell = small(), small("test"), SGD(0.5)
    losses = recorded(
        CurveRecorder(cell, problem, 3, jit_compile=False, measured=other)
    )
    carry = start_episode(cell, problem, SEED)
    for loss in losses:
        carry, step = inner_step(cell, problem, carry)
        batch = other.sample(seeds.fold_in(step.batch_seed, 1))
        expected = other.loss(carry.params, (), batch)
        np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_measured_where_it_is_optimised_the_curve_is_the_usual_one():
    usual = recorded(CurveRecorder(SGD(0.5), small(), 3, jit_compile=False))
    same = CurveRecorder(
        SGD(0.5), small(), 3, jit_compile=False, measured=small()
    )
    assert recorded(same).tobytes() == usual.tobytes()


def test_the_other_splits_images_are_of_the_same_classes():
    problem, other, cell = sampled("train"), sampled("test"), SGD(0.5)
    losses = recorded(
        CurveRecorder(cell, problem, 3, jit_compile=False, measured=other)
    )
    carry = start_episode(cell, problem, SEED)
    for loss in losses:
        carry, step = inner_step(cell, problem, carry)
        batch = other.sample(seeds.fold_in(step.batch_seed, 1))
        images, _ = other.optimizee.images(step.constants, batch)
        np.testing.assert_allclose(images, 180 / 255, rtol=1e-6)
        expected = other.loss(carry.params, step.constants, batch)
        np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_a_problem_of_other_classes_or_tensors_is_refused():
    with pytest.raises(ValueError, match="Received: two that differ for the"):
        CurveRecorder(
            SGD(0.1), sampled("train"), measured=sampled("test", "outer_test")
        )
    with pytest.raises(ValueError, match="Received: objective.layout="):
        CurveRecorder(SGD(0.1), small(), measured=small("test", units=3))


def test_curves_of_results_that_exist_keep_their_identity():
    # Hash and name of a curve that was recorded before losses could be of
    # another split: tuned Adagrad on MLP-orig.
    mlp_orig = types.SimpleNamespace(
        layout=types.SimpleNamespace(size=15910), split="test", notice=None
    )
    found = identity.config_hash(
        cell_config(Adagrad(1.0)), "mlp_orig", mlp_orig
    )
    assert found == "15113a32b743343c"
    wanted = Wanted("adagrad", "mlp_orig", "test", 0, 10_000, found)
    assert wanted.file_name == "adagrad-mlp_orig-test-seed0.npz"


def test_a_usual_curves_file_says_nothing_of_a_measured_split(tmp_path):
    run(Sweep([compared(Fixed("sgd", SGD(0.1)), measured=None)]), tmp_path)
    path = tmp_path / "sgd-small-train-seed0.npz"
    _, metadata = load_arrays(path, FORMAT)
    assert "measured" not in metadata
    assert load_curve(path).measured is None
    assert load_curve(path).splits == "train"


def test_the_measured_split_is_part_of_a_results_identity(tmp_path):
    sgd = Fixed("sgd", SGD(0.1))
    run(Sweep([compared(sgd, measured=None), compared(sgd)]), tmp_path)
    curves = load_curves([tmp_path])
    assert {c.file_name: (c.split, c.measured, c.splits) for c in curves} == {
        f"sgd-small-train{name}-seed{seed}.npz": ("train", measured, splits)
        for seed in (0, 1)
        for name, measured, splits in (
            ("", None, "train"),
            ("-measured_test", "test", "test, optimised on train"),
        )
    }
    assert len({c.config_hash for c in curves}) == 2
    assert {c.measured: c.notice for c in curves} == {
        None: None,
        "test": "half of test",
    }
    rows = {c.index_row()["split"] for c in curves}
    assert rows == {"train", "test, optimised on train"}
    results = Results(tmp_path)
    plan = Sweep([compared(sgd)]).plan(results)
    assert plan.remaining == []


def test_the_curve_is_the_recorders(tmp_path):
    run(Sweep([compared(Fixed("sgd", SGD(0.5)))]), tmp_path)
    (curve,) = (c for c in load_curves([tmp_path]) if c.seed == 1)
    recorder = CurveRecorder(
        SGD(0.5), small(), jit_compile=False, measured=small("test")
    )
    assert curve.losses.tobytes() == recorded(recorder).tobytes()


def test_a_result_of_another_measured_split_is_refused(tmp_path):
    run(Sweep([compared(Fixed("sgd", SGD(0.1)))]), tmp_path)
    name = curve_file("sgd", "small", "train", 0, "test")
    (tmp_path / name).rename(
        tmp_path / curve_file("sgd", "small", "train", 0, "inner_valid")
    )
    sweep = Sweep([compared(Fixed("sgd", SGD(0.1)), measured="inner_valid")])
    with pytest.raises(ValueError, match=r"measured='test' \(wanted 'inner_v"):
        sweep.plan(Results(tmp_path))


def test_candidates_are_tuned_once_and_where_they_are_optimised(tmp_path):
    sweep = Sweep([compared(tuned(), measured=None), compared(tuned())])
    plan = sweep.plan(Results(tmp_path))
    assert [j.wanted.optimizer for j in plan.missing] == [
        "tuned_0.1",
        "tuned_1",
    ]
    assert {j.wanted.measured for j in plan.missing} == {None}
    assert [(w.seed, w.measured) for w in plan.later] == [
        (0, None),
        (1, None),
        (0, "test"),
        (1, "test"),
    ]
    assert len({w.file_name for w in plan.later}) == 4
    run(sweep, tmp_path)
    assert len(list((tmp_path / "tuning").glob("*.npz"))) == 2
    curves = load_curves([tmp_path])
    assert len(curves) == 4
    assert len({c.config["learning_rate"] for c in curves}) == 1
    # An update takes as long wherever its loss is measured.
    pairs = sweep.plan(Results(tmp_path)).pairs
    assert [j.wanted.optimizer for j in pairs] == ["tuned"]


@pytest.mark.parametrize(
    "other", [tuned(by="mean"), tuned((0.1, 2.0), split="test")]
)
def test_candidates_tuned_otherwise_are_shared_only_if_elsewhere(other):
    comparisons = [compared(tuned(), measured=None), compared(other)]
    if other.split is None:
        with pytest.raises(ValueError, match="'tuned_0.1', 'small', 'train'"):
            Sweep(comparisons)
    else:
        assert len(Sweep(comparisons).comparisons) == 2


def test_one_curve_asked_for_twice_is_refused():
    twice = [compared(Fixed("sgd", SGD(0.1))) for _ in range(2)]
    with pytest.raises(ValueError, match="'test, optimised on train', '0'"):
        Sweep(twice)


def test_a_problem_without_data_is_measured_on_itself(tmp_path):
    sweep = Sweep([compared(Fixed("sgd", SGD(0.1)), optimizee="simple")])
    (one, _) = sweep.plan(Results(tmp_path)).missing
    assert (one.measured, one.wanted.measured) == (None, None)
    assert one.wanted.file_name == "sgd-simple-nodata-seed0.npz"


def test_the_split_that_is_optimised_on_is_the_usual_protocol():
    assert compared(Fixed("sgd", SGD(0.1)), measured="train").measured is None


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="Received: measured='tests'"):
        compared(Fixed("sgd", SGD(0.1)), measured="tests")
