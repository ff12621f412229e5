"""The best validation of every window of episodes, and its weights' file."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.training import ScriptedTrainer, same, small_trainer

from l2o_tf.learned.weights import load_cell
from l2o_tf.meta_training.best_window import (
    WindowBest,
    best_of_window,
    check_best_window,
)
from l2o_tf.meta_training.run import Run
from l2o_tf.meta_training.state import Phase
from l2o_tf.runtime.checkpoints import Checkpoints
from l2o_tf.runtime.interrupts import GracefulStop
from l2o_tf.runtime.run_dir import RunDirectory
from l2o_tf.techniques.curriculum import Curriculum
from l2o_tf.unroll.schedules import FixedHorizon


class Watched(ScriptedTrainer):
    """A scripted trainer that notes the weights it was asked to validate."""

    def __init__(self, losses, **changes):
        small = {
            "schedule": FixedHorizon(4),
            "validation_period": 1,
            "num_episodes": len(losses),
        }
        super().__init__(losses, **{**small, **changes})
        self.validated = {}

    def validation_run(self, state, run):
        self.validated[state.episode] = state.meta.meta_params.numpy()
        return super().validation_run(state, run)


def run_to_the_end(path, trainer, facts=None):
    with (
        RunDirectory(path, "a = 1\n") as directory,
        GracefulStop() as stop,
        Run(trainer, directory, facts or {}, quiet=True) as run,
    ):
        state = run.finish(stop)
    assert state.phase is Phase.DONE
    return path / "best"


def files(best):
    return sorted(path.name for path in best.glob("episodes_*.npz"))


def test_every_window_has_the_weights_of_its_best_validation(tmp_path):
    trainer = Watched([5.0, 3.0, 4.0, 9.0, 8.0, 8.5, 2.0, 1.0], best_window=3)
    best = run_to_the_end(tmp_path / "run", trainer, {"config": "c"})
    expected = {3: (1, 2, 3.0), 6: (4, 5, 8.0), 8: (7, 8, 1.0)}
    assert files(best) == [f"episodes_{end}.npz" for end in expected]
    for end, (first, episode, cost) in expected.items():
        cell, facts = load_cell(best / f"episodes_{end}.npz")
        np.testing.assert_array_equal(
            cell.meta_params(), trainer.validated[episode]
        )
        assert facts["config"] == "c"
        assert facts["best_of_episodes"] == [first, end]
        assert facts["validation"]["episode"] == episode
        assert facts["validation"]["cost"] == cost
    weights = [w.tobytes() for w in trainer.validated.values()]
    assert len(set(weights)) == 8
    whole, _ = load_cell(best / "weights.npz")
    np.testing.assert_array_equal(whole.meta_params(), trainer.validated[8])


def test_a_window_without_a_finite_validation_has_no_file(tmp_path):
    losses = [5.0, 6.0, math.nan, math.inf, math.nan, 7.0]
    best = run_to_the_end(tmp_path / "run", Watched(losses, best_window=2))
    assert files(best) == ["episodes_2.npz", "episodes_6.npz"]
    _, facts = load_cell(best / "episodes_6.npz")
    assert facts["validation"]["episode"] == 6


def test_without_windows_there_is_no_such_file_and_no_trace(tmp_path):
    best = run_to_the_end(tmp_path / "run", Watched([5.0, 4.0]))
    assert sorted(p.name for p in best.iterdir()) == [
        "stage_0.npz",
        "weights.npz",
    ]
    _, _, metadata = Checkpoints(tmp_path / "run" / "checkpoints").latest()
    assert metadata["state"]["window_best"] == WindowBest()._asdict()


def test_windows_change_nothing_else_of_a_training():
    def end(**changes):
        trainer = Watched([5.0, 3.0, 4.0, 9.0], **changes)
        state = trainer.initial_state()
        while state.phase is not Phase.DONE:
            if state.phase is Phase.EPISODE:
                state, _ = trainer.train_one(state)
            else:
                _, loss = trainer.validation_run(state, 0)
                state, _ = trainer.judge(state, [loss])
        return state

    plain, windowed = end(), end(best_window=2)
    assert same((plain.meta, plain.best), (windowed.meta, windowed.best))
    assert plain.schedule == windowed.schedule
    assert windowed.window_best == WindowBest(3, 4, 3, 4.0)
    assert plain.window_best == WindowBest()


finite_or_not = st.one_of(
    st.floats(-10.0, 10.0), st.sampled_from([math.nan, math.inf, -math.inf])
)


@given(st.lists(finite_or_not, min_size=1, max_size=40), st.integers(1, 12))
def test_the_best_is_the_first_lowest_of_its_window(costs, length):
    best, kept = WindowBest(), {}
    for episode, cost in enumerate(costs, start=1):
        before = best
        best = best_of_window(best, length, len(costs), episode, cost)
        if best is not before:
            assert best.episode == episode
            kept[best.first] = best
    for start in range(0, len(costs), length):
        inside = costs[start : start + length]
        read = [math.inf if math.isnan(c) else c for c in inside]
        lowest = min(read)
        found = kept.get(start + 1)
        if lowest == math.inf:
            assert found is None
            continue
        assert found == WindowBest(
            start + 1,
            start + len(inside),
            start + 1 + read.index(lowest),
            lowest,
        )
        assert found.file_name == f"episodes_{start + len(inside)}.npz"


def test_validations_between_the_ends_belong_to_the_window_they_are_in():
    best = best_of_window(WindowBest(), 1000, 10_000, 900, 2.0)
    assert best == WindowBest(1, 1000, 900, 2.0)
    assert best_of_window(best, 1000, 10_000, 1000, 2.0) is best
    best = best_of_window(best, 1000, 10_000, 1000, 1.5)
    assert best == WindowBest(1, 1000, 1000, 1.5)
    best = best_of_window(best, 1000, 10_000, 1100, 7.0)
    assert best == WindowBest(1001, 2000, 1100, 7.0)


@pytest.mark.parametrize("value", [0, -100, 2.5, True])
def test_a_window_is_a_positive_int(value):
    with pytest.raises(ValueError, match=f"Received: best_window={value}"):
        small_trainer(schedule=FixedHorizon(4), best_window=value)


@pytest.mark.parametrize(
    ("window", "period", "use"),
    [(1000, 300, "Use 900 or 1200."), (50, 100, "Use 100.")],
)
def test_a_window_must_end_with_a_validation(window, period, use):
    with pytest.raises(
        ValueError,
        match=f"Received: best_window={window}, validation_period={period}",
    ) as caught:
        small_trainer(
            schedule=FixedHorizon(4),
            best_window=window,
            validation_period=period,
        )
    assert use in str(caught.value)


def test_a_curriculums_validations_cannot_be_compared():
    with pytest.raises(
        ValueError,
        match="Received: best_window=6, schedule=Curriculum validating at 4, 6",
    ) as caught:
        small_trainer(best_window=6)
    assert "FixedHorizon" in str(caught.value)


def test_a_curriculum_of_one_stage_can_have_windows():
    schedule = Curriculum((2, 4))
    assert check_best_window(6, 3, schedule) == 6
    assert check_best_window(None, 3, Curriculum((2, 4, 6))) is None
