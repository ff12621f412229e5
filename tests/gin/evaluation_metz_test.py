"""Metz et al.'s Figure 6, number by number, on the built objects."""

import gin
import numpy as np
import pytest
from support.gin_files import ROOT, named_bindings

from l2o_tf import config
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.evaluate import evaluate
from l2o_tf.evaluation.contenders import Fixed
from l2o_tf.evaluation.results import Results
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.weights import save_weights
from l2o_tf.optimizees import metz_tasks
from l2o_tf.optimizers.decayed_adam import DecayedAdam

FIGURE = "eval_metz.gin"
SEARCH = "eval_metz_decayed_adam.gin"
FEW = "decayed_adam/RandomSearch.draws = 2"
SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}


@pytest.fixture(scope="module")
def images():
    return {
        name: synthetic_images(0, *shape, num_classes=10, num_train=60)
        for name, shape in SHAPES.items()
    }


@pytest.fixture
def build(images, monkeypatch, tmp_path):
    """Return a function that builds a sweep, its run made up."""

    def fake(name, disjoint_valid=False):
        assert disjoint_valid == (name == "cifar10")
        return images[name]

    monkeypatch.setattr(metz_tasks, "load_images", fake)
    path = tmp_path / "run" / "best" / "weights.npz"
    path.parent.mkdir(parents=True)
    cell = LearnableSGD(0.5)
    save_weights(path, cell, cell.meta_params(), {})

    def built(file, *parameters):
        mine = [f"run = {str(tmp_path / 'run')!r}"] if file == FIGURE else [FEW]
        config.load([f"gin/{file}"], [*mine, *parameters])
        sweep = config.build(evaluate)
        config.check_all_used()
        return sweep

    return built


@pytest.mark.parametrize("file", [FIGURE, SEARCH])
def test_optimised_on_train_images_and_measured_on_train_and_test(file, build):
    train, test = build(file).comparisons
    assert (train.split, train.measured) == ("train", None)
    assert (test.split, test.measured) == ("train", "test")
    for comparison in (train, test):
        assert comparison.steps == 10_000
        assert comparison.seeds == (0, 1, 2, 3, 4)
        assert comparison.optimizees[:2] == ("metz_conv", "metz_conv_test")


def test_the_learned_optimizer_meets_three_by_a_grid_of_11(build):
    for comparison in build(FIGURE).comparisons:
        assert comparison.optimizees[2:] == ("mnist_six_conv",)
        learned, *tuned = comparison.optimizers
        assert isinstance(learned, Fixed)
        assert learned.name == "metz"
        assert isinstance(learned.cell, LearnableSGD)
        assert [t.name for t in tuned] == ["adam", "rmsprop", "momentum"]
        for one in tuned:
            np.testing.assert_allclose(
                [c.cell.learning_rate for c in one.candidates],
                np.geomspace(1e-4, 10.0, 11),
                rtol=1e-5,
            )
            assert (one.by, one.steps, one.seeds) == ("mean", 10_000, (1000,))


def test_each_rate_is_tried_once_per_problem_for_both_comparisons(
    build, tmp_path
):
    plan = build(FIGURE).plan(Results(tmp_path / "results"))
    tuning = [j.wanted for j in plan.missing if j.wanted.tuning]
    assert len(tuning) == len(set(tuning)) == 3 * 11 * 3
    assert {w.split for w in tuning} == {"train"}
    assert {w.measured for w in tuning} == {None}
    learned = [j.wanted for j in plan.missing if not j.wanted.tuning]
    assert len(learned) == 2 * 3 * 5
    assert len(plan.later) == 2 * 3 * 3 * 5


def test_8_hyper_parameters_are_searched_over_several_problems(build):
    for comparison in build(SEARCH).comparisons:
        assert comparison.jit_compile is False
        (tuned,) = comparison.optimizers
        assert tuned.name == "decayed_adam"
        assert (tuned.by, tuned.steps) == ("mean", 10_000)
        assert len(tuned.seeds) == 8
        assert not set(tuned.seeds) & set(comparison.seeds)
        assert len(tuned.source.ranges) == 8
        for candidate in tuned.candidates:
            assert isinstance(candidate.cell, DecayedAdam)
            assert candidate.cell.num_steps == 10_000


def test_one_macro_shortens_the_runs_the_tuning_and_the_decays(build):
    for comparison in build(SEARCH, "steps = 500").comparisons:
        (tuned,) = comparison.optimizers
        assert (comparison.steps, tuned.steps) == (500, 500)
        assert {c.cell.num_steps for c in tuned.candidates} == {500}


@pytest.mark.parametrize(
    ("file", "binding"),
    [
        (file, binding)
        for file in (FIGURE, SEARCH)
        for binding in named_bindings(file)
        if not binding.startswith("run =")
    ],
)
def test_every_other_reading_that_a_comment_names_is_another(
    file, binding, build
):
    build(file)
    before = gin.config_str()
    gin.clear_config()
    build(file, binding)
    after = gin.config_str()
    assert f"\n{binding}\n" in after
    assert f"\n{binding}\n" not in before


def test_what_is_evaluated_is_what_the_small_run_left():
    text = (ROOT / "gin" / FIGURE).read_text()
    assert "\nrun = 'runs/metz_small' " in text
    assert "\nload_released.path = 'best/weights.npz'\n" in text
    assert (ROOT / "gin" / "metz_small.gin").exists()


@pytest.mark.parametrize("file", [FIGURE, SEARCH])
def test_a_file_says_where_it_comes_from_and_is_short(file):
    lines = (ROOT / "gin" / file).read_text().splitlines()
    assert "spec metz.md 9" in " ".join(lines[:2])
    assert len(lines) <= 30
