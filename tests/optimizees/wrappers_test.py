"""Wrapped problems: recorded numbers, what changes, and what must not."""

import math

import gin
import numpy as np
import pytest
import tensorflow as tf
from support.execution import assert_same_everywhere
from support.numerical import assert_is, assert_standard_normal
from support.problem_zoo import assert_is_recorded, instances, path_of

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.bowls import Bowl
from l2o_tf.optimizees.combination import Sum
from l2o_tf.optimizees.convex import ConvexQuadratic
from l2o_tf.optimizees.gaussian_quadratics import (
    GaussianNorm,
    GaussianQuadratic,
    IsotropicQuadratic,
)
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.quadratics import Simple
from l2o_tf.optimizees.wrappers import (
    Clamped,
    LogObjective,
    NoisyGradients,
    Rescale,
    SparseGradients,
)
from l2o_tf.techniques.random_scaling import RandomScaling

SEED, DRAW = seeds.make_seed(3), seeds.make_seed(4)

SCALED = (
    (GaussianNorm(18, 2.5), 0.123),
    (GaussianNorm(18, 1.5), 8),
    (GaussianNorm(18, 2), 50),
    (GaussianNorm(18, 3), 200),
    (GaussianNorm(18, 1), 1000),
    (GaussianQuadratic(20), 0.1),
    (GaussianQuadratic(25), 10),
    (GaussianQuadratic(50), 350),
    (GaussianQuadratic(100), 132),
)
INNER = (
    GaussianQuadratic(20),
    GaussianQuadratic(50),
    GaussianQuadratic(100),
    Bowl(0.1),
    Bowl(1),
    Bowl(5),
)


def constants_of(instance):
    return (*instance.ws, *instance.ys)


def test_recorded_rescaled_problems_are_reproduced(shared_dir):
    for instance in instances(path_of(shared_dir), "rescale_problems"):
        problem = Rescale(*SCALED[instance.index])
        assert_is_recorded(problem, instance, constants_of(instance))


def test_recorded_logarithms_are_reproduced(shared_dir):
    for instance in instances(path_of(shared_dir), "log_objective_problems"):
        problem = LogObjective(INNER[instance.index])
        assert_is_recorded(problem, instance, constants_of(instance))


def test_recorded_sparse_problems_are_reproduced_before_the_mask(shared_dir):
    for instance in instances(path_of(shared_dir), "sparse_gradient_problems"):
        problem = SparseGradients(INNER[instance.index])
        constants = constants_of(instance)
        assert_is_recorded(problem, instance, constants, problem.sample(DRAW))


SUMS = {
    0: [GaussianQuadratic(k) for k in (11, 3, 9, 7, 5, 13, 12)],
    4: [GaussianQuadratic(k) for k in (11, 3)],
}


@pytest.mark.parametrize("name", ["sum_problems", "sum_problems_noisy"])
def test_recorded_sums_of_quadratics_are_reproduced(name, shared_dir):
    compared = 0
    for instance in instances(path_of(shared_dir), name):
        if instance.index in SUMS:
            members = SUMS[instance.index]
            if name.endswith("noisy"):
                members = [NoisyGradients(m, 0.1) for m in members]
            problem = Sum(members)
            systems = tuple(zip(instance.ws, instance.ys, strict=True))
            batch = problem.sample(DRAW)
            assert_is_recorded(problem, instance, systems, batch)
            compared += 1
    assert compared == {"sum_problems": 2, "sum_problems_noisy": 1}[name]


def mlp(split="train"):
    data = synthetic_images(height=2, width=2)
    return MLP(data, split, (2,), batch_size=4, init_stddev=0.5)


class Recorder(Optimizee):
    """A problem whose constants and batches are the seeds that drew them."""

    layout = Layout(("x",), ((3,),))
    split = "meta_valid"
    notice = "Made up."

    def reset(self, seed):
        return tf.fill([3], 7.0), seed

    def sample(self, seed):
        return {"minibatch": seed}

    def sample_objective(self, seed):
        return {"whole": seed}

    def loss(self, params, constants, batch):
        (drawn,) = batch.values()
        return tf.reduce_sum(params**2) * tf.cast(drawn[0], params.dtype)


WRAPPERS = {
    "clamped": lambda o: Clamped(o, 3.0),
    "rescale": lambda o: Rescale(o, 5.0),
    "log": LogObjective,
    "noisy": lambda o: NoisyGradients(o, 2.0),
    "sparse": lambda o: SparseGradients(o, 0.5),
    "random_scaling": lambda o: RandomScaling(o, 1.0),
    "sum": lambda o: Sum([o]),
}
NOISY = ("noisy", "sparse")

each_wrapper = pytest.mark.parametrize("name", WRAPPERS)


@each_wrapper
def test_split_notice_and_tensors_are_the_wrapped_problems(name):
    problem = WRAPPERS[name](Recorder())
    assert problem.split == "meta_valid"
    assert problem.notice == "Made up."
    assert problem.layout.shapes == ((3,),)
    bare = WRAPPERS[name](Simple())
    assert (bare.split, bare.notice) == ("", None)


def drawn_by(name, batch, seed):
    """Return the inner batch, and the seed it should have been drawn with."""
    if name in NOISY:
        return batch[0], seeds.fold_in(seed, 0)
    if name == "sum":
        return batch[0], seeds.fold_in(seed, 0)
    return batch, seed


@each_wrapper
def test_minibatches_and_objectives_are_drawn_apart(name):
    problem = WRAPPERS[name](Recorder())
    for draw, kind in (
        (problem.sample, "minibatch"),
        (problem.sample_objective, "whole"),
    ):
        batch, seed = drawn_by(name, draw(DRAW), DRAW)
        assert batch.keys() == {kind}
        np.testing.assert_array_equal(batch[kind], seed)


@each_wrapper
def test_the_loss_takes_both_batches(name):
    inner, problem = mlp(), WRAPPERS[name](mlp())
    x, constants = problem.reset(SEED)
    for draw in (problem.sample, problem.sample_objective):
        loss = problem.loss(x, constants, draw(DRAW))
        batch, seed = drawn_by(name, draw(DRAW), DRAW)
        tf.nest.map_structure(
            np.testing.assert_array_equal, batch, inner.sample(seed)
        )
        assert np.isfinite(loss)


def test_a_rescaled_start_is_the_scaled_inner_one():
    inner, problem = mlp(), Rescale(mlp(), 8.0)
    x, constants = problem.reset(SEED)
    np.testing.assert_array_equal(x, 8.0 * inner.reset(SEED)[0])
    batch = problem.sample(DRAW)
    loss, gradient = problem.loss_and_gradient(x, constants, batch)
    expected, slope = inner.loss_and_gradient(x / 8.0, (), batch)
    np.testing.assert_array_equal(loss, expected)
    np.testing.assert_allclose(gradient, slope / 8.0, rtol=1e-6)


# |x|^2 at (3, 4) is 25, its slope (6, 8).
@pytest.mark.parametrize("maximum", [30.0, 25.0, 24.9, 10, -1.0])
def test_a_clamped_loss_is_the_smaller_number(maximum):
    problem = Clamped(IsotropicQuadratic((2,)), maximum)

    def first_order(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = problem.loss(x, (), ())
        taped = tape.gradient(loss, x)
        return loss, taped, *problem.loss_and_gradient(x, (), ())

    results = assert_same_everywhere(first_order, np.array([3, 4], "f4"))
    slope = [6.0, 8.0] if maximum >= 25.0 else [0.0, 0.0]
    for actual, expected in zip(
        results, 2 * (min(25.0, maximum), slope), strict=True
    ):
        np.testing.assert_array_equal(actual, np.float32(expected))


def test_losses_are_clamped_at_10_unless_told():
    assert Clamped(Simple()).maximum == 10.0


def test_a_clamped_start_is_the_inner_one():
    inner, problem = mlp(), Clamped(mlp())
    np.testing.assert_array_equal(problem.reset(SEED)[0], inner.reset(SEED)[0])
    _, constants = Clamped(Recorder()).reset(SEED)
    np.testing.assert_array_equal(constants, SEED)


@pytest.mark.parametrize(
    ("entry", "loss", "gradient"),
    [(np.inf, 10.0, 0.0), (np.nan, np.nan, np.nan)],
)
def test_an_infinite_loss_is_clamped_and_no_number_stays_none(
    entry, loss, gradient
):
    problem = Clamped(IsotropicQuadratic((2,)))
    x = np.array([entry, entry], "f4")
    results = assert_same_everywhere(
        lambda x: problem.loss_and_gradient(x, (), ()), x
    )
    np.testing.assert_array_equal(results[0], np.float32(loss))
    np.testing.assert_array_equal(results[1], np.full(2, gradient, "f4"))


def test_the_logarithm_is_zero_at_a_minimum_of_zero():
    problem = LogObjective(IsotropicQuadratic((2,)))
    assert problem.loss(tf.zeros([2]), (), ()).numpy() == pytest.approx(
        0.0, abs=1e-6
    )

    def rendering(v, _):
        return math.log(np.sum(v**2) + 1e-6) - math.log(1e-6)

    assert_is(problem, rendering, [0.3, -2.0], ())


@pytest.mark.parametrize("name", ["log", "sparse"])
def test_the_start_is_standard_normal_whatever_the_inner_one_is(name):
    # The inner start is Normal(0, 0.5^2) or the constant 7.
    problem = WRAPPERS[name](ConvexQuadratic(3000))
    x, _ = problem.reset(SEED)
    assert_standard_normal(x)
    constant = WRAPPERS[name](Recorder())
    x, inner = constant.reset(SEED)
    assert (x != 7.0).numpy().all()
    np.testing.assert_array_equal(inner, seeds.fold_in(SEED, 0))
    other, _ = constant.reset(seeds.make_seed(8))
    assert (x != other).numpy().all()
    np.testing.assert_array_equal(x, constant.reset(SEED)[0])


def test_noisy_gradients_start_where_the_inner_problem_does():
    inner, problem = mlp(), NoisyGradients(mlp(), 1.0)
    x, constants = problem.reset(SEED)
    np.testing.assert_array_equal(x, inner.reset(SEED)[0])
    assert constants == ()


@pytest.mark.parametrize("name", WRAPPERS)
def test_only_noise_makes_gradients_inexact(name):
    problem = WRAPPERS[name](mlp())
    assert problem.exact_gradients == (name not in NOISY)
    x, constants = problem.reset(SEED)
    batch = problem.sample(DRAW)
    shown = problem.loss_and_gradient(x, constants, batch)
    plain = problem.value_and_gradient(x, constants, batch)
    assert shown[0].numpy() == plain[0].numpy()
    same = (shown[1] == plain[1]).numpy().all()
    assert same == problem.exact_gradients


def test_noise_is_normal_of_the_standard_deviation_and_not_in_the_loss():
    inner = IsotropicQuadratic((4000,))
    problem = NoisyGradients(inner, 0.25)
    x, _ = problem.reset(SEED)
    batch = problem.sample(DRAW)
    loss, gradient = problem.loss_and_gradient(x, (), batch)
    assert loss.numpy() == inner.loss(x, (), ()).numpy()
    np.testing.assert_array_equal(problem.loss(x, (), batch), loss)
    # Mean, variance and kurtosis within 4.5 standard errors of 4000 draws.
    assert_standard_normal((gradient - 2.0 * x) / 0.25)


@pytest.mark.parametrize("name", NOISY)
def test_the_batch_decides_the_noise(name):
    problem = WRAPPERS[name](IsotropicQuadratic((60,)))
    x, _ = problem.reset(SEED)
    first, again, other = (
        problem.loss_and_gradient(x, (), problem.sample(s))[1]
        for s in (SEED, SEED, DRAW)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).numpy().any()


def test_the_noise_of_two_minibatches_is_independent():
    problem = NoisyGradients(IsotropicQuadratic((2000,)), 1.0)
    x = tf.zeros([2000])
    a, b = (
        problem.loss_and_gradient(x, (), problem.sample(s))[1]
        for s in (SEED, DRAW)
    )
    assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / math.sqrt(2000)


def test_no_noise_changes_nothing():
    problem = NoisyGradients(IsotropicQuadratic((5,)), 0)
    x, _ = problem.reset(SEED)
    _, gradient = problem.loss_and_gradient(x, (), problem.sample(DRAW))
    np.testing.assert_array_equal(gradient, 2.0 * x)


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.99])
def test_entries_are_zeroed_at_the_rate_and_the_others_kept(probability):
    inner = IsotropicQuadratic((20_000,))
    problem = SparseGradients(inner, probability)
    x, _ = problem.reset(SEED)
    _, gradient = problem.loss_and_gradient(x, (), problem.sample(DRAW))
    zero = gradient.numpy() == 0.0
    np.testing.assert_array_equal(gradient.numpy()[~zero], 2.0 * x[~zero])
    # A binomial rate within 4.5 standard errors; x itself is never 0.
    error = math.sqrt(probability * (1 - probability) / 20_000)
    assert abs(zero.mean() - probability) <= 4.5 * error


def test_99_percent_are_zeroed_by_default():
    assert SparseGradients(Simple()).zero_probability == 0.99


def test_each_coordinate_is_zeroed_on_its_own():
    problem = SparseGradients(IsotropicQuadratic((4000,)), 0.5)
    x, _ = problem.reset(SEED)
    _, gradient = problem.loss_and_gradient(x, (), problem.sample(DRAW))
    kept = gradient.numpy() != 0.0
    neighbours = np.corrcoef(kept[:-1], kept[1:])[0, 1]
    assert abs(neighbours) < 4.5 / math.sqrt(3999)


def test_noise_comes_before_the_mask():
    noisy = NoisyGradients(IsotropicQuadratic((500,)), 3.0)
    problem = SparseGradients(noisy, 0.5)
    x, _ = problem.reset(SEED)
    batch = problem.sample(DRAW)
    _, gradient = problem.loss_and_gradient(x, (), batch)
    kept = gradient.numpy() != 0.0
    assert 0.3 < kept.mean() < 0.7
    _, disturbed = noisy.loss_and_gradient(x, (), batch[0])
    np.testing.assert_array_equal(gradient[kept], disturbed[kept])


def test_noise_twice_adds_up():
    once = NoisyGradients(IsotropicQuadratic((4000,)), 3.0)
    twice = NoisyGradients(once, 4.0)
    x = tf.zeros([4000])
    _, gradient = twice.loss_and_gradient(x, (), twice.sample(DRAW))
    assert_standard_normal(gradient / 5.0)


@pytest.mark.parametrize(
    "name", ["clamped", "rescale", "log", "sum", "random_scaling"]
)
def test_the_noise_of_a_wrapped_problem_is_left_out(name):
    noisy = WRAPPERS[name](NoisyGradients(mlp(), 100.0))
    plain = WRAPPERS[name](mlp())
    x, constants = noisy.reset(SEED)
    batch = noisy.sample(DRAW)
    inner = (batch[0][0],) if name == "sum" else batch[0]
    loss, gradient = noisy.loss_and_gradient(x, constants, batch)
    expected, slope = plain.loss_and_gradient(x, constants, inner)
    assert loss.numpy() == expected.numpy()
    np.testing.assert_array_equal(gradient, slope)


def test_wrappers_of_wrappers_agree_everywhere():
    problem = Rescale(LogObjective(SparseGradients(mlp(), 0.5)), 3.0)
    problem = SparseGradients(NoisyGradients(problem, 0.1), 0.5)

    def first_step(start, draw):
        x, constants = problem.reset(start)
        batch = problem.sample(draw)
        return problem.loss_and_gradient(x, constants, batch)

    assert_same_everywhere(first_step, SEED, DRAW, rtol=1e-5, atol=1e-5)


def test_gin_builds_a_noisy_rescaled_bowl():
    gin.parse_config(
        """
        NoisyGradients.optimizee = @Rescale()
        NoisyGradients.stddev = 0.1
        Rescale.optimizee = @Bowl()
        Rescale.scale = 10
        Bowl.condition_number = 5
        """
    )
    problem = gin.get_configurable("l2o_tf.optimizees.NoisyGradients")()
    assert problem.stddev == 0.1
    assert problem.optimizee.scale == 10.0
    assert problem.optimizee.optimizee.condition_number == 5.0


@pytest.mark.parametrize("scale", [0, -1.0, math.nan, math.inf, "3"])
def test_a_bad_scale_is_refused(scale):
    with pytest.raises(ValueError, match=f"Received: scale={scale!r}"):
        Rescale(Simple(), scale)


@pytest.mark.parametrize("maximum", [math.nan, math.inf, "3", None])
def test_a_bad_maximum_is_refused(maximum):
    with pytest.raises(ValueError, match=f"Received: maximum={maximum!r}"):
        Clamped(Simple(), maximum)


@pytest.mark.parametrize("stddev", [-0.1, math.nan, math.inf, "1"])
def test_a_bad_stddev_is_refused(stddev):
    with pytest.raises(ValueError, match=f"Received: stddev={stddev!r}"):
        NoisyGradients(Simple(), stddev)


@pytest.mark.parametrize("probability", [-0.1, 1.0, math.nan, "1"])
def test_a_bad_probability_is_refused(probability):
    message = f"Received: zero_probability={probability!r}"
    with pytest.raises(ValueError, match=message):
        SparseGradients(Simple(), probability)


@pytest.mark.parametrize(
    "name", ["clamped", "rescale", "log", "noisy", "sparse"]
)
@pytest.mark.parametrize("inner", [3, Simple])
def test_an_optimizee_of_another_kind_is_refused(name, inner):
    with pytest.raises(ValueError, match="Received: optimizee=") as caught:
        WRAPPERS[name](inner)
    assert "@Name()" in str(caught.value)
