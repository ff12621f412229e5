"""A state carried from run to run: who begins with it, who leaves it."""

import types

import numpy as np
import pytest
import tensorflow as tf
from support.toy_cells import LearnableMomentum, Velocity
from support.training import Broken, same, small_trainer

from l2o_tf.core import seeds
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.hierarchical import HierarchicalRNN
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.meta_training.run import Run
from l2o_tf.meta_training.state import Phase
from l2o_tf.optimizees.quadratics import Quadratic
from l2o_tf.optimizers.adam import Adam
from l2o_tf.runtime.run_dir import RunDirectory
from l2o_tf.techniques.imitation import Imitation
from l2o_tf.techniques.self_improving import SelfImproving
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.engine import unroll
from l2o_tf.unroll.schedules import FixedHorizon

KEEPING = TruncatedBackpropagation(2, keep_memory=True)


def keeping_trainer(**changes):
    """A trainer whose cell's whole state is a velocity, easy to follow."""
    return small_trainer(
        **{
            "cell": LearnableMomentum(0.05, 0.8),
            "estimator": KEEPING,
            "schedule": FixedHorizon(4),
            "validation_runs": 3,
            **changes,
        }
    )


def seed_of(kind, *numbers):
    """The seed that the trainer folds together for an episode or a run."""
    seed = seeds.fold_in(seeds.make_seed(0), kind)
    for number in numbers:
        seed = seeds.fold_in(seed, number)
    return seed


def velocity_after(trainer, seed, memory, steps, weights):
    """Run an episode from a memory, by the unroll alone."""
    carry = start_episode(trainer.cell, trainer.optimizee, seed)
    carry, _ = unroll(
        trainer.cell,
        trainer.optimizee,
        carry._replace(states=memory),
        steps,
        meta_params=trainer.cell.meta_layout.split(weights),
    )
    return carry.states.velocity.numpy()


def test_the_first_memory_is_a_fresh_state():
    memory = keeping_trainer().initial_state().memory
    np.testing.assert_array_equal(memory.velocity, np.zeros(6))


def test_without_it_there_is_no_memory():
    trainer = keeping_trainer(estimator=TruncatedBackpropagation(2))
    state, _ = trainer.train_one(trainer.initial_state())
    assert state.memory == ()


def test_an_ordinary_episode_begins_with_the_last_state_and_leaves_its_own():
    # Without meta-updates to speak of, the weights are those of the start.
    trainer = keeping_trainer(meta_optimizer=Adam(1e-12))
    state = trainer.initial_state()
    weights = state.meta.meta_params
    for episode in range(3):
        after, _ = trainer.train_one(state)
        expected = velocity_after(
            trainer, seed_of(0, episode), state.memory, 4, weights
        )
        np.testing.assert_allclose(
            after.memory.velocity, expected, rtol=1e-5, atol=1e-6
        )
        assert np.abs(expected - state.memory.velocity).max() > 1e-2
        state = after.replace(phase=Phase.EPISODE)


def test_the_memory_changes_the_episode():
    trainer = keeping_trainer()
    state = trainer.initial_state()
    fresh, _ = trainer.train_one(state)
    old = Velocity(tf.ones([6]))
    carried, _ = trainer.train_one(state.replace(memory=old))
    assert not same(fresh.meta, carried.meta)
    afresh = keeping_trainer(estimator=TruncatedBackpropagation(2))
    assert same(fresh.meta, afresh.train_one(afresh.initial_state())[0].meta)


def test_validation_runs_are_chained():
    trainer = keeping_trainer()
    state, _ = trainer.train_one(trainer.initial_state())
    memory, weights = state.memory, state.meta.meta_params
    losses = []
    for run in range(3):
        state, loss = trainer.validation_run(state, run)
        expected = velocity_after(
            trainer, seed_of(1, 0, run), memory, 4, weights
        )
        np.testing.assert_allclose(
            state.memory.velocity, expected, rtol=1e-5, atol=1e-6
        )
        memory = state.memory
        losses.append(loss)
    judged, _ = trainer.judge(state, losses)
    assert same(judged.memory, memory)


def test_a_validation_run_depends_on_the_memory():
    trainer = keeping_trainer()
    state = trainer.initial_state()
    _, fresh = trainer.validation_run(state, 0)
    _, carried = trainer.validation_run(
        state.replace(memory=Velocity(tf.ones([6]))), 0
    )
    assert fresh != carried


@pytest.mark.parametrize(
    ("initial_state", "begins"), [("last_run", True), ("zero", False)]
)
def test_an_imitation_episode_begins_as_it_is_told_and_leaves_its_state(
    initial_state, begins
):
    trainer = keeping_trainer(
        imitation=Imitation((Adam(0.05),), (1.0,), initial_state=initial_state),
        meta_optimizer=Adam(1e-12),
    )
    state = trainer.initial_state()
    left = [
        trainer.train_one(state.replace(memory=Velocity(value)))[0].memory
        for value in (tf.zeros([6]), tf.ones([6]))
    ]
    # a_4 = mu^4 a_0 + ..., and the gradients are the teacher's.
    difference = left[1].velocity - left[0].velocity
    np.testing.assert_allclose(
        difference, 0.8**4 * begins * np.ones(6), rtol=1e-4, atol=1e-6
    )
    assert np.abs(left[0].velocity).max() > 1e-2


def test_a_memory_is_that_of_the_learner_in_a_mixture():
    estimator = SelfImproving(KEEPING, (Adam(0.05),), start_probability=0.5)
    trainer = keeping_trainer(estimator=estimator)
    state, _ = trainer.train_one(trainer.initial_state())
    assert isinstance(state.memory, Velocity)
    assert np.abs(state.memory.velocity).max() > 1e-2
    state, _ = trainer.train_one(state.replace(phase=Phase.EPISODE))
    assert state.meta_updates == 4


def test_the_hierarchical_optimizers_learning_rates_are_not_drawn_anew():
    trainer = small_trainer(
        cell=HierarchicalRNN(units=(2, 3, 3)),
        estimator=KEEPING,
        schedule=FixedHorizon(2),
    )
    first = trainer.initial_state().memory
    state, _ = trainer.train_one(trainer.initial_state())
    second, _ = trainer.train_one(state.replace(phase=Phase.EPISODE))
    # Their read-out is 0 in the beginning, and learned by 0.01 a window.
    for memory in (state.memory, second.memory):
        np.testing.assert_allclose(
            memory.log_learning_rate, first.log_learning_rate, atol=0.1
        )
    assert np.ptp(first.log_learning_rate) > 0.5
    assert not same(first.tensors, state.memory.tensors)
    assert not same(state.memory.tensors, second.memory.tensors)


def test_a_memory_that_is_no_number_is_not_kept():
    trainer = keeping_trainer(optimizee=Broken(2, 3), max_failed_episodes=9)
    state = trainer.initial_state().replace(memory=Velocity(tf.ones([6])))
    after, report = trainer.train_one(state)
    assert report.skipped == 2
    assert same(after.memory, state.memory)
    after, loss = trainer.validation_run(after, 0)
    assert np.isnan(loss)
    assert same(after.memory, state.memory)


def test_an_estimator_must_be_given_the_memory_it_keeps():
    cell = LearnableMomentum()
    with pytest.raises(
        ValueError, match=r"Received: EpisodeContext.memory=\(\)"
    ):
        KEEPING.start(
            cell,
            Quadratic(2, 3),
            seeds.make_seed(0),
            EpisodeContext(tf.constant(0), ()),
        )


def test_a_cell_without_a_state_has_nothing_to_keep():
    trainer = keeping_trainer(cell=LearnableSGD(0.05))
    state, _ = trainer.train_one(trainer.initial_state())
    state, loss = trainer.validation_run(state, 0)
    assert state.memory == ()
    assert np.isfinite(loss)


def test_every_size_must_be_one():
    with pytest.raises(
        ValueError, match="Received: optimizee of 6, validation_optimizee of 8"
    ) as caught:
        keeping_trainer(validation_optimizee=Quadratic(2, 4))
    assert "TruncatedBackpropagation.keep_memory = False" in str(caught.value)


def test_as_many_numbers_in_other_tensors_are_refused_too():
    # 6 numbers in both: the message says so, and asks for the same tensors.
    with pytest.raises(ValueError, match="Received: optimizee of 6"):
        keeping_trainer(validation_optimizee=Quadratic(3, 2))


def test_all_runs_share_one_trace():
    trainer = keeping_trainer()
    state = trainer.initial_state()
    for run in range(3):
        state, _ = trainer.train_one(state)
        state, _ = trainer.validation_run(state, run)
        state = state.replace(phase=Phase.EPISODE)
    assert trainer._episodes[0, 0].experimental_get_tracing_count() == 1
    assert trainer._validate_run.experimental_get_tracing_count() == 1


class StopAfter:
    """Requests a stop when it has been asked a number of times."""

    def __init__(self, count):
        self.left = count

    @property
    def requested(self):
        self.left -= 1
        return self.left < 0


def test_an_abandoned_validation_leaves_the_state_untouched(tmp_path):
    trainer = keeping_trainer(validation_period=1)
    with (
        RunDirectory(tmp_path / "run", "a = 1\n") as directory,
        Run(trainer, directory, {}, quiet=True) as run,
    ):
        asked = []
        validate = trainer.validation_run

        def counted(state, number):
            asked.append(number)
            return validate(state, number)

        trainer.validation_run = counted
        # Before the episode, before the validation, before each of two runs.
        state = run.finish(StopAfter(4))
        assert asked == [0, 1]
        assert state.phase is Phase.VALIDATION
        assert state.validations == 0
        expected, _ = keeping_trainer().train_one(trainer.initial_state())
        assert same(state.memory, expected.memory)
        # Again from its beginning, with the memory it then had.
        finished = run.finish(types.SimpleNamespace(requested=False))
        assert asked[2:5] == [0, 1, 2]
        assert finished.phase is Phase.DONE
