"""The studies of Metz et al. 2019: the paper's numbers on the built objects."""

import gin
import pytest
from support.gin_files import ROOT, STUDY_FILES, named_bindings

from l2o_tf import config
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.evaluate import evaluate
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.optimizees import collection

# The file's own data set is MNIST itself.
SYNTHETIC = "MLP.dataset = @synthetic_images()"


@pytest.fixture
def build(monkeypatch):
    monkeypatch.setattr(
        collection, "load_images", lambda name: synthetic_images(0, 28, 28, 1)
    )

    def built(file, *parameters):
        config.load([f"gin/{file}"], parameters)
        studies = config.build(evaluate)
        config.check_all_used()
        return studies

    return built


def test_every_study_of_the_paper_has_its_file():
    assert STUDY_FILES == [
        "study_chaos.gin",
        "study_outer_training.gin",
        "study_slices.gin",
        "study_toy.gin",
        "study_truncation_bias.gin",
    ]


@pytest.mark.parametrize("file", STUDY_FILES)
def test_a_file_says_where_it_and_its_numbers_come_from(file):
    lines = (ROOT / "gin" / file).read_text().splitlines()
    assert lines[0].startswith("# Metz et al. 2019, Figure")
    assert "spec metz.md" in " ".join(lines[:4])
    assert len(lines) <= 30
    numbers = [
        line
        for line in lines
        if not line.startswith("#")
        and line.partition("=")[2].strip()[:1] in "(0123456789"
    ]
    assert numbers
    for line in numbers:
        assert any(tag in line for tag in ("[S]", "[I]", "[?]")), line


def test_figure_2a(build):
    (study,) = build("study_toy.gin")
    assert (study.learning_rate, study.start) == (0.01, -1.2)
    assert study.lengths == (10, 50, 100, 1000)
    assert study.num_momenta == 1000


@pytest.mark.parametrize(
    ("file", "others"),
    [("study_toy.gin", ()), ("study_truncation_bias.gin", (SYNTHETIC,))],
)
def test_every_other_reading_that_a_comment_names_is_another(
    file, others, build
):
    (offered,) = named_bindings(file)
    here = [study.config() for study in build(file, *others)]
    gin.clear_config()
    there = [study.config() for study in build(file, *others, offered)]
    assert all(a != b for a, b in zip(here, there, strict=True))


def test_figure_2d(build):
    (study,) = build("study_chaos.gin")
    assert (study.lowest, study.highest) == (0.1469, 0.1484)
    assert (study.num_rates, study.steps) == (100, 40)
    assert study.optimizee.activation == "relu"
    assert len(study.optimizee.hidden) == 1


def test_figures_2e_and_2f(build):
    along, plane = build("study_slices.gin")
    assert along.lengths == (5, 10, 20)
    assert along.optimizee.split == plane.measured.split == "train"
    assert along.measured.split == "meta_valid"
    assert plane.lengths == (20,)
    for study in (along, plane):
        assert isinstance(study.cell, DMLSTM)
        assert study.optimizee.activation == "relu"


def test_figure_3(build):
    studies = build("study_truncation_bias.gin", SYNTHETIC)
    assert [s.window for s in studies] == [1, 10, 100, 1000, 10_000]
    for study in studies:
        assert study.horizon == 10_000
        assert study.cell.learning_rate == 0.001
        assert study.second_derivatives
        assert study.period == 10_000
        assert type(study.meta_optimizer).__name__ == "Adam"
        assert study.optimizee.hidden == (32, 32)


def test_figures_4_and_8(build, tmp_path):
    runs = {}
    for label in ("merged", "gradients"):
        metrics = tmp_path / label / "metrics"
        metrics.mkdir(parents=True)
        (tmp_path / label / "config.gin").write_text("")
        (metrics / "train.csv").write_text(
            "episode,horizon,mean_meta_loss,meta_updates\n1,100,2.0,10\n"
        )
        runs[label] = str(tmp_path / label)
    studies = build("study_outer_training.gin", f"runs = {runs}")
    assert [s.label for s in studies] == ["merged", "gradients"]
    assert [s.window for s in studies] == [5, 5]


def test_figure_8_is_of_the_three_small_runs():
    text = (ROOT / "gin" / "study_outer_training.gin").read_text()
    (line,) = (x for x in text.splitlines() if x.startswith("runs = "))
    for name in ("metz_small", "metz_small_gradients", "metz_small_es"):
        assert f"'runs/{name}'" in line
        assert (ROOT / "gin" / f"{name}.gin").exists()


def test_studies_leave_nothing_of_a_sweep_bound(build):
    build("study_toy.gin")
    assert "sweep" not in gin.config_str()
