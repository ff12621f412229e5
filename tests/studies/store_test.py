"""Studies become files: whole, once, and of one configuration."""

import numpy as np
import pytest

from l2o_tf.runtime.file_lock import file_lock
from l2o_tf.studies.base import Study
from l2o_tf.studies.store import (
    StudyFolder,
    check_names,
    load_findings,
)


class Counting(Study):
    """Its array is a number, and how often it was computed."""

    kind = "counting"

    def __init__(self, number=1.0, name="count", notice=None):
        super().__init__(name)
        self.number = number
        self.notice = notice
        self.runs = 0

    def config(self):
        return {"number": self.number, "pair": (1, 2)}

    def run(self, progress):
        self.runs += 1
        if not progress():
            return None
        return {"number": np.array([self.number, self.runs])}


def go_on():
    return True


@pytest.fixture
def said():
    return []


@pytest.fixture
def folder(tmp_path, said):
    return StudyFolder(tmp_path, say=said.append)


def test_what_is_computed_is_read_back(folder, tmp_path):
    study = Counting(0.1, notice="not the full set")
    assert not folder.has(study)
    assert folder.compute(study, go_on)
    assert folder.has(study)
    (found,) = load_findings(tmp_path)
    assert (found.name, found.kind) == ("count", "counting")
    assert found.notice == "not the full set"
    assert found.config == {"number": 0.1, "pair": [1, 2]}
    assert found.seconds >= 0.0
    np.testing.assert_array_equal(found.arrays["number"], [0.1, 1.0])


def test_a_folder_without_studies_has_none(tmp_path):
    assert load_findings(tmp_path) == []


def test_what_is_there_is_not_computed_again(folder):
    study = Counting()
    folder.compute(study, go_on)
    assert folder.compute(study, go_on)
    assert study.runs == 1


def test_numbers_that_are_not_numbers_count_as_the_same(folder):
    folder.compute(Counting(float("nan")), go_on)
    assert folder.has(Counting(float("nan")))


def test_another_configuration_is_refused(folder):
    folder.compute(Counting(1.0), go_on)
    with pytest.raises(ValueError, match=r"Received: path=.*count\.npz"):
        folder.has(Counting(2.0))


def test_another_configuration_is_replaced_if_asked(folder, tmp_path):
    folder.compute(Counting(1.0), go_on)
    replacing = StudyFolder(tmp_path, overwrite=True)
    assert not replacing.has(Counting(2.0))
    assert replacing.compute(Counting(2.0), go_on)
    assert load_findings(tmp_path)[0].config["number"] == 2.0


def test_a_damaged_file_is_announced_and_computed_again(folder, said):
    study = Counting()
    folder.compute(study, go_on)
    path = folder.file(study)
    path.write_bytes(path.read_bytes()[:-30])
    assert not folder.has(study)
    assert "To be computed again" in said[0]
    assert folder.compute(study, go_on)
    assert study.runs == 2


def test_a_stopped_study_leaves_no_file(folder):
    study = Counting()
    assert not folder.compute(study, lambda: False)
    assert not folder.file(study).exists()


def test_what_another_process_computes_is_left_to_it(folder, said):
    study = Counting()
    with file_lock(folder.path / ".locks" / "count.lock"):
        assert not folder.compute(study, go_on)
    assert said == ["count is computed by another process."]
    assert study.runs == 0


def test_two_studies_of_one_name_are_refused():
    with pytest.raises(ValueError, match="Received: names=.'a', 'a'."):
        check_names([Counting(name="a"), Counting(name="a")])
    with pytest.raises(ValueError, match="Received: names=.."):
        check_names([])
