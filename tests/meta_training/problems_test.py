"""One problem or an ensemble: what is drawn when, and what is refused."""

import collections
import itertools

import pytest
from support.training import ensemble_trainer, same, small_trainer
from support.training import tiny_ensemble as tiny

from l2o_tf.core import seeds
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.meta_training.problems import Problems
from l2o_tf.meta_training.state import Phase
from l2o_tf.optimizees.ensemble import Ensemble
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.optimizers.adam import Adam
from l2o_tf.techniques.imitation import Imitation
from l2o_tf.unroll.schedules import FixedHorizon

SEED = seeds.make_seed(0)


def test_the_only_problem_is_every_episodes_and_has_no_name():
    problem = Quadratic(2, 3)
    problems = Problems(problem)
    assert not problems.is_ensemble
    assert {problems.choose(SEED, episode) for episode in range(5)} == {0}
    assert problems.member(0) is problem
    assert problems.name(0) is None
    assert problems.validated_by(None) is problem
    other = Simple()
    assert problems.validated_by(other) is other


def test_a_problem_once_drawn_has_its_episodes_in_a_row():
    problems = Problems(tiny(episodes_per_problem=3))
    drawn = [problems.choose(SEED, episode) for episode in range(60)]
    groups = [drawn[i : i + 3] for i in range(0, 60, 3)]
    assert all(len(set(group)) == 1 for group in groups)
    # Anew for every group, so the same one may come twice.
    changes = sum(a[0] != b[0] for a, b in itertools.pairwise(groups))
    assert 0 < changes < 19


def test_the_draws_depend_on_the_seed_and_the_episode_alone():
    def drawn(seed, order):
        problems = Problems(tiny(1))
        chosen = {e: problems.choose(seeds.make_seed(seed), e) for e in order}
        return [chosen[episode] for episode in range(30)]

    assert drawn(0, range(30)) == drawn(0, reversed(range(30)))
    assert drawn(0, range(30)) != drawn(1, range(30))


def test_every_problem_is_as_likely_as_any_other():
    problems = Problems(tiny(1))
    counts = collections.Counter(problems.choose(SEED, e) for e in range(300))
    assert set(counts) == {0, 1, 2}
    # 5 standard deviations of a share of 1/3.
    assert all(abs(count - 100) < 41 for count in counts.values())


def test_a_member_has_its_name_and_is_built_once():
    problems = Problems(tiny())
    assert problems.is_ensemble
    assert problems.name(1) == "simple"
    assert problems.member(1) is problems.member(1)
    assert problems.member(2).layout.size == 2


def test_the_notice_is_that_of_the_data():
    assert Problems(tiny()).notice is None
    noticed = Simple()
    noticed.notice = "HALF OF THE DATA"
    assert Problems(noticed).notice == "HALF OF THE DATA"
    assert Problems(Ensemble([("a", lambda: noticed)])).notice == noticed.notice


def test_an_ensemble_needs_a_problem_to_be_validated_on():
    with pytest.raises(
        ValueError, match="Received: validation_optimizee=None"
    ) as caught:
        ensemble_trainer(validation_optimizee=None)
    assert "An ensemble is validated on one problem" in str(caught.value)


def test_an_ensemble_does_not_validate():
    with pytest.raises(ValueError, match="Received: validation_optimizee=<"):
        ensemble_trainer(validation_optimizee=tiny())


def test_an_ensemble_has_no_memory_to_begin_with():
    with pytest.raises(
        ValueError, match="Received: optimizee=an ensemble"
    ) as caught:
        ensemble_trainer(
            estimator=TruncatedBackpropagation(3, keep_memory=True)
        )
    assert "keep_memory = False" in str(caught.value)


def test_imitation_has_no_memory_on_an_ensemble_either():
    imitation = Imitation((Adam(),), initial_state="last_run")
    with pytest.raises(
        ValueError, match="Received: optimizee=an ensemble"
    ) as caught:
        ensemble_trainer(
            imitation=imitation,
            schedule=FixedHorizon(3),
        )
    assert "Imitation.initial_state = 'zero'" in str(caught.value)


def test_a_memory_needs_the_same_tensors_in_validation():
    with pytest.raises(
        ValueError, match="Received: optimizee of 6, validation_optimizee of 1"
    ):
        small_trainer(
            estimator=TruncatedBackpropagation(2, keep_memory=True),
            validation_optimizee=Simple(),
        )


def test_an_episode_on_a_member_is_the_episode_on_it_alone():
    trainer = ensemble_trainer(
        schedule=FixedHorizon(6),
        optimizee=tiny(1),
        cell=DMLSTM(units=(3,), output_scale=0.1),
    )
    state = trainer.initial_state()
    while trainer.problem(state) != "quadratic":
        state = state.replace(episode=state.episode + 1)
    alone = ensemble_trainer(
        schedule=FixedHorizon(6), optimizee=Quadratic(2, 3), cell=trainer.cell
    )
    after, _ = trainer.train_one(state)
    expected, _ = alone.train_one(state)
    assert same(after.meta, expected.meta)
    assert not same(after.meta, state.meta)


def run(trainer, episodes):
    """Train without validations; return the last state and the problems."""
    state, names = trainer.initial_state(), []
    for _ in range(episodes):
        names.append(trainer.problem(state))
        state, _ = trainer.train_one(state)
        state = state.replace(phase=Phase.EPISODE)
    return state, names


def test_two_trainers_draw_the_same_problems_and_reach_the_same_weights():
    first, names = run(ensemble_trainer(), 5)
    second, again = run(ensemble_trainer(), 5)
    assert names == again
    assert same(first.meta, second.meta)
    # Another seed, another order.
    other = ensemble_trainer(seed=1)
    state = other.initial_state()
    wanted = [other.problem(state.replace(episode=e)) for e in range(24)]
    mine = ensemble_trainer()
    assert wanted != [mine.problem(state.replace(episode=e)) for e in range(24)]


def test_every_source_is_traced_once_on_every_member():
    trainer = ensemble_trainer(
        optimizee=tiny(1),
        schedule=FixedHorizon(3),
        imitation=Imitation((Adam(0.05),), (0.5,)),
        num_episodes=100,
    )
    state, seen = trainer.initial_state(), set()
    for _ in range(14):
        seen.add((trainer.teacher(state), trainer.problem(state)))
        state, _ = trainer.train_one(state)
        state = state.replace(phase=Phase.EPISODE)
    assert len(seen) >= 4
    episodes = trainer._episodes
    assert len(episodes) == len(seen)
    counts = [f.experimental_get_tracing_count() for f in episodes.values()]
    assert set(counts) == {1}


def test_only_the_problems_that_were_drawn_are_traced():
    trainer = ensemble_trainer(optimizee=tiny(100))
    _, names = run(trainer, 3)
    assert len(set(names)) == 1
    assert len(trainer._episodes) == 1
