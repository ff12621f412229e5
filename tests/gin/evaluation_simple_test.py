"""The sweeps of SimpleOptimizer's figures, number by number."""

import gin
import pytest
from support.gin_files import ROOT

from l2o_tf import config
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.evaluate import evaluate
from l2o_tf.evaluation.contenders import Fixed
from l2o_tf.evaluation.tuning import Tuned
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.simple import SimpleOptimizer
from l2o_tf.learned.weights import save_weights
from l2o_tf.optimizees import collection
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.reporting import simple_paper

BASE = ["simple", "simple_bias", "simple_no_aggregate", "simple_uniform_loss"]
RIVALS = ["dm_base_mlp", "rnnprop_base_mlp"]
# File, the runs it needs, its optimizees.
SWEEPS = {
    "eval_simple.gin": (BASE, ["base_mlp"]),
    "eval_simple_rivals.gin": (RIVALS, ["base_mlp"]),
    "eval_simple_transfer.gin": (
        ["simple"],
        ["lenet_mnist", "five_layer_mlp"],
    ),
    "eval_simple_lenet_cifar.gin": (
        ["simple_finetune_lenet_cifar"],
        ["lenet_cifar"],
    ),
    "eval_simple_inception_cifar.gin": (
        ["simple_finetune_inception_cifar"],
        ["inception_cifar"],
    ),
}
FINE_TUNED = [file for file in SWEEPS if "cifar" in file]
TUNING = [file for file in SWEEPS if "rivals" not in file]
every_file = pytest.mark.parametrize("file", SWEEPS)


@pytest.fixture
def build(monkeypatch, tmp_path):
    """Return a function that builds a sweep, its runs made up."""
    images = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}

    def fake(name):
        return synthetic_images(0, *images[name], num_train=60)

    monkeypatch.setattr(collection, "load_images", fake)

    # Of a Keras model the building takes seconds; its name is what counts.
    small = collection.lenet_cifar
    monkeypatch.setitem(collection.OPTIMIZEES, "inception_cifar", small)

    def built(file, *parameters):
        for i, run in enumerate(SWEEPS[file][0]):
            path = tmp_path / run / "best" / "weights.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            cell = LearnableSGD(0.5 + i, name="eta")
            save_weights(path, cell, cell.meta_params(), {})
        runs = f"runs = {str(tmp_path)!r}"
        config.load([f"gin/{file}"], [runs, *parameters])
        sweep = config.build(evaluate)
        config.check_all_used()
        return sweep

    return built


@every_file
def test_the_training_loss_of_three_seeds_over_10000_updates(file, build):
    (comparison,) = build(file).comparisons
    assert comparison.split == simple_paper.SPLIT == "train"
    assert comparison.steps == simple_paper.UPDATES == 10_000
    assert comparison.seeds == (0, 1, 2)
    assert list(comparison.optimizees) == SWEEPS[file][1]


@every_file
def test_each_optimizer_has_the_weights_of_its_run(file, build):
    (comparison,) = build(file).comparisons
    fixed = [o for o in comparison.optimizers if isinstance(o, Fixed)]
    names = [o.name for o in fixed]
    found = [float(o.cell.meta_params()[0]) for o in fixed]
    assert found == [0.5 + i for i in range(len(names))]
    fine = file in FINE_TUNED
    assert names == (["simple_fine_tuned"] if fine else SWEEPS[file][0])


@pytest.mark.parametrize("file", TUNING)
def test_sgd_and_adam_try_four_rates(file, build):
    (comparison,) = build(file).comparisons
    tuned = [o for o in comparison.optimizers if isinstance(o, Tuned)]
    assert [o.name for o in tuned] == ["sgd", "adam"]
    for optimizer, kind in zip(tuned, (SGD, Adam), strict=True):
        cells = [candidate.cell for candidate in optimizer.candidates]
        assert {type(cell) for cell in cells} == {kind}
        rates = [cell.learning_rate for cell in cells]
        assert rates == [0.001, 0.01, 0.1, 1.0]
        assert (optimizer.by, optimizer.seeds) == ("final", (1000,))
        fine = file in FINE_TUNED
        assert optimizer.split == ("train[5%]" if fine else None)
        assert optimizer.steps == (1_000 if fine else 10_000)


def test_every_line_of_the_figures_is_in_a_sweep(build):
    asked = set()
    for file in SWEEPS:
        for comparison in build(file).comparisons:
            asked |= {
                (optimizer.name, optimizee)
                for optimizer in comparison.optimizers
                for optimizee in comparison.optimizees
            }
        gin.clear_config()
    assert asked == {
        (optimizer, panel.optimizee)
        for figure in simple_paper.FIGURES
        for panel in figure.panels
        for optimizer in panel.optimizers
    }


def test_two_macros_shorten_a_sweep(build):
    (comparison,) = build(
        "eval_simple_inception_cifar.gin", "steps = 7", "seeds = (4,)"
    ).comparisons
    assert (comparison.steps, comparison.seeds) == (7, (4,))


def test_weights_are_those_of_any_cell(build, tmp_path):
    build("eval_simple_transfer.gin")
    gin.clear_config()
    path = tmp_path / "other.npz"
    cell = SimpleOptimizer(seed=3)
    save_weights(path, cell, cell.meta_params(), {})
    (comparison,) = build(
        "eval_simple_transfer.gin",
        "simple/load_released.path = 'other.npz'",
    ).comparisons
    assert isinstance(comparison.optimizers[0].cell, SimpleOptimizer)


@every_file
def test_a_file_says_where_it_comes_from_and_is_short(file):
    lines = (ROOT / "gin" / file).read_text().splitlines()
    comment = " ".join(line for line in lines if line.startswith("#"))
    assert "spec" in comment
    assert "simple_optimizer.md" in comment
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 82
