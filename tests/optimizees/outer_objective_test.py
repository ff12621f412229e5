"""An objective on another split: its mean, its images, what is left alone."""

import functools

import gin
import numpy as np
import pytest
import tensorflow as tf
from support.execution import assert_same_everywhere

from l2o_tf.core import seeds
from l2o_tf.datasets.base import SPLITS, ImageDataset, make_split
from l2o_tf.optimizees.combination import Sum
from l2o_tf.optimizees.gaussian_quadratics import GaussianQuadratic
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.outer_objective import OuterObjective
from l2o_tf.optimizees.quadratics import Simple
from l2o_tf.optimizees.sampled_classes import SampledClasses
from l2o_tf.optimizees.wrappers import Clamped, NoisyGradients
from l2o_tf.techniques.random_scaling import RandomScaling

SEED, DRAW = seeds.make_seed(3), seeds.make_seed(4)


def numbered():
    """Return four splits whose images tell split and number."""
    numbers = np.arange(40, dtype=np.uint8).reshape(-1, 1, 1, 1)
    splits = {
        name: make_split(
            np.tile(numbers + 50 * i, [1, 2, 2, 1]), numbers.ravel() % 4
        )
        for i, name in enumerate(SPLITS)
    }
    return ImageDataset("numbered", splits, 4)


DATA = numbered()


def mlp(split="train", **more):
    arguments = {"hidden": (3,), "batch_size": 5, "init_stddev": 0.5, **more}
    return MLP(DATA, split, **arguments)


def pair(batches=3, objective=None):
    return OuterObjective(mlp(), objective or mlp("inner_valid"), batches)


def numbers_of(images):
    return set(np.round(255.0 * images.numpy()[:, 0, 0, 0]).astype(int))


def test_the_objective_is_the_mean_over_its_batches():
    problem, inner = pair(), mlp("inner_valid")
    x, constants = problem.reset(SEED)
    drawn = problem.sample_objective(DRAW)
    batches = [inner.sample(seeds.fold_in(DRAW, i)) for i in range(3)]
    tf.nest.map_structure(
        np.testing.assert_array_equal, drawn.batches, tuple(batches)
    )
    expected = np.mean([inner.loss(x, (), b).numpy() for b in batches])
    for loss in (
        problem.loss(x, constants, drawn),
        problem.value_and_gradient(x, constants, drawn)[0],
        problem.loss_and_gradient(x, constants, drawn)[0],
    ):
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
    # Five images each: the mean over all fifteen.
    images, labels = (
        tf.concat(parts, 0) for parts in zip(*batches, strict=True)
    )
    np.testing.assert_allclose(
        expected, inner.loss(x, (), (images, labels)), rtol=1e-6
    )


def test_the_slope_is_the_means():
    problem, inner = pair(), mlp("inner_valid")
    x, _ = problem.reset(SEED)
    drawn = problem.sample_objective(DRAW)
    slopes = [inner.value_and_gradient(x, (), b)[1] for b in drawn.batches]
    expected = np.mean(slopes, axis=0)
    assert np.abs(expected).max() > 0.0
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = problem.loss(x, (), drawn)
    for slope in (
        tape.gradient(loss, x),
        problem.value_and_gradient(x, (), drawn)[1],
        problem.loss_and_gradient(x, (), drawn)[1],
    ):
        np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-8)


def test_an_objectives_images_are_never_train_images():
    problem = pair()
    train, valid = set(range(40)), set(range(50, 90))
    shown, measured = set(), set()
    for s in range(40):
        seed = seeds.make_seed(s)
        shown |= numbers_of(problem.sample(seed)[0])
        for images, _ in problem.sample_objective(seed).batches:
            measured |= numbers_of(images)
    assert shown == train
    assert measured == valid


def test_minibatches_and_starts_are_the_problems_own():
    problem, own = pair(), mlp()
    x, constants = problem.reset(SEED)
    np.testing.assert_array_equal(x, own.reset(SEED)[0])
    assert constants == ()
    batch = problem.sample(DRAW)
    tf.nest.map_structure(
        np.testing.assert_array_equal, batch, own.sample(DRAW)
    )
    for method in ("loss_and_gradient", "value_and_gradient"):
        for a, b in zip(
            getattr(problem, method)(x, (), batch),
            getattr(own, method)(x, (), batch),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        problem.loss(x, (), batch), own.loss(x, (), batch)
    )


def test_five_batches_are_the_default():
    problem = OuterObjective(mlp(), mlp("test"))
    assert len(problem.sample_objective(DRAW).batches) == 5


def test_the_objective_may_be_a_large_part_of_its_split():
    problem = pair(1, mlp("meta_valid", objective_size=40))
    ((images, _),) = problem.sample_objective(DRAW).batches
    assert numbers_of(images) == set(range(100, 140))


def test_each_batch_is_clamped_by_itself():
    maximum = 1.4
    problem = OuterObjective(
        Clamped(mlp(), maximum), Clamped(mlp("inner_valid"), maximum), 8
    )
    x, _ = problem.reset(SEED)
    x = 3.0 * x
    drawn = problem.sample_objective(DRAW)
    inner = mlp("inner_valid")
    losses, slopes = zip(
        *[inner.value_and_gradient(x, (), b) for b in drawn.batches],
        strict=True,
    )
    below = np.array(losses) <= maximum
    assert 0 < below.sum() < 8
    np.testing.assert_allclose(
        problem.loss(x, (), drawn),
        np.minimum(losses, maximum).mean(),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        problem.value_and_gradient(x, (), drawn)[1],
        (np.array(slopes) * below[:, None]).mean(axis=0),
        rtol=1e-5,
        atol=1e-8,
    )


def sampled(split, classes="outer_train", **more):
    return SampledClasses(
        DATA,
        split,
        functools.partial(MLP, hidden=(2,), batch_size=6),
        classes,
        classes_per_problem=2,
        outer_train_fraction=0.5,
        **more,
    )


def test_the_objective_has_the_classes_of_the_problem():
    problem = OuterObjective(sampled("train"), sampled("inner_valid"))
    _, classes = problem.reset(SEED)
    objective = problem.objective
    for batch in problem.sample_objective(DRAW).batches:
        images, labels = objective.images(classes, batch)
        numbers = np.round(255.0 * images.numpy()[:, 0, 0, 0]).astype(int)
        assert numbers.min() >= 50
        np.testing.assert_array_equal(
            (numbers - 50) % 4, np.take(classes, labels)
        )


def test_what_is_shown_may_be_noisy_and_the_objective_is_not():
    noisy = NoisyGradients(mlp(), 5.0)
    problem = OuterObjective(noisy, mlp("inner_valid"))
    assert not problem.exact_gradients
    x, _ = problem.reset(SEED)
    batch = problem.sample(DRAW)
    _, shown = problem.loss_and_gradient(x, (), batch)
    np.testing.assert_array_equal(
        shown, noisy.loss_and_gradient(x, (), batch)[1]
    )
    _, exact = problem.value_and_gradient(x, (), batch)
    assert (shown != exact).numpy().all()
    drawn = problem.sample_objective(DRAW)
    np.testing.assert_array_equal(
        problem.loss_and_gradient(x, (), drawn)[1],
        problem.value_and_gradient(x, (), drawn)[1],
    )


def test_a_pair_can_be_wrapped_and_summed():
    problem = RandomScaling(Sum([pair(2), GaussianQuadratic(4)]), 1.0)
    x, constants = problem.reset(SEED)
    for draw in (problem.sample, problem.sample_objective):
        batch = draw(DRAW)
        expected = pair(2).loss(
            (x * constants[1])[: pair().layout.size], (), batch[0]
        ) + GaussianQuadratic(4).loss(
            (x * constants[1])[pair().layout.size :], constants[0][1], ()
        )
        np.testing.assert_allclose(
            problem.loss(x, constants, batch), expected, rtol=1e-5
        )


def test_a_pair_agrees_everywhere():
    problem = pair(2)

    def measured(start, draw):
        x, constants = problem.reset(start)
        drawn = problem.sample_objective(draw)
        return problem.value_and_gradient(x, constants, drawn)

    assert_same_everywhere(measured, SEED, DRAW, rtol=1e-4, atol=1e-5)


def test_split_is_the_problems_and_notices_are_joined():
    noticed = ImageDataset("part", DATA.splits, 4, notice="NOT ALL.")
    other = MLP(noticed, "test", (3,), batch_size=5)
    problem = OuterObjective(mlp(), other)
    assert (problem.split, problem.notice) == ("train", "NOT ALL.")
    assert not problem.convolves
    assert OuterObjective(other, other).notice == "NOT ALL."


def test_gin_pairs_two_splits():
    gin.parse_config(
        """
        OuterObjective.optimizee = @train/MLP()
        OuterObjective.objective = @valid/MLP()
        OuterObjective.batches = 2
        MLP.dataset = @synthetic_images()
        MLP.hidden = (2,)
        train/MLP.split = 'train'
        valid/MLP.split = 'inner_valid'
        """
    )
    problem = gin.get_configurable("l2o_tf.optimizees.OuterObjective")()
    assert problem.optimizee.split == "train"
    assert problem.objective.split == "inner_valid"
    assert problem.batches == 2


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ((Simple, mlp()), "optimizee=<class"),
        ((mlp(), "inner_valid"), "objective='inner_valid'"),
        ((mlp(), mlp(), 0), "batches=0"),
        ((mlp(), mlp(), 2.0), "batches=2.0"),
        ((mlp(), mlp(hidden=(4,))), "objective.layout="),
        (
            (sampled("train"), sampled("train", "outer_test")),
            "two that differ for the seed 0, objective=SampledClasses",
        ),
        (
            (sampled("train", num_logits=4), mlp(hidden=(2,))),
            "two that differ for the seed 0, objective=MLP",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        OuterObjective(*arguments)
