"""Figures 2e and 2f: slices of a loss that is known in closed form."""

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic, NoisyQuadratic

from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.trainable_adam import TrainableAdam
from l2o_tf.optimizers.adam import Adam
from l2o_tf.studies import slices
from l2o_tf.studies.slices import GradientSliceStudy, PlaneStudy

H, START = np.array([0.5, 1.0, 3.0]), np.array([1.0, -2.0, 0.7])
QUADRATIC = DiagonalQuadratic(H, START, "float32")
NOISY = NoisyQuadratic(H, START, "float32")


def go_on():
    return True


def gradient_slice(cell=None, problem=QUADRATIC, **options):
    options = {
        "extent": 0.05,
        "points": 3,
        "lengths": (2, 5),
        "jit_compile": False,
        **options,
    }
    return GradientSliceStudy(cell or LearnableSGD(0.1), problem, **options)


def plane(cell=None, problem=NOISY, **options):
    options = {
        "points": 3,
        "lengths": (1, 3),
        "extent": 0.4,
        "jit_compile": False,
        **options,
    }
    return PlaneStudy(cell or TrainableAdam(0.1), problem, **options)


def mean_loss(eta, length, h=H):
    """1/T sum_t f(x_t) of gradient descent on the quadratic."""
    t = np.arange(1, length + 1)[:, np.newaxis]
    x = (1.0 - eta * H) ** t * START
    return 0.5 * np.sum(h * x**2) / length


def test_the_slice_is_the_closed_form():
    found = gradient_slice(points=5).run(go_on)
    # The loss falls with the rate, so up the gradient the rate falls.
    np.testing.assert_array_equal(found["directions"], [[-1.0]])
    np.testing.assert_allclose(
        found["offsets"], [-0.05, -0.025, 0.0, 0.025, 0.05], atol=1e-12
    )
    expected = [
        [mean_loss(0.1 - a, length) for length in (2, 5)]
        for a in found["offsets"]
    ]
    np.testing.assert_allclose(found["losses"], expected, rtol=1e-5)


def test_the_gradient_is_of_the_longest_lengths_loss():
    found = gradient_slice().run(go_on)
    slope = (mean_loss(0.1 + 1e-6, 5) - mean_loss(0.1 - 1e-6, 5)) / 2e-6
    np.testing.assert_allclose(found["norm"], -slope, rtol=1e-4)


def test_the_slope_at_the_weights_is_the_gradients_length():
    """Also where gradients are noisy and the cell has four weights."""
    found = gradient_slice(TrainableAdam(0.1), NOISY, extent=2e-2).run(go_on)
    below, _, above = found["losses"][:, -1]
    assert np.linalg.norm(found["directions"]) == pytest.approx(1.0, rel=1e-5)
    assert (above - below) / 4e-2 == pytest.approx(found["norm"], rel=1e-2)


def test_the_loss_can_be_measured_on_another_problem():
    other = DiagonalQuadratic(2.0 * H, START, "float32")
    found = gradient_slice(measured=other).run(go_on)
    eta = 0.1 - found["offsets"] * -found["directions"][0, 0]
    expected = [[mean_loss(e, t, 2.0 * H) for t in (2, 5)] for e in eta]
    np.testing.assert_allclose(found["losses"], expected, rtol=1e-5)


def test_a_problem_of_other_parameters_cannot_be_measured_on():
    other = DiagonalQuadratic([1.0], [1.0], "float32")
    with pytest.raises(ValueError, match="Received: measured of shapes"):
        gradient_slice(measured=other)


def test_a_gradient_of_zero_has_no_direction():
    resting = DiagonalQuadratic(H, 0.0 * START, "float32")
    with pytest.raises(ValueError, match="Received: a meta-gradient of length"):
        gradient_slice(problem=resting).run(go_on)


def test_a_planes_directions_are_orthonormal():
    found = plane().run(go_on)["directions"]
    np.testing.assert_allclose(found @ found.T, np.eye(2), atol=1e-6)


def test_a_planes_losses_are_those_of_the_moved_weights():
    study = plane()
    found = study.run(go_on)
    losses, (first, second) = found["losses"], found["directions"]
    assert losses.shape == (3, 3, 2)
    start = study.cell.meta_params().numpy()
    for row, column in ((1, 1), (0, 2), (2, 1)):
        a, b = found["offsets"][column], found["offsets"][row]
        there = study.losses(
            tf.constant(start + a * first + b * second, tf.float32)
        )
        np.testing.assert_allclose(losses[row, column], there, rtol=1e-4)
    assert np.ptp(losses[..., 1]) > 1e-2


def test_another_seed_is_another_plane():
    here, there = (plane(seed=s).directions().numpy() for s in (0, 1))
    assert np.abs(here - there).max() > 0.1


def test_graph_and_xla_agree():
    graph, xla = (
        plane(jit_compile=jit).run(go_on)["losses"] for jit in (False, True)
    )
    np.testing.assert_allclose(graph, xla, rtol=1e-4)


def test_all_points_share_one_trace(monkeypatch):
    made = []

    def keep(function, jit_compile):
        made.append(tf.function(function, autograph=False))
        return made[-1]

    monkeypatch.setattr(slices, "compiled", keep)
    calls = []
    assert plane().run(lambda: calls.append(1) or True) is not None
    assert [f.experimental_get_tracing_count() for f in made] == [1, 1]
    assert len(calls) == plane().units == 3


def test_a_stopped_study_has_no_arrays():
    assert gradient_slice().run(lambda: False) is None


def test_the_configuration_is_what_the_numbers_depend_on():
    config = plane().config()
    described = [config.pop(k) for k in ("cell", "optimizee", "measured")]
    assert [d["class"] for d in described] == [
        "TrainableAdam",
        "NoisyQuadratic",
        "NoisyQuadratic",
    ]
    assert config == {
        "lengths": [1, 3],
        "extent": 0.4,
        "points": 3,
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lengths", (5, 2)),
        ("extent", 0.0),
        ("points", 4),
        ("points", 1),
        ("points", -3),
        ("seed", "0"),
        ("jit_compile", None),
        ("measured", DiagonalQuadratic),
    ],
)
def test_bad_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=f"Received: {name}="):
        gradient_slice(**{name: value})


def test_cells_without_the_weights_are_refused():
    with pytest.raises(ValueError, match="has no weight to train"):
        gradient_slice(Adam())
    with pytest.raises(ValueError, match="Received: cell=LearnableSGD of 1"):
        plane(LearnableSGD())
    with pytest.raises(ValueError, match="Received: cell="):
        gradient_slice(LearnableSGD)
