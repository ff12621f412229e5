"""Populations of pairs in a trainer and in a run's directory."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from support.training import (
    imitating_trainer,
    same,
    small_trainer,
    tiny_ensemble,
)

from l2o_tf.estimators.smoothed import (
    EvolutionStrategies,
    MergedGradient,
    PersistentEvolutionStrategies,
)
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.meta_training.run import Run
from l2o_tf.meta_training.state import Phase
from l2o_tf.optimizees.bowls import Bowl
from l2o_tf.optimizers.adam import Adam
from l2o_tf.runtime.interrupts import GracefulStop
from l2o_tf.runtime.run_dir import RunDirectory
from l2o_tf.techniques.fine_tuning import HalvedLoss
from l2o_tf.unroll.growing_windows import GrowingWindows
from l2o_tf.unroll.meta_losses import MeanAfterUpdates
from l2o_tf.unroll.schedules import FixedHorizon


def merged(horizon=9, kind=MergedGradient, **changes):
    window = TruncatedBackpropagation(
        4, MeanAfterUpdates(), second_derivatives=True, segment_length=2
    )
    return small_trainer(
        **{
            "cell": LearnableSGD(0.05),
            "estimator": kind(window, 4, 0.05, horizon),
            "schedule": GrowingWindows(3, 6, 2, 4, updates=10, jitter=0.0),
            "num_episodes": 4,
            "validation_period": 2,
            **changes,
        }
    )


def trained(trainer, episodes):
    state = trainer.initial_state()
    for _ in range(episodes):
        state, _ = trainer.train_one(state)
        state = state.replace(phase=Phase.EPISODE)
    return state


def test_the_population_goes_on_from_episode_to_episode():
    trainer = merged()
    first, second = trained(trainer, 1), trained(trainer, 2)
    # Windows of 2, 2, 2 steps, then 2, 2, 3, as the updates grow; the first
    # episodes of the two pairs end after 5 and 9 steps.
    np.testing.assert_array_equal(first.population.positive.step, [5, 6])
    np.testing.assert_array_equal(second.population.positive.step, [7, 3])
    np.testing.assert_array_equal(second.population.window, [6, 6])
    assert trainer.windows(second) == (3, 3, 3)


def test_without_a_horizon_pairs_begin_with_the_episode():
    trainer = merged(None, schedule=FixedHorizon(8))
    state = trained(trainer, 2)
    assert state.population == ()
    assert int(state.meta.step) == 4  # two episodes of two windows of four


@pytest.mark.parametrize(
    "kind", [MergedGradient, PersistentEvolutionStrategies]
)
def test_a_checkpoint_holds_the_population_bit_for_bit(kind):
    trainer = merged(kind=kind)
    state = trained(trainer, 2)
    again = trainer.initial_state().from_arrays(*state.to_arrays())
    assert same(again.population, state.population)
    assert same(
        trainer.train_one(again)[0].meta, trainer.train_one(state)[0].meta
    )


def run_in(path, trainer, episodes=None):
    """Run, or stop after so many episodes and continue in another `Run`."""
    with (
        RunDirectory(path, "text", "test") as directory,
        GracefulStop() as stop,
        Run(trainer, directory, {}, checkpoint_period=1, quiet=True) as run,
    ):
        if episodes is None:
            run.finish(stop)
            return run.state
        while run.state.episode < episodes:
            if run.state.phase is Phase.EPISODE:
                run._episode(_Silent())
            else:
                run._validation(_Silent(), stop)
        return run.state


class _Silent:
    def update(self, *args, **kwargs):
        pass

    def write(self, text):
        pass


def test_a_run_that_is_continued_ends_with_the_same_files(tmp_path):
    whole = run_in(tmp_path / "whole", merged())
    run_in(tmp_path / "cut", merged(), episodes=3)
    again = run_in(tmp_path / "cut", merged())
    assert same(whole.meta, again.meta)
    assert same(whole.population, again.population)
    for table in ("train", "population", "validation"):
        one, other = (
            (tmp_path / name / "metrics" / f"{table}.csv").read_text()
            for name in ("whole", "cut")
        )
        assert one == other


def test_a_run_tells_how_far_its_pairs_are_apart(tmp_path):
    trainer = merged()
    run_in(tmp_path, trainer)
    with open(tmp_path / "metrics" / "population.csv") as file:
        rows = list(csv.DictReader(file))
    _, report = merged().train_one(merged().initial_state())
    assert [row["episode"] for row in rows] == ["1", "2", "3", "4"]
    for name in ("score", "pathwise"):
        found = float(rows[0][f"log10_{name}_variance"])
        told = getattr(report.details, f"{name}_variance") / 3
        np.testing.assert_allclose(found, told, rtol=1e-6)
    assert {row["dropped_pairs"] for row in rows} == {"0"}


def test_episodes_of_any_length_share_a_trace():
    trainer = merged()
    trained(trainer, 4)
    (episode,) = trainer._episodes.values()
    assert episode.experimental_get_tracing_count() == 1


def test_training_lowers_the_validation_loss():
    """ES alone finds a good rate of learned gradient descent on a bowl."""
    window = TruncatedBackpropagation(5, MeanAfterUpdates())
    trainer = small_trainer(
        cell=LearnableSGD(0.01),
        optimizee=Bowl(5.0),
        estimator=PersistentEvolutionStrategies(window, 4, 0.01, 10),
        schedule=GrowingWindows(20, 10, 5, 5, jitter=0.0),
        meta_optimizer=Adam(0.01),
        num_episodes=6,
        jit_compile=True,
    )
    before, after = trainer.initial_state(), trained(trainer, 5)
    losses = [trainer.validation_run(state, 0)[1] for state in (before, after)]
    assert losses[1] < 0.2 * losses[0]


# Bad input


def test_a_population_that_goes_on_needs_one_problem():
    with pytest.raises(ValueError, match="an ensemble, horizon=9"):
        merged(optimizee=tiny_ensemble(), validation_optimizee=Bowl(5.0))


def test_a_population_that_goes_on_cannot_imitate():
    window = TruncatedBackpropagation(2)
    with pytest.raises(ValueError, match="take turns with a teacher"):
        imitating_trainer(estimator=EvolutionStrategies(window, 2, 0.1, 8))


def test_pairs_cannot_end_an_episode():
    ending = HalvedLoss(0.5)
    with pytest.raises(ValueError, match="no single trajectory"):
        merged(None, schedule=FixedHorizon(8), ending=ending)


def test_the_longest_window_must_be_the_estimator_s():
    with pytest.raises(ValueError, match="unroll_length=4, longest window=5"):
        merged(schedule=GrowingWindows(3, 6, 2, 5, updates=10, jitter=0.0))


def test_checkpoints_of_other_populations_are_refused():
    state = trained(merged(), 1)
    other = merged(kind=PersistentEvolutionStrategies).initial_state()
    with pytest.raises(ValueError, match="population or set of teachers"):
        other.from_arrays(*state.to_arrays())
    assert tf.nest.flatten(state.population)
