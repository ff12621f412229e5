"""Confocal microscopy: recorded numbers, the volume voxel by voxel, draws."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.numerical import (
    assert_is,
    assert_resets_are_fresh,
    assert_standard_normal,
    assert_uniform,
)
from support.problems import RecordedProblem, assert_gradient_is_recorded
from support.small_problem import relative_error

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.optimizees.confocal import ConfocalMicroscopy

erf = np.vectorize(math.erf, otypes=[np.float64])


def integral(u, m, s):
    root = math.sqrt(2.0) * s
    return erf((0.5 - m + u) / root) - erf((-0.5 - m + u) / root)


def flat_volume(u, points, roi):
    """Evaluate the specified formula at every voxel of a flattened grid.

    Args:
        u: array `[6 points + 1]`, of one volume, each in the original's order.
    """
    axes = [np.arange(n) for n in roi]
    gx, gy, gz = (g.ravel() for g in np.meshgrid(*axes, indexing="xy"))
    volume = np.full(gx.shape, u[-1])
    for i in range(points):
        intensity, x, y, z, sigma_xy, sigma_z = u[6 * i : 6 * i + 6]
        intensity = 0.5 + 1.5 * intensity
        x, y, z = (
            0.5 + (n - 1 - 0.5) * v for n, v in zip(roi, (x, y, z), strict=True)
        )
        sigma_xy, sigma_z = 2 + 2 * sigma_xy, 2 + 2 * sigma_z
        volume = volume + (
            intensity
            * integral(gx, x, sigma_xy)
            * integral(gy, y, sigma_xy)
            * integral(gz, z, sigma_z)
            / 8
        )
    return volume


def flat_volumes(problem, params):
    columns = params.reshape(-1, problem.batch_size).T
    return np.stack(
        [flat_volume(u, problem.points, problem.roi) for u in columns]
    )


def in_grid_order(volumes):
    """Flatten `[B, x, y, z]` as the 'xy' grid does: y before x."""
    return np.transpose(volumes, (0, 2, 1, 3)).reshape(len(volumes), -1)


def test_loss_and_gradient_are_the_recorded_ones():
    recorded = RecordedProblem("confocal_small")
    problem = ConfocalMicroscopy(batch_size=4, points=2, roi=(6, 7, 8))
    # Recorded in the order of the trainables, with "sim" for "var".
    simulated = [c.ravel() for c in recorded.constants.values()]
    target = problem.target(tf.constant(np.concatenate(simulated)))
    loss, gradient = problem.loss_and_gradient(
        tf.constant(recorded.params), target, ()
    )
    assert relative_error(loss, recorded["loss"]) < 1e-5
    assert problem.layout.names == recorded.names
    assert_gradient_is_recorded(problem.layout.split(gradient), recorded)


each_size = given(
    batch_size=st.integers(1, 3),
    points=st.integers(1, 3),
    roi=st.tuples(*[st.integers(2, 5)] * 3),
    seed=st.integers(0, 1000),
)


@settings(max_examples=10, deadline=None)
@each_size
def test_the_volume_is_the_formula_at_every_voxel(
    batch_size, points, roi, seed
):
    problem = ConfocalMicroscopy(batch_size, points, roi)
    # Beyond (0, 1) too: nothing is clipped.
    u = np.random.RandomState(seed).uniform(-0.5, 1.5, problem.layout.size)
    image = problem.image(tf.constant(u)).numpy()
    assert image.shape == (batch_size, *roi)
    np.testing.assert_allclose(
        in_grid_order(image), flat_volumes(problem, u), rtol=1e-9, atol=1e-12
    )


@settings(max_examples=10, deadline=None)
@each_size
def test_the_target_is_the_volume_over_its_norm(batch_size, points, roi, seed):
    problem = ConfocalMicroscopy(batch_size, points, roi)
    u = np.random.RandomState(seed).uniform(0, 1, problem.layout.size)
    target = in_grid_order(problem.target(tf.constant(u)).numpy())
    volumes = flat_volumes(problem, u)
    for one, volume in zip(target, volumes, strict=True):
        expected = volume / math.sqrt((volume**2).sum())
        np.testing.assert_allclose(one, expected, rtol=1e-9)


def test_loss_and_gradient_are_those_of_the_formula():
    problem = ConfocalMicroscopy(batch_size=2, points=2, roi=(3, 4, 2))
    x, target = problem.reset(seeds.make_seed(0))

    def rendering(u, constants):
        error = flat_volumes(problem, u) - in_grid_order(constants)
        return (error**2).sum(axis=1).mean()

    assert_is(problem, rendering, x, target)


def test_a_perfect_fit_costs_nothing():
    problem = ConfocalMicroscopy(batch_size=2, points=1, roi=(4, 4, 4))
    u = tf.constant(np.random.RandomState(0).uniform(size=14))
    loss, gradient = problem.loss_and_gradient(u, problem.image(u), ())
    assert loss.numpy() == 0.0
    np.testing.assert_array_equal(gradient, np.zeros(14))


def test_there_are_992_coordinates_in_the_originals_order():
    problem = ConfocalMicroscopy()
    layout = problem.layout
    assert layout.size == 992
    assert set(layout.shapes) == {(32, 1)}
    assert layout.names[:7] == (
        "I_var_0",
        "x_var_0",
        "y_var_0",
        "z_var_0",
        "sigmaxy_var_0",
        "sigmaz_var_0",
        "I_var_1",
    )
    assert layout.names[-2:] == ("sigmaz_var_4", "bg_var")
    assert problem.roi == (28, 28, 28)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_volume_of_28_voxels_keeps_the_digits_of_float32(jit_compile):
    problem = ConfocalMicroscopy(batch_size=2)

    def first_step(simulated):
        x, _ = problem.reset(seeds.make_seed(0))
        target = problem.target(simulated)
        return x, target, problem.loss_and_gradient(x, target, ())

    simulated = np.random.RandomState(0).uniform(size=problem.layout.size)
    x, target, (loss, gradient) = compiled(first_step, jit_compile)(
        tf.constant(simulated, tf.float32)
    )
    assert target.shape == (2, 28, 28, 28)
    wanted = problem.target(tf.constant(np.float64(np.float32(simulated))))
    assert relative_error(target, wanted) < 2e-6
    exact, slope = problem.loss_and_gradient(
        tf.cast(x, tf.float64), tf.cast(target, tf.float64), ()
    )
    assert relative_error(loss, exact) < 2e-6
    assert relative_error(gradient, slope) < 2e-6


def test_spots_start_uniform_and_the_background_normal():
    problem = ConfocalMicroscopy(batch_size=2000, points=1, roi=(2, 2, 2))
    x, _ = problem.reset(seeds.make_seed(0))
    assert_uniform(x[:-2000])
    assert_standard_normal(x[-2000:] / 0.01)


def test_the_target_comes_from_uniform_parameters_of_its_own(monkeypatch):
    asked = []
    target = ConfocalMicroscopy.target

    def recording(self, simulated):
        asked.append(simulated.numpy())
        return target(self, simulated)

    monkeypatch.setattr(ConfocalMicroscopy, "target", recording)
    problem = ConfocalMicroscopy(batch_size=2000, points=1, roi=(2, 2, 2))
    x, constants = problem.reset(seeds.make_seed(0))
    (simulated,) = asked
    assert_uniform(simulated)
    assert_uniform(simulated[-2000:])
    assert (simulated != x.numpy()).all()
    np.testing.assert_array_equal(constants, target(problem, simulated))


def test_a_reset_redraws_start_and_target():
    problem = ConfocalMicroscopy(batch_size=2, points=2, roi=(3, 4, 5))
    assert_resets_are_fresh(problem, seeds.make_seed)


def test_there_is_no_batch():
    assert ConfocalMicroscopy().sample(seeds.make_seed(0)) == ()


@pytest.mark.parametrize("argument", ["batch_size", "points"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True])
def test_bad_sizes_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"Received: {argument}={value}"):
        ConfocalMicroscopy(**{argument: value})


@pytest.mark.parametrize(
    "roi", [28, (28, 28), (28, 28, 1), (28, 28, 28.0), (True, 2, 2), "abc"]
)
def test_a_bad_region_is_refused(roi):
    with pytest.raises(ValueError, match="Received: roi=") as caught:
        ConfocalMicroscopy(roi=roi)
    assert f"roi={roi!r}." in str(caught.value)
