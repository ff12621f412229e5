"""A training run at one moment, stored and taken up again."""

import math

import numpy as np
import pytest
import tensorflow as tf
from support.training import small_trainer

from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.meta_training.best_window import WindowBest
from l2o_tf.meta_training.state import Phase
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.runtime.arrays import Format, load_arrays, save_arrays
from l2o_tf.unroll.schedules import ScheduleState

FORMAT = Format("test", 1)


@pytest.fixture(scope="module")
def advanced():
    """The state of a trainer after two episodes, with every field set."""
    trainer = small_trainer()
    state = trainer.initial_state()
    for _ in range(2):
        state, _ = trainer.train_one(state)
    return state.replace(
        schedule=ScheduleState(2, 0.1 + 0.2, 5, True),
        phase=Phase.BASELINE,
        validations=11,
        skipped=3,
        failed_in_a_row=1,
        window_best=WindowBest(1001, 2000, 1300, 0.1 + 0.7),
    )


def assert_equal(a, b):
    for x, y in zip(
        tf.nest.flatten((a.meta, a.best)),
        tf.nest.flatten((b.meta, b.best)),
        strict=True,
    ):
        assert x.dtype == y.dtype
        assert x.numpy().tobytes() == y.numpy().tobytes()
    assert a.replace(meta=(), best=()) == b.replace(meta=(), best=())


def test_a_state_comes_back_from_a_file_bit_for_bit(advanced, tmp_path):
    path = tmp_path / "state.npz"
    save_arrays(path, *advanced.to_arrays(), FORMAT)
    fresh = small_trainer().initial_state()
    back = fresh.from_arrays(*load_arrays(path, FORMAT))
    assert_equal(back, advanced)
    assert back.episode == 2
    assert back.phase is Phase.BASELINE
    assert isinstance(back.schedule, ScheduleState)
    assert isinstance(back.window_best, WindowBest)
    assert back.window_best.cost == 0.1 + 0.7
    tf.nest.assert_same_structure(back.meta, advanced.meta)


def test_the_first_state_has_no_best_cost_and_comes_back(tmp_path):
    first = small_trainer().initial_state()
    path = tmp_path / "state.npz"
    save_arrays(path, *first.to_arrays(), FORMAT)
    back = first.from_arrays(*load_arrays(path, FORMAT))
    assert_equal(back, first)
    assert back.schedule.best == math.inf


def test_a_state_from_before_there_were_windows_is_taken_up(advanced):
    arrays, metadata = advanced.to_arrays()
    del metadata["window_best"]
    back = advanced.from_arrays(arrays, metadata)
    assert back.window_best == WindowBest(0, 0, 0, math.inf)
    assert back.schedule == advanced.schedule


@pytest.mark.parametrize(
    "other",
    [{"cell": LearnableSGD()}, {"meta_optimizer": Momentum(0.1)}],
)
def test_arrays_of_another_optimizer_are_refused(advanced, other):
    state = small_trainer(**other).initial_state()
    with pytest.raises(ValueError, match=r"Received: \{'state_000'"):
        state.from_arrays(*advanced.to_arrays())


def test_arrays_of_another_type_are_refused(advanced):
    arrays, metadata = advanced.to_arrays()
    arrays["state_000"] = arrays["state_000"].astype(np.float64)
    with pytest.raises(ValueError, match="float64"):
        advanced.from_arrays(arrays, metadata)


def test_a_missing_array_is_refused(advanced):
    arrays, metadata = advanced.to_arrays()
    del arrays["state_001"]
    with pytest.raises(ValueError, match="another learned optimizer"):
        advanced.from_arrays(arrays, metadata)
