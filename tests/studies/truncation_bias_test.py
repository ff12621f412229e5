"""Figure 3: short windows lower the learning rate that long ones raise."""

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic, NoisyQuadratic

from l2o_tf.core import seeds
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.trainable_adam import TrainableAdam
from l2o_tf.studies import truncation_bias
from l2o_tf.studies.truncation_bias import (
    TruncationBiasStudy,
    truncation_bias_studies,
)
from l2o_tf.unroll.carry import start_episode

# Eight steep coordinates at rest, which noise moves about, the more the higher
# the rate; one flat coordinate far away, to which only many steps make a
# difference.
TWO_SPEEDS = NoisyQuadratic(
    [1.0] * 8 + [1e-4], [0.0] * 8 + [200.0], dtype="float32"
)
SMALL = NoisyQuadratic([0.5, 3.0], [1.0, -2.0], dtype="float32")


def go_on():
    return True


def small(problem=SMALL, **options):
    options = {
        "window": 2,
        "horizon": 4,
        "num_episodes": 3,
        "update": "episode",
        "learning_rate": 0.1,
        "jit_compile": False,
        **options,
    }
    return TruncationBiasStudy(problem, **options)


@pytest.fixture(scope="module")
def two_speeds():
    studies = truncation_bias_studies(
        TWO_SPEEDS,
        windows=(1, 1000),
        horizon=1000,
        num_episodes=3,
        update="episode",
        learning_rate=0.2,
        meta_learning_rate=0.2,
    )
    return {study.window: study.run(go_on) for study in studies}


def test_short_windows_lower_the_rate_that_long_ones_raise(two_speeds):
    short, long = (two_speeds[w]["learning_rates"] for w in (1, 1000))
    assert short[0] == long[0] == pytest.approx(0.2)
    # A first step of Adam is the meta-learning rate.
    assert short[1] == pytest.approx(0.2 * np.exp(-0.2), rel=1e-4)
    assert long[1] == pytest.approx(0.2 * np.exp(0.2), rel=1e-4)
    assert (np.diff(short) < 0).all()
    assert short[-1] == pytest.approx(0.1126, abs=0.002)
    assert long[-1] == pytest.approx(0.339, abs=0.01)


def test_short_windows_raise_the_loss(two_speeds):
    short, long = (two_speeds[w]["meta_losses"] for w in (1, 1000))
    assert short[0] == pytest.approx(long[0], rel=1e-6)
    assert short[0] == pytest.approx(5.05, abs=0.01)
    assert (np.diff(short) > 0.1).all()
    assert (short[1:] > long[1:] + 0.05).all()


def test_the_first_update_follows_the_sum_of_the_windows(two_speeds):
    for window, found in two_speeds.items():
        windows = found["window_gradients"]
        assert windows.shape == (1000 // window,)
        sign = -np.sign(windows.sum())
        rates = found["learning_rates"]
        assert np.log(rates[1] / rates[0]) == pytest.approx(
            0.2 * sign, rel=1e-4
        )
    assert two_speeds[1]["window_gradients"].sum() > 1e-3
    assert two_speeds[1000]["window_gradients"].sum() < -0.1


def test_updates_after_each_window_lower_the_rate_too():
    study = TruncationBiasStudy(
        TWO_SPEEDS,
        10,
        horizon=1000,
        num_episodes=1,
        update="window",
        learning_rate=0.2,
        meta_learning_rate=0.02,
    )
    found = study.run(go_on)
    assert found["learning_rates"].shape == (101,)
    assert found["learning_rates"][-1] < 0.15


def test_window_gradients_are_truncated_backpropagations():
    found = small(num_episodes=1).run(go_on)["window_gradients"]
    cell = TrainableAdam(0.1)
    estimator = TruncatedBackpropagation(2, second_derivatives=True)
    seed = seeds.fold_in(seeds.make_seed(0), 0)
    carry = start_episode(cell, SMALL, seed)
    for window in range(2):
        estimate, carry = estimator.estimate(
            cell, SMALL, cell.meta_params(), carry
        )
        expected = estimate.meta_gradient.numpy()[0] / 4.0
        assert found[window] == pytest.approx(expected, rel=1e-4)


def test_second_derivatives_can_be_left_out():
    with_them, without = (
        small(window=4, num_episodes=1, second_derivatives=s).run(go_on)
        for s in (True, False)
    )
    assert with_them["meta_losses"] == without["meta_losses"]
    gap = with_them["window_gradients"] - without["window_gradients"]
    assert abs(gap[0]) > 1e-3


@pytest.mark.parametrize(("update", "count"), [("window", 6), ("episode", 3)])
def test_there_is_a_rate_for_every_update(update, count):
    found = small(update=update).run(go_on)
    rates = found["learning_rates"]
    assert rates.shape == (1 + count,)
    assert rates[0] == pytest.approx(0.1)
    assert (np.diff(rates) != 0).all()
    assert found["meta_losses"].shape == (3,)


def test_all_episodes_of_a_study_share_one_trace(monkeypatch):
    made = []

    def keep(function, jit_compile):
        made.append(tf.function(function, autograph=False))
        return made[-1]

    monkeypatch.setattr(truncation_bias, "compiled", keep)
    calls = []
    assert small().run(lambda: calls.append(1) or True) is not None
    assert [f.experimental_get_tracing_count() for f in made] == [1]
    assert len(calls) == small().units == 4


def test_only_the_learning_rate_is_learned():
    """At rest without noise no rate matters: it stays."""
    resting = DiagonalQuadratic([1.0], [0.0], "float32")
    found = small(resting, num_episodes=2).run(go_on)
    np.testing.assert_allclose(found["learning_rates"], 0.1, rtol=1e-6)
    np.testing.assert_array_equal(found["meta_losses"], [0.0, 0.0])


def test_every_window_is_a_study_with_a_file_of_its_own():
    studies = truncation_bias_studies(
        SMALL, (1, 2, 4), 4, 3, "episode", 0.1, 0.2, False
    )
    assert [s.name for s in studies] == [
        "truncation_bias_1",
        "truncation_bias_2",
        "truncation_bias_4",
    ]
    config = studies[1].config()
    assert config.pop("optimizee")["class"] == "NoisyQuadratic"
    assert config == {
        "window": 2,
        "horizon": 4,
        "num_episodes": 3,
        "update": "episode",
        "learning_rate": 0.1,
        "meta_learning_rate": 0.2,
        "second_derivatives": False,
        "seed": 0,
    }


@pytest.mark.parametrize("calls", [1, 4])
def test_a_stopped_study_has_no_arrays(calls):
    left = iter([True] * (calls - 1) + [False])
    assert small().run(lambda: next(left)) is None


def test_a_window_that_does_not_divide_the_horizon_is_refused():
    with pytest.raises(ValueError, match="Received: window=3, horizon=4"):
        small(window=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", 0),
        ("horizon", 0),
        ("num_episodes", 0),
        ("update", "step"),
        ("learning_rate", 0.0),
        ("second_derivatives", 1),
        ("seed", 1.0),
        ("jit_compile", None),
    ],
)
def test_bad_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=f"Received: {name}="):
        small(**{name: value})


def test_bad_meta_learning_rates_and_problems_are_refused():
    with pytest.raises(ValueError, match="Received: learning_rate=-1"):
        small(meta_learning_rate=-1.0)
    with pytest.raises(ValueError, match="Received: optimizee="):
        small(NoisyQuadratic)
