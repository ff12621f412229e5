"""Figure 2a-c: three regimes of the momentum, and their borders."""

import numpy as np
import pytest

from l2o_tf.studies.momentum import MomentumStudy

LOWER, LOWEST = 3.568729, -3.123788


def go_on():
    return True


@pytest.fixture(scope="module")
def found():
    return MomentumStudy().run(go_on)


def by_hand(momentum, steps, eta=0.01, w=-1.2):
    """Heavy ball: v <- mu v - eta l'(w), w <- w + v."""
    path, v = [w], 0.0
    for _ in range(steps):
        v = momentum * v - eta * w * (4.0 * w**2 - 21.0 * w + 24.0)
        w += v
        path.append(w)
    return np.array(path)


def at_the_lower(found):
    """Which momenta end in the lower minimum's valley after 1,000 steps."""
    return found["ends"][-1] > 1.6813


def test_a_trajectory_is_heavy_balls(found):
    assert found["trajectories"].shape == (3, 1001)
    for momentum, path in zip(
        found["shown"], found["trajectories"], strict=True
    ):
        np.testing.assert_allclose(path, by_hand(momentum, 1000), atol=1e-9)


def test_ends_and_losses_are_those_after_the_lengths(found):
    np.testing.assert_array_equal(found["lengths"], [10, 50, 100, 1000])
    assert found["ends"].shape == found["losses"].shape == (4, 1000)
    for k in (0, 500, 900):
        path = by_hand(found["momenta"][k], 100)
        w = path[[10, 50, 100]]
        np.testing.assert_allclose(found["ends"][:3, k], w, atol=1e-9)
        np.testing.assert_allclose(
            found["losses"][:3, k], (w - 4) * (w - 3) * w**2, atol=1e-8
        )


def test_low_momenta_end_at_zero(found):
    low = found["momenta"] <= 0.8
    np.testing.assert_allclose(found["ends"][-1][low], 0.0, atol=1e-6)
    np.testing.assert_allclose(found["losses"][-1][low], 0.0, atol=1e-6)


def test_higher_momenta_end_at_the_lower_minimum(found):
    middle = (found["momenta"] >= 0.81) & (found["momenta"] <= 0.94)
    np.testing.assert_allclose(found["ends"][-1][middle], LOWER, atol=1e-4)
    np.testing.assert_allclose(found["losses"][-1][middle], LOWEST, atol=1e-4)


def test_the_borders_of_the_regimes_are_sharp(found):
    changes = found["momenta"][1:][np.diff(at_the_lower(found))]
    np.testing.assert_allclose(changes[:3], [0.805, 0.941, 0.963], atol=1e-9)


def test_the_highest_momenta_alternate_between_the_minima(found):
    above = found["momenta"] >= 0.941
    sides = at_the_lower(found)[above]
    assert np.diff(sides).sum() >= 10
    # Settled: those to 0.985 are at one of the two, not on the way.
    settled = (found["momenta"] >= 0.941) & (found["momenta"] <= 0.985)
    ends = found["ends"][-1][settled]
    nearest = np.where(ends > 1.6813, LOWER, 0.0)
    np.testing.assert_allclose(ends, nearest, atol=0.02)


def test_the_loss_gets_steeper_in_the_momentum_with_the_steps(found):
    window = (found["momenta"] > 0.79) & (found["momenta"] < 0.82)
    jumps = np.abs(np.diff(found["losses"][:, window], axis=1)).max(1)
    assert jumps[0] < 0.12
    assert jumps[-1] == pytest.approx(-LOWEST, abs=1e-3)


def test_a_larger_rate_moves_the_borders():
    found = MomentumStudy(
        learning_rate=0.02, num_momenta=100, lengths=(1000,), shown=()
    ).run(go_on)
    changes = found["momenta"][1:][np.diff(at_the_lower(found))]
    np.testing.assert_allclose(changes[:2], [0.67, 0.9], atol=0.011)
    assert found["trajectories"].shape == (0, 1001)


def test_graph_and_xla_agree():
    options = {"num_momenta": 9, "lengths": (50,)}
    graph, xla = (
        MomentumStudy(jit_compile=jit, **options).run(go_on)
        for jit in (False, True)
    )
    for name in graph:
        np.testing.assert_allclose(graph[name], xla[name], atol=1e-9)


def test_a_stopped_study_has_no_arrays():
    study = MomentumStudy(num_momenta=2, lengths=(1,))
    assert study.run(lambda: False) is None


def test_the_configuration_is_what_the_numbers_depend_on():
    assert MomentumStudy(jit_compile=False).config() == {
        "learning_rate": 0.01,
        "start": -1.2,
        "num_momenta": 1000,
        "lengths": [10, 50, 100, 1000],
        "shown": [0.5, 0.9, 0.97],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"start": "left"},
        {"num_momenta": 0},
        {"lengths": ()},
        {"shown": (1.0,)},
        {"jit_compile": 1},
    ],
)
def test_bad_arguments_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"Received: {name}="):
        MomentumStudy(**wrong)
