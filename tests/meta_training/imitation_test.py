"""Training that imitates: who is followed when, and what is kept apart."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from support.training import (
    Broken,
    arguments,
    imitating_trainer,
    same,
    small_trainer,
)

from l2o_tf.core import seeds
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.meta_training.episode import MetaState, train_episode
from l2o_tf.meta_training.state import Phase
from l2o_tf.meta_training.trainer import Trainer
from l2o_tf.optimizees.quadratics import Quadratic
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.runtime.arrays import Format, load_arrays, save_arrays
from l2o_tf.techniques.imitation import Imitation
from l2o_tf.unroll.rollout import final_loss_and_states
from l2o_tf.unroll.schedules import FixedHorizon, ScheduleState

TEACHERS = (Adam(0.05), SGD(0.05))


def flat(nest):
    return [tensor.numpy() for tensor in tf.nest.flatten(nest)]


def episodes(trainer, count):
    """Train; return the states before and after, and the teachers."""
    states, teachers = [trainer.initial_state()], []
    for _ in range(count):
        teachers.append(trainer.teacher(states[-1]))
        state, _ = trainer.train_one(states[-1])
        states.append(state.replace(phase=Phase.EPISODE))
    return states, teachers


def test_without_imitation_no_episode_has_a_teacher():
    states, teachers = episodes(small_trainer(), 4)
    assert teachers == 4 * [None]
    assert states[-1].others == ()
    assert states[-1].memory == ()


def test_the_stage_decides_the_ratio():
    trainer = imitating_trainer(ratios=(0.0, 1.0))
    for stage, expected in ((0, {None}), (1, {"adam"}), (2, {"adam"})):
        state = trainer.initial_state().replace(
            schedule=ScheduleState(stage=stage)
        )
        seen = {trainer.teacher(state.replace(episode=e)) for e in range(40)}
        assert seen == expected


def test_each_teacher_has_slots_of_its_own_and_all_share_the_weights():
    trainer = imitating_trainer(ratios=(0.5,))
    states, teachers = episodes(trainer, 12)
    assert set(teachers) == {None, "adam", "sgd"}
    for before, after, teacher in zip(
        states[:-1], states[1:], teachers, strict=True
    ):
        moved = [
            not same(before.meta.slots, after.meta.slots),
            not same(before.others[0], after.others[0]),
            not same(before.others[1], after.others[1]),
        ]
        source = {None: 0, "adam": 1, "sgd": 2}[teacher]
        assert moved == [i == source for i in range(3)]
        assert not same(before.meta.meta_params, after.meta.meta_params)
        assert after.imitated == before.imitated + (source > 0)
    last = states[-1]
    steps = [int(last.meta.step), *(int(o.step) for o in last.others)]
    assert steps == [teachers.count(t) for t in (None, "adam", "sgd")]
    assert last.meta_updates == sum(steps) == 12


def test_an_imitation_episode_is_the_episode_of_its_estimator():
    imitation = Imitation(TEACHERS, (1.0,), "round_robin")
    kept = arguments(imitation=imitation, schedule=FixedHorizon(6))
    trainer = Trainer(**kept)
    state = trainer.initial_state()
    after, report = trainer.train_one(state)
    second, _ = trainer.train_one(after)
    # With the same seed as an ordinary episode, from the teacher's slots.
    seen = {}
    for name, estimator in zip(
        imitation.names, imitation.estimators(2), strict=True
    ):
        seen[name] = estimator
    from_first = train_with(trainer, seen["adam"], state.meta_of(1), 0)
    assert same(from_first[0], after.meta_of(1))
    np.testing.assert_allclose(
        from_first[1].mean_loss, report.mean_loss, rtol=1e-6
    )
    from_second = train_with(trainer, seen["sgd"], after.meta_of(2), 1)
    assert same(from_second[0], second.meta_of(2))


def train_with(trainer, estimator, meta, episode, memory=()):

    seed = seeds.fold_in(
        seeds.fold_in(seeds.make_seed(trainer.seed), 0), episode
    )
    run = tf.function(
        lambda meta, seed: train_episode(
            trainer.cell,
            trainer.optimizee,
            estimator,
            trainer.meta_optimizer,
            meta,
            seed,
            tf.constant(3),
            EpisodeContext(tf.constant(episode), memory),
        )
    )
    return run(meta, seed)


def shared_trainer(**changes):
    imitation = Imitation(TEACHERS, (0.5,), "round_robin", slots="shared")
    return small_trainer(
        cell=LearnableSGD(0.05), imitation=imitation, **changes
    )


def test_shared_slots_are_one_set_for_all_episodes():
    trainer = shared_trainer()
    states, teachers = episodes(trainer, 8)
    assert set(teachers) == {None, "adam", "sgd"}
    for before, after in itertools.pairwise(states):
        assert after.others == ()
        assert after.meta.step == before.meta.step + 1
        assert not same(before.meta.slots, after.meta.slots)
    assert states[-1].meta_updates == 8
    assert states[-1].imitated == 8 - teachers.count(None)


def test_shared_slots_are_the_updates_one_after_the_other():
    trainer = shared_trainer(schedule=FixedHorizon(6))
    states, teachers = episodes(trainer, 5)
    assert None in teachers[1:]
    assert "adam" in teachers[:-1]
    names = trainer.imitation.names
    estimators = trainer.imitation.estimators(2)
    sources = {
        None: trainer.estimator,
        **dict(zip(names, estimators, strict=True)),
    }
    meta = trainer.initial_state().meta
    for episode, teacher in enumerate(teachers):
        seed = seeds.fold_in(
            seeds.fold_in(seeds.make_seed(trainer.seed), 0), episode
        )
        meta, *_ = train_episode(
            trainer.cell,
            trainer.optimizee,
            sources.get(teacher, trainer.estimator),
            trainer.meta_optimizer,
            meta,
            seed,
            tf.constant(3),
        )
        np.testing.assert_allclose(
            flat(meta)[0], flat(states[episode + 1].meta)[0], rtol=1e-5
        )
        assert meta.step == states[episode + 1].meta.step


def test_own_slots_and_shared_slots_differ():
    own = small_trainer(
        cell=LearnableSGD(0.05),
        imitation=Imitation(TEACHERS, (0.5,), "round_robin"),
    )
    apart, teachers = episodes(own, 4)
    together, again = episodes(shared_trainer(), 4)
    assert teachers == again
    assert len(set(teachers)) > 1
    assert not same(apart[-1].meta.slots, together[-1].meta.slots)
    assert len(apart[-1].others) == 2


def test_the_memory_is_of_the_last_ordinary_episode():
    trainer = imitating_trainer(ratios=(0.5,))
    states, teachers = episodes(trainer, 12)
    assert not any(np.any(leaf) for leaf in flat(states[0].memory))
    for before, after, teacher in zip(
        states[:-1], states[1:], teachers, strict=True
    ):
        assert same(before.memory, after.memory) == (teacher is not None)


def test_the_memory_after_a_validation_is_of_its_last_run():
    trainer = imitating_trainer()
    state = trainer.initial_state().replace(phase=Phase.VALIDATION)
    losses = []
    for run in range(3):
        state, loss = trainer.validation_run(state, run)
        losses.append(loss)
    after, _ = trainer.judge(state, losses)

    seed = seeds.fold_in(
        seeds.fold_in(seeds.fold_in(seeds.make_seed(0), 1), 0), 2
    )
    _, memory = final_loss_and_states(
        trainer.cell,
        trainer.validation_optimizee,
        None,
        seed,
        tf.constant(4),
        4,
    )
    for a, b in zip(flat(after.memory), flat(memory), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_leaked_memory_changes_the_imitation_and_a_zero_state_does_not():
    def weights(initial_state, leave_memory):
        imitation = Imitation(TEACHERS, (1.0,), initial_state=initial_state)
        trainer = small_trainer(
            cell=RNNprop(units=(2,), projection_units=2, output_scale=0.1),
            imitation=imitation,
        )
        state = trainer.initial_state()
        if leave_memory:
            memory = tf.nest.map_structure(
                lambda leaf: leaf + 0.5, state.memory
            )
            state = state.replace(memory=memory)
        return trainer.train_one(state)[0].meta.meta_params.numpy()

    fresh, leaked = weights("last_run", False), weights("last_run", True)
    assert np.abs(fresh - leaked).max() > 1e-4
    zero = weights("zero", True)
    np.testing.assert_array_equal(zero, weights("zero", False))
    np.testing.assert_allclose(zero, fresh, rtol=1e-6)


def test_a_state_with_teachers_comes_back_from_a_file(tmp_path):
    trainer = imitating_trainer()
    states, _ = episodes(trainer, 5)
    path, kind = tmp_path / "state.npz", Format("test", 1)
    save_arrays(path, *states[-1].to_arrays(), kind)
    back = trainer.initial_state().from_arrays(*load_arrays(path, kind))
    assert back.imitated == states[-1].imitated > 0
    for a, b in (
        (back.meta, states[-1].meta),
        (back.others, states[-1].others),
        (back.memory, states[-1].memory),
        (back.best, states[-1].best),
    ):
        assert same(a, b)
    again, _ = trainer.train_one(back)
    expected, _ = trainer.train_one(states[-1])
    assert same(again.meta, expected.meta)


def test_arrays_of_another_set_of_teachers_are_refused():
    state = imitating_trainer().initial_state()
    plain = small_trainer().initial_state()
    with pytest.raises(ValueError, match="set of teachers"):
        plain.from_arrays(*state.to_arrays())
    with pytest.raises(ValueError, match="set of teachers"):
        state.from_arrays(*plain.to_arrays())


def test_every_source_is_traced_once():
    trainer = imitating_trainer(ratios=(0.5,))
    episodes(trainer, 12)
    episodes_of = trainer._episodes.values()
    counts = [f.experimental_get_tracing_count() for f in episodes_of]
    assert counts == [1, 1, 1]


def test_a_kept_memory_needs_equal_sizes_in_training_and_validation():
    with pytest.raises(
        ValueError, match="Received: optimizee of 6, validation_optimizee of 8"
    ):
        imitating_trainer(validation_optimizee=Quadratic(2, 4))


def test_meta_of_and_with_meta_are_inverse():
    state = imitating_trainer().initial_state()
    for source in range(3):
        meta = state.meta_of(source)
        changed = MetaState(meta.meta_params + 1.0, meta.slots, meta.step + 3)
        after = state.with_meta(source, changed)
        assert same(after.meta_of(source), changed)
        assert same(after.meta.meta_params, changed.meta_params)
        assert after.meta_updates == 3


def test_the_windows_are_those_of_the_ordinary_estimator():
    trainer = imitating_trainer(
        ratios=(1.0,),
        estimator=TruncatedBackpropagation(3),
        schedule=FixedHorizon(9),
    )
    state = trainer.initial_state()
    after, _ = trainer.train_one(state)
    assert after.meta_updates == 3
    teacher = trainer.imitation.estimators(3)[0]
    expected, *_ = train_with(
        trainer, teacher, state.meta_of(1), 0, state.memory
    )
    assert same(expected, after.meta_of(1))


def test_a_memory_that_is_no_number_is_not_kept():
    trainer = imitating_trainer(
        ratios=(0.0,), optimizee=Broken(2, 3), max_failed_episodes=9
    )
    state = trainer.initial_state()
    after, report = trainer.train_one(state)
    assert report.skipped == 1
    assert same(after.memory, state.memory)
    due = after.replace(phase=Phase.VALIDATION)
    judged, _ = trainer.judge(due, [np.nan, np.nan])
    assert same(judged.memory, state.memory)


def test_a_learner_without_a_state_can_be_told_to_keep_it():
    trainer = imitating_trainer(ratios=(1.0,), cell=LearnableSGD())
    state, _ = trainer.train_one(trainer.initial_state())
    assert state.meta_updates == 1
