"""Tuning on a part of the data: the courtesy that fine-tuning asks for."""

import io

import pytest

from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.evaluation.candidates import LearningRateGrid
from l2o_tf.evaluation.comparison import Comparison
from l2o_tf.evaluation.curves import load_curves
from l2o_tf.evaluation.recorder import CurveRecorder
from l2o_tf.evaluation.results import Results
from l2o_tf.evaluation.sweep import Sweep
from l2o_tf.evaluation.sweep_run import run_sweep
from l2o_tf.evaluation.tuning import ScoredCandidate, Tuned, TuningResult
from l2o_tf.optimizees import collection
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.runtime.progress import ProgressBar

PART = "train[10%]"
DATA = synthetic_images(num_train=60)


def small(split="train"):
    return MLP(DATA, split, (2,), "sigmoid", batch_size=4)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setitem(collection.OPTIMIZEES, "small", small)


def sweep(optimizee="small", split=PART):
    grid = LearningRateGrid(SGD, (0.1, 1.0))
    tuned = Tuned("sgd", grid, steps=5, seeds=(7,), split=split)
    return Sweep(
        [Comparison([tuned], [optimizee], (0,), 3, "train", jit_compile=False)]
    )


def test_candidates_run_on_the_part_and_the_chosen_on_the_whole(tmp_path):
    results, of_part = Results(tmp_path), sweep()
    planned = of_part.plan(results)
    assert [job.wanted.split for job in planned.missing] == [PART, PART]
    assert [wanted.split for wanted in planned.later] == ["train"]
    stream = io.StringIO()
    with ProgressBar(13, stream=stream, unit="update", even=False) as bar:
        assert run_sweep(of_part, results, bar, lambda: False)
    candidates = load_curves([tmp_path / "tuning"])
    assert [(c.split, c.steps) for c in candidates] == 2 * [(PART, 5)]
    recorder = CurveRecorder(SGD(0.1), small(PART), jit_compile=False)
    (expected,) = recorder.record(7, 5)
    assert candidates[0].losses.tobytes() == expected.tobytes()
    (curve,) = load_curves([tmp_path])
    assert (curve.split, curve.steps) == ("train", 3)
    assert curve.tuning["split"] == PART
    losses = [c.tail_mean() for c in candidates]
    assert curve.tuning["chosen"] == losses.index(min(losses))


def test_without_a_split_of_its_own_it_is_tuned_on_the_comparisons(tmp_path):
    planned = sweep(split=None).plan(Results(tmp_path))
    assert [job.wanted.split for job in planned.missing] == ["train", "train"]


def test_a_record_names_the_split_where_it_is_the_tunings_own():
    scored = (ScoredCandidate("sgd_0.1", {}, 1.0),)
    result = TuningResult("final", 5, (7,), scored, 0, False)
    assert "split" not in result.to_json()
    assert result._replace(split=PART).to_json()["split"] == PART


def test_a_problem_without_data_is_tuned_on_itself(tmp_path):
    planned = sweep("simple").plan(Results(tmp_path))
    assert [job.wanted.split for job in planned.missing] == ["", ""]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("trian", "Received: split='trian'"),
        ("train[5]", r"Received: split='train\[5\]'"),
        ("train[0%]", "Received: fraction=0.0"),
    ],
)
def test_a_split_that_does_not_exist_is_refused(split, message):
    with pytest.raises(ValueError, match=message):
        Tuned("sgd", LearningRateGrid(SGD, (0.1,)), split=split)
