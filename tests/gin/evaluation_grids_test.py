"""The tuned baselines' configurations, number by number, on built objects."""

import gin
import numpy as np
import pytest

from l2o_tf import config
from l2o_tf.evaluate import evaluate
from l2o_tf.evaluation.candidates import RandomSearch
from l2o_tf.optimizees import collection
from l2o_tf.optimizers.adagrad import Adagrad
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.decayed_adam import DecayedAdam
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD

PARTS = "gin/parts/evaluation"
HALF_DECADES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
GRIDS = {
    "adam": (Adam, HALF_DECADES[:7]),
    "rmsprop": (RMSProp, HALF_DECADES[:7]),
    "sgd": (SGD, HALF_DECADES[2:]),
    "momentum": (Momentum, HALF_DECADES[2:10]),
    "adagrad": (Adagrad, HALF_DECADES[2:11]),
}


def build(files, name, *parameters):
    config.load([f"{PARTS}/{file}.gin" for file in files], parameters)
    return gin.get_configurable(f"{name}/Tuned")()


@pytest.fixture
def sweep(subset, monkeypatch):
    monkeypatch.setattr(collection, "load_images", lambda name: subset)

    def build_sweep(file, *parameters):
        config.load([f"gin/{file}"], parameters)
        built = config.build(evaluate)
        config.check_all_used()
        return built

    return build_sweep


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_is_the_published_one(name):
    kind, rates = GRIDS[name]
    tuned = build(["grids"], name)
    assert tuned.name == name
    names, cells = zip(*tuned.candidates, strict=True)
    assert [type(cell) for cell in cells] == [kind] * len(rates)
    assert [cell.learning_rate for cell in cells] == [float(r) for r in rates]
    assert names == tuple(f"{name}_{rate:g}" for rate in rates)


@pytest.mark.parametrize("name", GRIDS)
def test_all_else_is_tensorflow_1s_default(name):
    kind = GRIDS[name][0]
    for candidate in build(["grids"], name).candidates:
        found, default = candidate.cell.get_config(), kind().get_config()
        for settings in (found, default):
            del settings["learning_rate"], settings["name"]
        assert found == default
    if kind is Momentum:
        assert (found["momentum"], found["nesterov"]) == (0.9, False)


@pytest.mark.parametrize("name", GRIDS)
def test_tuning_is_by_the_end_of_10000_steps_of_one_seed(name):
    tuned = build(["grids"], name)
    assert (tuned.by, tuned.steps, tuned.seeds) == ("final", 10_000, (1000,))


@pytest.mark.parametrize("name", GRIDS)
def test_one_binding_changes_how_all_are_tuned(name):
    tuned = build(
        ["grids"],
        name,
        "tuning_by = 'mean'",
        "tuning_steps = 500",
        "tuning_seeds = (7, 8)",
    )
    assert (tuned.by, tuned.steps, tuned.seeds) == ("mean", 500, (7, 8))


@pytest.mark.parametrize("name", GRIDS)
def test_one_optimizers_file_stands_alone(name):
    tuned = build(["tuning", name], name)
    assert len(tuned.candidates) == len(GRIDS[name][1])
    config.check_all_used()


def test_metz_grid_is_11_rates_log_spaced_from_1e_4_to_10(sweep):
    (comparison,) = sweep("eval_metz_grid.gin").comparisons
    kinds = {}
    for tuned in comparison.optimizers:
        cells = [candidate.cell for candidate in tuned.candidates]
        np.testing.assert_allclose(
            [cell.learning_rate for cell in cells],
            np.geomspace(1e-4, 10.0, 11),
            rtol=1e-5,
        )
        kinds[tuned.name] = {type(cell) for cell in cells}
        assert tuned.source.ordered
    assert kinds == {
        "adam": {Adam},
        "rmsprop": {RMSProp},
        "momentum": {Momentum},
    }
    assert {c.cell.momentum for c in tuned.candidates} == {0.9}


@pytest.mark.parametrize(
    ("file", "parameters"),
    [
        ("eval_metz_grid.gin", ()),
        (
            "eval_metz_random_search.gin",
            ("decayed_adam/RandomSearch.draws = 2",),
        ),
    ],
)
def test_metz_sweeps_judge_the_mean_training_loss(file, parameters, sweep):
    (comparison,) = sweep(file, *parameters).comparisons
    assert comparison.optimizees == ("mlp_orig",)
    assert comparison.split == "train"
    assert comparison.steps == 10_000
    assert comparison.seeds == (0, 1, 2, 3, 4)
    for tuned in comparison.optimizers:
        assert (tuned.by, tuned.steps) == ("mean", 10_000)
        assert tuned.seeds == (1000,)
        assert not set(tuned.seeds) & set(comparison.seeds)


def test_random_search_has_the_8_ranges_of_taskset(sweep):
    built = sweep(
        "eval_metz_random_search.gin", "decayed_adam/RandomSearch.draws = 300"
    )
    (tuned,) = built.comparisons[0].optimizers
    assert tuned.name == "decayed_adam"
    assert isinstance(tuned.source, RandomSearch)
    assert tuned.source.ranges == {
        "learning_rate": (1e-8, 10.0),
        "one_minus_beta_1": (1e-4, 1.0),
        "one_minus_beta_2": (1e-6, 1.0),
        "epsilon": (1e-10, 1e3),
        "exponential_decay": (1e-6, 1e-3),
        "linear_decay": (1e-7, 1e-4),
        "l1": (1e-8, 10.0),
        "l2": (1e-8, 10.0),
    }
    cells = [candidate.cell for candidate in tuned.candidates]
    assert len(cells) == 300
    assert {type(cell) for cell in cells} == {DecayedAdam}
    assert {cell.num_steps for cell in cells} == {10_000}
    # 300 draws reach into the outer tenths of every range.
    for argument, (low, high) in tuned.source.ranges.items():
        plain = argument.removeprefix("one_minus_")
        drawn = np.array([getattr(cell, plain) for cell in cells])
        drawn = drawn if plain == argument else 1.0 - drawn
        units = np.log(drawn / low) / np.log(high / low)
        assert -1e-6 <= units.min() < 0.1
        assert 0.9 < units.max() <= 1 + 1e-6


def test_the_paper_has_more_than_2000_draws():
    text = (config.REPOSITORY / PARTS / "decayed_adam.gin").read_text()
    assert "\ndecayed_adam/RandomSearch.draws = 2000 " in text
