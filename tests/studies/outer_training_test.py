"""What a training run wrote down, put beside each other."""

import json

import numpy as np
import pytest

from l2o_tf.runtime.run_dir import RunDirectoryError
from l2o_tf.studies.outer_training import (
    OuterTrainingStudy,
    outer_training_studies,
)
from l2o_tf.studies.store import StudyFolder, load_findings

TRAIN = """\
episode,stage,horizon,last_loss,mean_meta_loss,meta_updates
1,0,100,2.3,2.0,10
2,0,120,2.0,nan,18
3,0,140,1.0,1.0,28
"""
POPULATION = """\
episode,dropped_pairs,log10_score_variance,log10_pathwise_variance
1,0,-1.5,-5.0
2,2,-1.0,inf
3,1,-0.5,nan
"""
VALIDATION = """\
validation,kind,episode,horizon,mean_loss,verdict
1,baseline,0,200,2.5,continue
2,validation,2,200,1.25,continue
"""


def make_run(folder, **tables):
    """Write a run directory with tables; None for none."""
    (folder / "metrics").mkdir(parents=True)
    (folder / "config.gin").write_text("")
    texts = {
        "train": TRAIN,
        "population": POPULATION,
        "validation": VALIDATION,
        **tables,
    }
    for name, text in texts.items():
        if text is not None:
            (folder / "metrics" / f"{name}.csv").write_text(text)
    return folder


def go_on():
    return True


def found(folder, **tables):
    study = OuterTrainingStudy("mine", make_run(folder, **tables))
    return study.run(go_on)


def test_losses_stand_at_the_inner_steps_of_one_pair(tmp_path):
    arrays = found(tmp_path)
    np.testing.assert_array_equal(arrays["inner_steps"], [100, 220, 360])
    np.testing.assert_array_equal(arrays["meta_losses"], [2.0, np.nan, 1.0])
    np.testing.assert_array_equal(arrays["validation_steps"], [0, 220])
    np.testing.assert_array_equal(arrays["validation_losses"], [2.5, 1.25])
    assert arrays["validation_horizon"] == 200


def test_variances_stand_at_the_meta_updates(tmp_path):
    arrays = found(tmp_path)
    np.testing.assert_array_equal(arrays["meta_updates"], [10, 18, 28])
    np.testing.assert_array_equal(arrays["variance_updates"], [10, 18, 28])
    np.testing.assert_array_equal(arrays["score_variances"], [-1.5, -1, -0.5])
    np.testing.assert_array_equal(
        arrays["pathwise_variances"], [-5.0, np.inf, np.nan]
    )
    np.testing.assert_array_equal(arrays["dropped_pairs"], [0, 2, 1])


def test_a_run_without_pairs_or_validations_has_none(tmp_path):
    arrays = found(tmp_path, population=None, validation=None)
    np.testing.assert_array_equal(arrays["inner_steps"], [100, 220, 360])
    for name in ("score_variances", "variance_updates", "validation_losses"):
        assert arrays[name].shape == (0,)


def test_a_row_that_is_being_written_is_left_out(tmp_path):
    arrays = found(tmp_path, train=TRAIN + "4,0,1")
    np.testing.assert_array_equal(arrays["inner_steps"], [100, 220, 360])


def test_what_a_run_writes_meanwhile_is_not_mixed_in(tmp_path):
    study = OuterTrainingStudy("mine", make_run(tmp_path))
    before = study.config()
    table = tmp_path / "metrics" / "train.csv"
    table.write_text(TRAIN + "4,0,100,1.0,1.0,38\n")
    assert study.config() == before
    assert study.run(go_on)["inner_steps"].shape == (3,)
    later = OuterTrainingStudy("mine", tmp_path)
    assert later.run(go_on)["inner_steps"].tolist() == [100, 220, 360, 460]
    assert later.config() != before


def test_a_run_that_went_on_replaces_its_finding_only_if_asked(tmp_path):
    run = make_run(tmp_path / "run")
    folder = StudyFolder(tmp_path)
    assert folder.compute(OuterTrainingStudy("mine", run), go_on)
    assert folder.has(OuterTrainingStudy("mine", run))
    with open(run / "metrics" / "train.csv", "a") as file:
        file.write("4,0,100,1.0,1.0,38\n")
    with pytest.raises(ValueError, match="replace it by --overwrite"):
        folder.has(OuterTrainingStudy("mine", run))
    replacing = StudyFolder(tmp_path, overwrite=True)
    assert replacing.compute(OuterTrainingStudy("mine", run), go_on)
    (finding,) = load_findings(tmp_path)
    assert finding.arrays["inner_steps"].shape == (4,)
    assert (finding.name, finding.kind) == (
        "outer_training_mine",
        "outer_training",
    )


def test_notice_and_configuration_are_the_runs(tmp_path):
    run = make_run(tmp_path)
    study = OuterTrainingStudy("mine", run)
    assert (study.notice, study.config()["configuration"]) == (None, None)
    facts = {"notice": "A SUBSTITUTE", "config": "metz_small"}
    (run / "summary.json").write_text(json.dumps(facts))
    study = OuterTrainingStudy("mine", run)
    assert study.notice == "A SUBSTITUTE"
    assert study.config()["configuration"] == "metz_small"


def test_a_stopped_study_has_nothing(tmp_path):
    study = OuterTrainingStudy("mine", make_run(tmp_path))
    assert study.run(lambda: False) is None


def test_runs_are_studies_by_their_labels(tmp_path):
    runs = {name: make_run(tmp_path / name) for name in ("merged", "no time")}
    studies = outer_training_studies(runs, window=3)
    assert [s.label for s in studies] == ["merged", "no time"]
    assert [s.name for s in studies] == [
        "outer_training_merged",
        "outer_training_no time",
    ]
    assert {s.config()["window"] for s in studies} == {3}


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunDirectoryError, match="Received: run_dir="):
        OuterTrainingStudy("mine", tmp_path)


@pytest.mark.parametrize("train", [None, TRAIN.splitlines()[0] + "\n"])
def test_a_run_without_an_episode_is_refused(train, tmp_path):
    run = make_run(tmp_path, train=train)
    with pytest.raises(ValueError, match="an episode yet. Received: run="):
        OuterTrainingStudy("mine", run)


@pytest.mark.parametrize(
    "train",
    [
        "episode,horizon,meta_updates\n1,100,10\n",
        TRAIN.replace("140", "many"),
        TRAIN + "4,0\n",
    ],
)
def test_a_table_of_another_kind_is_refused(train, tmp_path):
    run = make_run(tmp_path, train=train)
    with pytest.raises(ValueError, match=r"Received: path=.*train\.csv"):
        OuterTrainingStudy("mine", run)


@pytest.mark.parametrize("runs", [{}, ["runs/a"], "runs/a"])
def test_runs_that_are_no_mapping_are_refused(runs):
    with pytest.raises(ValueError, match="Received: runs="):
        outer_training_studies(runs)


@pytest.mark.parametrize("window", [0, 1.5])
def test_a_bad_window_is_refused(window, tmp_path):
    with pytest.raises(ValueError, match="Received: window="):
        OuterTrainingStudy("mine", make_run(tmp_path), window)
