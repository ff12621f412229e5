"""Windows of random length: which are drawn, and that all of them are run."""

import numpy as np
import pytest
import tensorflow as tf
from support.training import ensemble_trainer, same, small_trainer

from l2o_tf.core import seeds
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.meta_training.episode import meta_update, train_episode
from l2o_tf.meta_training.state import Phase
from l2o_tf.meta_training.windows import check_windows
from l2o_tf.optimizees.quadratics import Quadratic
from l2o_tf.optimizers.adam import Adam
from l2o_tf.techniques.curriculum import Curriculum
from l2o_tf.techniques.imitation import Imitation
from l2o_tf.unroll.meta_losses import LogRatio, SumOfLosses
from l2o_tf.unroll.random_windows import LongTail, RandomWindows
from l2o_tf.unroll.schedules import FixedHorizon

TBPTT = TruncatedBackpropagation
DRAWS = RandomWindows(LongTail(2.0, 2, 6), LongTail(2.0, 1, 5), 4)


def on_one_problem(**changes):
    return small_trainer(
        **{
            "cell": LearnableSGD(0.05),
            "optimizee": Quadratic(2, 3),
            "estimator": TBPTT(5),
            "schedule": DRAWS,
            **changes,
        }
    )


def drawn(trainer, episodes):
    state = trainer.initial_state()
    return [trainer.windows(state.replace(episode=e)) for e in range(episodes)]


def test_a_fixed_horizon_is_filled_with_equal_windows():
    trainer = small_trainer(schedule=FixedHorizon(10), estimator=TBPTT(5))
    assert trainer.windows(trainer.initial_state()) == (5, 5)
    assert trainer._lengths((5, 5)) is None


def test_number_and_lengths_are_drawn_for_every_episode():
    windows = drawn(on_one_problem(), 40)
    assert {len(w) for w in windows} == {2, 3, 4, 5, 6}
    assert {length for w in windows for length in w} == {1, 2, 3, 4, 5}
    assert windows == drawn(on_one_problem(), 40)
    assert windows != drawn(on_one_problem(seed=1), 40)


def test_the_lengths_are_padded_to_one_size():
    trainer = on_one_problem()
    np.testing.assert_array_equal(trainer._lengths((3, 1)), [3, 1, 0, 0, 0, 0])


@pytest.mark.parametrize(
    "kind",
    [
        {"meta_loss": SumOfLosses()},
        {"meta_loss": LogRatio(), "objective": "window"},
    ],
)
@pytest.mark.parametrize("backward", ["adjoint", "tape"])
def test_an_episode_is_its_windows_one_by_one(kind, backward):
    trainer = on_one_problem(estimator=TBPTT(5, backward=backward, **kind))
    state = trainer.initial_state()
    windows = trainer.windows(state)
    assert len(set(windows)) > 1
    after, report = trainer.train_one(state)

    seed = seeds.fold_in(seeds.fold_in(seeds.make_seed(0), 0), 0)
    meta, losses, carry = state.meta, [], None
    for length in windows:
        # An estimator of that one length knows nothing of shorter windows.
        estimator = TBPTT(length, backward=backward, **kind)
        if carry is None:
            carry = estimator.start(
                trainer.cell,
                trainer.optimizee,
                seed,
                EpisodeContext(tf.constant(0), ()),
                meta.meta_params,
            )
        estimate, carry = estimator.estimate(
            trainer.cell, trainer.optimizee, meta.meta_params, carry
        )
        meta, finite = meta_update(
            trainer.meta_optimizer,
            meta,
            estimate.meta_gradient,
            estimate.meta_loss,
        )
        assert finite
        losses.append(estimate.meta_loss)
    assert carry.step == sum(windows)
    assert after.meta_updates == len(windows)
    np.testing.assert_allclose(
        after.meta.meta_params, meta.meta_params, rtol=1e-5
    )
    np.testing.assert_allclose(report.mean_loss, np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(report.last_loss, estimate.last_loss, rtol=1e-5)


def test_windows_of_the_longest_length_are_an_ordinary_episode():
    cell, problem, estimator = LearnableSGD(0.05), Quadratic(2, 3), TBPTT(4)
    trainer = on_one_problem(
        cell=cell, estimator=estimator, schedule=FixedHorizon(12)
    )
    state = trainer.initial_state()

    def run(lengths):
        return train_episode(
            cell,
            problem,
            estimator,
            trainer.meta_optimizer,
            state.meta,
            seeds.make_seed(3),
            tf.constant(3),
            lengths=lengths,
        )

    drawn, report, _ = run(tf.constant([4, 4, 4, 0]))
    fixed, expected, _ = run(None)
    for a, b in zip(
        tf.nest.flatten((drawn, report)),
        tf.nest.flatten((fixed, expected)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_all_numbers_and_lengths_share_one_trace(jit_compile):
    trainer = on_one_problem(jit_compile=jit_compile, num_episodes=99)
    state, windows = trainer.initial_state(), set()
    for _ in range(5):
        windows.add(trainer.windows(state))
        state, _ = trainer.train_one(state)
        state = state.replace(phase=Phase.EPISODE)
    assert len({len(w) for w in windows}) > 1
    (episode,) = trainer._episodes.values()
    assert episode.experimental_get_tracing_count() == 1
    assert state.meta_updates == sum(len(w) for w in windows)


def test_a_window_that_is_not_drawn_is_not_run():
    # 2 of 6 windows: what the padding says does not matter.
    trainer = on_one_problem()
    state = trainer.initial_state()

    def run(lengths):
        return train_episode(
            trainer.cell,
            trainer.optimizee,
            trainer.estimator,
            trainer.meta_optimizer,
            state.meta,
            seeds.make_seed(3),
            tf.constant(2),
            lengths=tf.constant(lengths),
        )[0]

    assert same(run([2, 3, 0, 0]), run([2, 3, 5, 5]))
    assert not same(run([2, 3, 0, 0]), run([3, 2, 0, 0]))


@pytest.mark.parametrize("unroll_length", [4, 6, 30])
def test_the_estimators_length_must_be_that_of_the_longest(unroll_length):
    with pytest.raises(
        ValueError,
        match=f"Received: unroll_length={unroll_length}, longest window=5",
    ):
        on_one_problem(estimator=TBPTT(unroll_length))


def test_windows_that_are_drawn_refuse_imitation():
    with pytest.raises(
        ValueError, match=r"Received: imitation=<.*Imitation.*schedule=<"
    ) as caught:
        on_one_problem(imitation=Imitation((Adam(),)))
    assert "windows of one length" in str(caught.value)


def test_what_fits_is_not_refused():
    imitation = Imitation((Adam(),))
    check_windows(FixedHorizon(100), TBPTT(20), imitation)
    check_windows(Curriculum((20, 40, 50)), TBPTT(20), None)
    check_windows(DRAWS, TBPTT(5), None)


def test_every_horizon_that_is_no_multiple_is_refused():
    with pytest.raises(
        ValueError, match="Received: horizon=50, unroll_length=20"
    ) as caught:
        check_windows(Curriculum((20, 50, 60)), TBPTT(20), None)
    assert "Use 40 or 60." in str(caught.value)


def test_an_ensemble_runs_windows_of_random_length_too():
    trainer = ensemble_trainer()
    state = trainer.initial_state()
    after, _ = trainer.train_one(state)
    assert after.meta_updates == len(trainer.windows(state))
