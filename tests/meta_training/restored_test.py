"""A new stage begins with the best weights, and with their slots if asked."""

import numpy as np
import pytest
from support.training import ScriptedTrainer, arguments, same, small_trainer

from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.meta_training.state import Phase
from l2o_tf.meta_training.trainer import Trainer
from l2o_tf.optimizees.quadratics import Simple
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.rmsprop import RMSProp
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.runtime.arrays import Format, load_arrays, save_arrays
from l2o_tf.techniques.imitation import Imitation

FORMAT = Format("test", 1)
TEACHERS = (Adam(0.05), SGD(0.05))


def scripted(losses, **changes):
    return ScriptedTrainer(
        losses,
        **{
            "cell": LearnableSGD(0.05),
            "optimizee": Simple(),
            "meta_optimizer": RMSProp(0.01),
            "validation_period": 4,
            **changes,
        },
    )


def to_the_next_stage(trainer):
    """Return the states of the best moment, before and after NEXT_STAGE."""
    state, states = trainer.initial_state(), []
    while state.phase is not Phase.BASELINE:
        states.append(state)
        if state.phase is Phase.EPISODE:
            state, _ = trainer.train_one(state)
        else:
            loss = trainer.validation_run(state, 0)[1]
            state, validation = trainer.judge(state, [loss])
            if validation.verdict == "save":
                best = state
    return best, states[-1], state


def test_the_slots_of_the_best_moment_come_back_with_its_weights():
    trainer = scripted([5.0, 6.0], restored="weights_and_slots")
    best, before, after = to_the_next_stage(trainer)
    assert same(after.meta.meta_params, best.meta.meta_params)
    assert same(after.meta.slots, best.meta.slots)
    assert not same(after.meta.slots, before.meta.slots)
    # How many updates there were is not undone: the global step stays.
    assert after.meta.step == before.meta.step == 8


def test_by_default_the_slots_stay():
    trainer = scripted([5.0, 6.0])
    best, before, after = to_the_next_stage(trainer)
    assert trainer.restored == "weights"
    assert after.best_slots == ()
    assert same(after.meta.meta_params, best.meta.meta_params)
    assert same(after.meta.slots, before.meta.slots)
    assert not same(after.meta.slots, best.meta.slots)


def test_every_sources_slots_come_back():
    imitation = Imitation(TEACHERS, (0.5,), "round_robin")
    trainer = scripted(
        [5.0, 6.0],
        imitation=imitation,
        meta_optimizer=Adam(0.01),
        restored="weights_and_slots",
        validation_period=10,
        num_episodes=40,
    )
    best, before, after = to_the_next_stage(trainer)
    for source in range(3):
        now, then = after.meta_of(source), best.meta_of(source)
        assert same(now.slots, then.slots)
        assert not same(now.slots, before.meta_of(source).slots)
        assert same(now.step, before.meta_of(source).step)
        assert same(now.meta_params, then.meta_params)


def test_shared_slots_come_back_too():
    imitation = Imitation(TEACHERS, (0.5,), slots="shared")
    trainer = scripted(
        [5.0, 6.0], imitation=imitation, restored="weights_and_slots"
    )
    best, before, after = to_the_next_stage(trainer)
    assert after.others == ()
    assert same(after.meta.slots, best.meta.slots)
    assert not same(after.meta.slots, before.meta.slots)


def test_the_best_slots_are_those_of_the_latest_improvement():
    trainer = scripted([5.0, 4.0, 6.0], restored="weights_and_slots")
    trainer.schedule.patience = 2
    state, saved = trainer.initial_state(), []
    while state.phase is not Phase.BASELINE:
        if state.phase is Phase.EPISODE:
            state, _ = trainer.train_one(state)
            continue
        loss = trainer.validation_run(state, 0)[1]
        state, validation = trainer.judge(state, [loss])
        if validation.verdict == "save":
            saved.append(state)
    assert len(saved) == 2
    assert same(state.meta.slots, saved[1].meta.slots)
    assert not same(saved[0].meta.slots, saved[1].meta.slots)


def test_best_slots_come_back_from_a_file(tmp_path):
    trainer = scripted(
        [5.0, 6.0],
        imitation=Imitation(TEACHERS, (0.5,)),
        restored="weights_and_slots",
    )
    _, before, after = to_the_next_stage(trainer)
    path = tmp_path / "state.npz"
    save_arrays(path, *before.to_arrays(), FORMAT)
    back = trainer.initial_state().from_arrays(*load_arrays(path, FORMAT))
    assert same(back.best_slots, before.best_slots)
    assert same(back.restore_best().meta, after.meta)
    assert same(back.restore_best().others, after.others)


def test_a_checkpoint_without_best_slots_is_refused():
    with_slots = scripted([], restored="weights_and_slots").initial_state()
    without = scripted([]).initial_state()
    with pytest.raises(ValueError, match=r"Received: \{'state_000'"):
        with_slots.from_arrays(*without.to_arrays())
    with pytest.raises(ValueError, match=r"Received: \{'state_000'"):
        without.from_arrays(*with_slots.to_arrays())


def test_a_meta_optimizer_without_slots_has_none_to_restore():
    trainer = scripted(
        [5.0, 6.0], meta_optimizer=SGD(0.01), restored="weights_and_slots"
    )
    best, _, after = to_the_next_stage(trainer)
    assert same(after.meta.meta_params, best.meta.meta_params)
    assert after.meta.slots == ()


def test_before_any_improvement_the_best_slots_are_the_first():
    state = small_trainer(restored="weights_and_slots").initial_state()
    slots, others = state.best_slots
    assert same(slots, state.meta.slots)
    assert others == ()
    assert not np.any(slots.first_moment)


@pytest.mark.parametrize("word", ["slots", "", None, True])
def test_another_word_is_refused(word):
    with pytest.raises(ValueError, match=f"Received: restored={word!r}"):
        Trainer(**arguments(restored=word))
