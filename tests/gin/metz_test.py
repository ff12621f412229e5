"""Metz et al.'s configurations, number by number, on the built objects."""

import functools

import gin
import numpy as np
import pytest
from support.gin_files import FIRST, METZ_FILES, ROOT, named_bindings

from l2o_tf import config
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.estimators.smoothed import (
    EvolutionStrategies,
    MergedGradient,
    PersistentEvolutionStrategies,
    Reparameterization,
)
from l2o_tf.learned.mlp import MetzMLP
from l2o_tf.optimizees import metz_tasks
from l2o_tf.optimizees.outer_objective import OuterObjective
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.repaired import RepairedGradients
from l2o_tf.train import train
from l2o_tf.unroll.growing_windows import GrowingWindows
from l2o_tf.unroll.meta_losses import MeanAfterUpdates

KINDS = {
    "metz.gin": MergedGradient,
    "metz_valid.gin": MergedGradient,
    "metz_gradients.gin": Reparameterization,
    "metz_es.gin": EvolutionStrategies,
    "metz_pes.gin": PersistentEvolutionStrategies,
    "metz_window_10.gin": MergedGradient,
    "metz_window_100.gin": MergedGradient,
    "metz_window_1000.gin": MergedGradient,
    "metz_no_momentum.gin": MergedGradient,
    "metz_no_time.gin": MergedGradient,
}
SMALL = {
    "metz_small.gin": MergedGradient,
    "metz_small_gradients.gin": Reparameterization,
    "metz_small_es.gin": EvolutionStrategies,
}
WINDOWS = {"metz_window_10.gin": 10, "metz_window_100.gin": 100}
WINDOWS["metz_window_1000.gin"] = 1000
WEIGHTS = {"metz_no_momentum.gin": 450, "metz_no_time.gin": 802}


@pytest.fixture(scope="module")
def built():
    """Return a function that builds what a file and bindings describe, once."""
    images = synthetic_images(
        height=32, width=32, channels=3, num_classes=10, num_train=60
    )

    def fake(name, disjoint_valid):
        assert (name, disjoint_valid) == ("cifar10", True)
        return images

    @functools.cache
    def build(file, *parameters):
        gin.clear_config()
        config.load([f"gin/{file}"], parameters)
        trainer = config.build(train)
        config.check_all_used()
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metz_tasks, "load_images", fake)
        yield build


def test_every_experiment_has_its_file():
    assert sorted(KINDS | SMALL) == METZ_FILES


@pytest.mark.parametrize("file", METZ_FILES)
def test_a_file_says_where_it_comes_from_and_is_short(file):
    lines = (ROOT / "gin" / file).read_text().splitlines()
    assert lines[0].startswith("# ")
    assert any("spec" in line for line in lines[:4]) or file in SMALL
    assert len(lines) <= 20
    assert named_bindings(file) == []


def test_one_binding_seeds_the_weights_and_the_training(built):
    trainer = built("metz_small.gin", "seed = 7")
    assert trainer.seed == trainer.cell.seed == 7


def test_other_readings_are_bindings(built):
    for binding in ("sigma = 0.1", "num_particles = 12"):
        trainer = built("metz_small.gin", binding)
        estimator = trainer.estimator
        assert binding in (
            f"sigma = {estimator.sigma}",
            f"num_particles = {estimator.num_particles}",
        )


@pytest.mark.parametrize(("file", "kind"), (KINDS | SMALL).items())
def test_the_estimator_is_the_file_s(file, kind, built):
    trainer = built(file)
    estimator = trainer.estimator
    assert type(estimator) is kind
    assert estimator.sigma == 0.01
    assert estimator.num_pairs == (4 if file in SMALL else 128)
    assert estimator.horizon == (200 if file in SMALL else 10_000)
    assert estimator.continues
    assert isinstance(estimator.window.meta_loss, MeanAfterUpdates)
    assert estimator.window.objective == "step"
    assert estimator.window.second_derivatives
    assert estimator.window.segment_length == (None if file in SMALL else 10)
    if kind is MergedGradient:
        assert estimator.variance_floor == 1e-8


@pytest.mark.parametrize("file", KINDS | SMALL)
def test_the_optimizer_and_its_meta_optimizer_are_the_authors(file, built):
    trainer = built(file)
    assert isinstance(trainer.cell, MetzMLP)
    assert trainer.cell.meta_layout.size == WEIGHTS.get(file, 1_090)
    meta = trainer.meta_optimizer
    assert isinstance(meta, RepairedGradients)
    assert isinstance(meta.optimizer, Adam)
    assert meta.bound == 0.1
    assert meta.optimizer.learning_rate == (3e-4 if file in SMALL else 1e-5)
    assert (meta.optimizer.beta_1, meta.optimizer.beta_2) == (0.5, 0.999)


@pytest.mark.parametrize("file", KINDS)
def test_windows_grow_or_stay(file, built):
    trainer = built(file)
    schedule = trainer.schedule
    assert isinstance(schedule, GrowingWindows)
    assert schedule.most_windows == (10 if file in WINDOWS else 1)
    assert schedule.validation_horizon(FIRST) == 10_000
    window = WINDOWS.get(file)
    if window:
        found = [schedule.length(u, k) for u in (0, 1) for k in (0, 5_000)]
        assert found == 4 * [window]
        steps = trainer.num_episodes * schedule.most_windows * window
        assert steps == 52_000_000  # those of metz.gin, see below
    else:
        assert schedule.length(0.5, 0) == 50
        assert schedule.length(0.5, 5_000) == 10_000
        assert (schedule.length(0.0, 0), schedule.length(1.0, 0)) == (40, 60)
        assert trainer.num_episodes == 10_000


def test_the_growing_windows_are_52_million_steps_of_a_pair(built):
    """Windows are cut where a pair's episode of 10,000 steps ends."""
    schedule = built("metz.gin").schedule
    uniform = np.random.default_rng(0).uniform(size=10_000)
    at, total = 0, 0
    for k, u in enumerate(uniform):
        at = 0 if at == 10_000 else at
        steps = min(schedule.length(u, k), 10_000 - at)
        at, total = at + steps, total + steps
    assert abs(total / 52e6 - 1.0) < 0.02


@pytest.mark.parametrize("file", SMALL)
def test_the_small_ones_are_equal_but_for_the_estimator(file, built):
    trainer = built(file)
    assert trainer.schedule.length(0.5, 0) == 10
    assert trainer.schedule.length(0.5, 300) == 50
    assert trainer.num_episodes == 60
    assert trainer.optimizee.optimizee.optimizee.batch_size == 32


@pytest.mark.parametrize("file", KINDS | SMALL)
def test_the_outer_objective_is_on_its_own_images(file, built):
    trainer = built(file)
    problem = trainer.optimizee
    assert isinstance(problem, OuterObjective)
    assert problem.layout.size == 19_722
    assert problem.split == "train"
    expected = "inner_valid" if file == "metz_valid.gin" else "train"
    assert problem.objective.split == expected
    assert problem.batches == (1 if file in SMALL else 5)
    assert problem.optimizee.maximum == 10.0
    assert trainer.notice.startswith("A SUBSTITUTE FOR IMAGENET")
    assert np.isfinite(trainer.cell.meta_params()).all()
