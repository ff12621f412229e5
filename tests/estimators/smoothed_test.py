"""Gradients of smoothed losses against quadrature and algebra.

With gradient descent of rate eta on a quadratic, the loss after t steps is a
polynomial in eta, so that Gauss-Hermite quadrature gives the smoothed loss, and
its derivative, exactly.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf
from support.closed_form import DiagonalQuadratic, NoisyQuadratic
from support.execution import assert_same_everywhere, count_traces
from support.toy_cells import LearnedStart

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.pairs import Pair, PopulationReport
from l2o_tf.estimators.smoothed import (
    EvolutionStrategies,
    MergedGradient,
    PersistentEvolutionStrategies,
    Reparameterization,
)
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.unroll.meta_losses import MeanAfterUpdates

SEED = seeds.make_seed(2)
ETA, SIGMA = 0.3, 0.2
QUADRATIC = DiagonalQuadratic([0.5, 1.0, 2.0], [1.0, -2.0, 0.7])
NOISY = NoisyQuadratic([0.5, 1.0, 2.0], [1.0, -2.0, 0.7])
CONTEXT = EpisodeContext(tf.constant(0), ())
ALL = [
    EvolutionStrategies,
    PersistentEvolutionStrategies,
    Reparameterization,
    MergedGradient,
]


def pair_of(carry, i):
    return tf.nest.map_structure(lambda leaf: leaf[i], carry)


each_estimator = pytest.mark.parametrize("kind", ALL)


def exact_window(length):
    return TruncatedBackpropagation(
        length, MeanAfterUpdates(), second_derivatives=True
    )


def sgd():
    return LearnableSGD(ETA, dtype="float64")


def mean_loss(eta, steps):
    """The mean of f(x_t) over the steps t, and its derivative."""
    h, x0 = QUADRATIC.h, QUADRATIC.x0
    losses = [0.5 * np.sum(h * ((1 - eta * h) ** t * x0) ** 2) for t in steps]
    slopes = [
        np.sum(-t * h**2 * (1 - eta * h) ** (2 * t - 1) * x0**2) for t in steps
    ]
    return np.mean(losses), np.mean(slopes)


def smoothed_slope(steps):
    """d/d eta of the loss averaged over eta + sigma n, by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    slopes = [mean_loss(ETA + SIGMA * n, steps)[1] for n in nodes]
    return np.dot(weights, slopes) / np.sqrt(2 * np.pi)


def begin(estimator, cell, problem, seed=SEED):
    return estimator.start(cell, problem, seed, CONTEXT)


@functools.cache
def many_samples(kind, num_pairs, length, windows):
    """Return score and pathwise `[windows, pairs]` of frozen weights."""
    cell = sgd()
    estimator = kind(exact_window(length), 2 * num_pairs, SIGMA)
    weights = cell.meta_params()

    def one(pair):
        kept = []
        for _ in range(windows):
            sample, pair = estimator.sample(cell, QUADRATIC, weights, pair)
            kept.append([sample.score, sample.pathwise])
        return [
            () if isinstance(parts[0], tuple) else tf.concat(parts, 0)
            for parts in zip(*kept, strict=True)
        ]

    # A population's pairs differ by their seeds alone here.
    first = kind(exact_window(length), 4, SIGMA)
    pair = tf.nest.map_structure(lambda t: t[0], begin(first, cell, QUADRATIC))
    numbers = tf.range(num_pairs)

    def run(numbers):
        return tf.map_fn(
            lambda i: one(pair._replace(seed=seeds.fold_in(SEED, i))),
            numbers,
            fn_output_signature=[
                tf.TensorSpec([windows], tf.float64) if asked else ()
                for asked in (estimator._asks_score, estimator._asks_pathwise)
            ],
        )

    return tf.nest.map_structure(
        lambda t: t.numpy(), compiled(run, jit_compile=True)(numbers)
    )


def within(samples, expected, errors=4.0):
    """How far the mean lies from what is expected, in standard errors."""
    error = samples.std(ddof=1) / np.sqrt(len(samples))
    return abs(samples.mean() - expected) / error < errors


@each_estimator
def test_a_sample_is_what_the_two_perturbed_rates_give(kind):
    cell, length = sgd(), 4
    estimator = kind(exact_window(length), 4, SIGMA)
    carry = begin(estimator, cell, QUADRATIC)
    for i in range(2):
        pair = pair_of(carry, i)
        noise = seeds.fold_in(seeds.fold_in(pair.seed, 0), 0)
        e = float(seeds.normal(noise, [1], SIGMA)[0])
        plus, minus = (
            mean_loss(eta, range(1, length + 1)) for eta in (ETA + e, ETA - e)
        )
        sample, after = estimator.sample(
            cell, QUADRATIC, cell.meta_params(), pair
        )
        if kind is not Reparameterization:
            score = (plus[0] - minus[0]) * e / (2 * SIGMA**2)
            np.testing.assert_allclose(sample.score, [score], rtol=1e-9)
        if kind in (Reparameterization, MergedGradient):
            np.testing.assert_allclose(
                sample.pathwise, [(plus[1] + minus[1]) / 2], rtol=1e-9
            )
        np.testing.assert_allclose(
            sample.loss, (plus[0] + minus[0]) / 2, rtol=1e-9
        )
        np.testing.assert_allclose(
            after.positive.params, QUADRATIC.at(ETA + e, length), rtol=1e-9
        )
        assert (after.window, after.positive.step) == (1, length)


def test_both_estimates_are_without_bias_for_the_smoothed_loss():
    score, pathwise = many_samples(MergedGradient, 1_000, 4, 1)
    expected = smoothed_slope(range(1, 5))
    assert within(score[:, 0], expected)
    assert within(pathwise[:, 0], expected)
    # Smoothing matters here: the plain derivative is another number.
    assert not within(pathwise[:, 0], mean_loss(ETA, range(1, 5))[1], 8.0)


def test_short_windows_bias_es_and_not_pes():
    """Windows of one step: their estimates summed over an episode of five."""
    expected = 5 * smoothed_of_independent_windows()
    score, _ = many_samples(PersistentEvolutionStrategies, 2_000, 1, 5)
    assert within(score.sum(1), expected)
    score, _ = many_samples(EvolutionStrategies, 2_000, 1, 5)
    assert not within(score.sum(1), expected, 8.0)


def smoothed_of_independent_windows():
    """d/d eta E[mean of f(x_1) .. f(x_5)], a new perturbation every step.

    E[(1 - (eta + sigma n) h)^2] = (1 - eta h)^2 + sigma^2 h^2 = m
    E[f(x_t)] = 1/2 sum_i h m^t x0^2
    """
    h, x0 = QUADRATIC.h, QUADRATIC.x0
    m = (1 - ETA * h) ** 2 + SIGMA**2 * h**2
    slope = -2 * h * (1 - ETA * h)
    return np.mean(
        [
            np.sum(0.5 * h * x0**2 * t * m ** (t - 1) * slope)
            for t in range(1, 6)
        ]
    )


@each_estimator
def test_a_population_is_its_pairs_side_by_side(kind):
    cell = LearnedStart(dtype="float64")
    estimator = kind(exact_window(3), 6, SIGMA)
    weights = cell.meta_params()
    carry = begin(estimator, cell, NOISY)
    pairs = [pair_of(carry, i) for i in range(3)]
    for _ in range(2):
        estimate, carry = estimator.estimate(cell, NOISY, weights, carry)
        told = [estimator.sample(cell, NOISY, weights, p) for p in pairs]
        pairs = [pair for _, pair in told]
        samples = tf.nest.map_structure(
            lambda *parts: tf.stack(parts), *(sample for sample, _ in told)
        )
        alone = estimator.combine(samples)
        stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *pairs)
        for a, b in zip(
            tf.nest.flatten((estimate, carry)),
            tf.nest.flatten((alone, stacked)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    if kind is EvolutionStrategies:
        np.testing.assert_allclose(
            estimate.meta_gradient, np.mean(samples.score, 0), rtol=1e-12
        )
    if kind is Reparameterization:
        np.testing.assert_allclose(
            estimate.meta_gradient, np.mean(samples.pathwise, 0), rtol=1e-12
        )
    if kind is MergedGradient:
        v_s, v_p = (
            np.var(x, 0, ddof=1) + 1e-8
            for x in (samples.score, samples.pathwise)
        )
        mean = np.mean(samples.score, 0) / v_s
        mean = (mean + np.mean(samples.pathwise, 0) / v_p) / (1 / v_s + 1 / v_p)
        np.testing.assert_allclose(estimate.meta_gradient, mean, rtol=1e-9)


def test_both_particles_see_the_same_minibatches():
    """At equal weights (a tiny sigma) both losses are equal on noisy data."""
    cell = sgd()
    estimator = EvolutionStrategies(exact_window(5), 2, 1e-12)
    carry = begin(estimator, cell, NOISY)
    estimate, _ = estimator.estimate(cell, NOISY, cell.meta_params(), carry)
    # (L+ - L-) / (2 sigma) is a derivative, not the noise over 2 sigma.
    assert np.abs(estimate.meta_gradient).max() < 1e3


def test_a_learned_first_state_is_perturbed_too():
    cell = LearnedStart(dtype="float64")
    estimator = MergedGradient(exact_window(2), 4, 1e-5)
    weights = cell.meta_params()
    carry = begin(estimator, cell, NOISY)
    pair = pair_of(carry, 0)
    sample, _ = estimator.sample(cell, NOISY, weights, pair)
    noise = seeds.normal(
        seeds.fold_in(seeds.fold_in(pair.seed, 0), 0), [3], 1e-5
    ).numpy()
    # To first order the score is the projection of the gradient on the noise.
    projected = noise * np.dot(noise, sample.pathwise) / 1e-10
    np.testing.assert_allclose(sample.score, projected, rtol=1e-4)
    assert abs(sample.pathwise[2]) > 1e-2  # that of the first state


def test_a_population_that_goes_on_is_the_same_everywhere_and_traced_once():
    cell = LearnableSGD(ETA)
    problem = NoisyQuadratic([0.5, 1.0], [1.0, -2.0], "float32")
    window = TruncatedBackpropagation(3, MeanAfterUpdates())
    estimator = PersistentEvolutionStrategies(window, 4, SIGMA, 5)
    carry = begin(estimator, cell, problem)
    weights = cell.meta_params()

    def run(weights, carry, length):
        for _ in range(2):  # beyond the end of an episode
            result, carry = estimator.estimate(
                cell, problem, weights, carry, length
            )
        return result._replace(details=()), carry

    assert_same_everywhere(
        run, weights, carry, np.int32(3), rtol=2e-5, atol=1e-5
    )
    calls = [(weights, carry, tf.constant(n)) for n in (3, 2)]
    assert count_traces(run, *calls) == 1


# A population that goes on


def test_pairs_start_anew_by_themselves_and_not_all_at_once():
    cell, horizon = sgd(), 10
    estimator = EvolutionStrategies(exact_window(4), 6, SIGMA, horizon)
    carry = begin(estimator, cell, NOISY)
    assert estimator.continues
    np.testing.assert_array_equal(carry.limit, [4, 7, 10])
    weights, steps = cell.meta_params(), []
    for _ in range(6):
        _, carry = estimator.estimate(cell, NOISY, weights, carry)
        steps.append(carry.positive.step.numpy().tolist())
    assert steps == [
        [4, 4, 4],
        [4, 7, 8],  # the first began anew; the second was cut at its end
        [8, 4, 10],
        [10, 8, 4],
        [4, 10, 8],
        [8, 4, 10],
    ]
    np.testing.assert_array_equal(carry.limit, [horizon] * 3)


def test_every_episode_of_a_pair_has_a_seed_of_its_own():
    cell = sgd()
    estimator = PersistentEvolutionStrategies(exact_window(2), 2, SIGMA, 2)
    carry, episodes = begin(estimator, cell, NOISY), set()
    for window in range(4):
        _, carry = estimator.estimate(cell, NOISY, cell.meta_params(), carry)
        episodes.add(tuple(carry.positive.seed[0].numpy()))
        assert carry.window.numpy() == [window + 1]
        noise = seeds.fold_in(seeds.fold_in(carry.seed[0], 0), window)
        np.testing.assert_allclose(  # a new history in every episode
            carry.history[0], seeds.normal(noise, [1], SIGMA), rtol=1e-6
        )
    assert len(episodes) == 4


def test_an_episode_begins_with_the_population_that_it_is_given():
    cell = sgd()
    estimator = EvolutionStrategies(exact_window(2), 4, SIGMA, 6)
    carry = begin(estimator, cell, NOISY)
    _, carry = estimator.estimate(cell, NOISY, cell.meta_params(), carry)
    context = EpisodeContext(tf.constant(1), (), carry)
    again = estimator.start(cell, NOISY, seeds.make_seed(9), context)
    assert again is carry
    # Without a horizon pairs live in the trainer's episodes.
    inside = EvolutionStrategies(exact_window(2), 4, SIGMA)
    other = inside.start(cell, NOISY, seeds.make_seed(9), context)
    np.testing.assert_array_equal(other.positive.step, [0, 0])
    assert not inside.continues


class Cliff(DiagonalQuadratic):
    """Not a number left of x = 0.7."""

    def loss(self, params, constants, batch):
        inside = tf.reduce_all(params > 0.7)
        nothing = tf.constant([0.0, np.nan], params.dtype)
        loss = super().loss(params, constants, batch)
        return loss + tf.where(inside, nothing[0], nothing[1])


@pytest.mark.parametrize(
    "kind", [PersistentEvolutionStrategies, MergedGradient]
)
def test_a_pair_that_is_no_number_is_left_out_counted_and_started_anew(kind):
    cell = sgd()
    problem = Cliff([1.0], [1.0])
    estimator = kind(exact_window(1), 16, SIGMA, 5)
    weights = tf.constant([0.1], tf.float64)
    carry = begin(estimator, cell, problem)
    told = [
        estimator.sample(
            cell,
            problem,
            weights,
            pair_of(carry, i),
        )[0]
        for i in range(8)
    ]
    alive = np.array([np.isfinite(sample.loss) for sample in told])
    assert 2 <= alive.sum() < 8
    estimate, carry = estimator.estimate(cell, problem, weights, carry)
    assert estimate.details.dropped == (~alive).sum()
    assert np.isfinite(estimate.meta_gradient).all()
    losses = [sample.loss for sample, a in zip(told, alive, strict=True) if a]
    np.testing.assert_allclose(estimate.meta_loss, np.mean(losses), rtol=1e-9)
    np.testing.assert_array_equal(carry.limit.numpy() > 0, alive)
    _, carry = estimator.estimate(cell, problem, weights, carry)
    np.testing.assert_array_equal(
        carry.positive.step.numpy()[~alive], np.ones((~alive).sum())
    )


def test_a_pathwise_estimate_that_is_no_number_leaves_the_score():
    class Kink(DiagonalQuadratic):
        """f(x) = |x|^(1/2): an infinite slope at 0, where it starts."""

        def loss(self, params, constants, batch):
            return tf.reduce_sum(tf.sqrt(tf.abs(params)))

        def loss_and_gradient(self, params, constants, batch):
            loss = self.loss(params, constants, batch)
            return loss, tf.ones_like(params) * 1e300

    cell, problem = sgd(), Kink([1.0], [1.0])
    window = TruncatedBackpropagation(2, MeanAfterUpdates(), backward="tape")
    estimator = MergedGradient(window, 8, SIGMA)
    carry = begin(estimator, cell, problem)
    pairs = [pair_of(carry, i) for i in range(4)]
    weights = cell.meta_params()
    samples = [estimator.sample(cell, problem, weights, p)[0] for p in pairs]
    scores = np.stack([sample.score for sample in samples])
    assert np.isfinite(scores).all()
    broken = [
        sample._replace(pathwise=sample.pathwise * np.nan) for sample in samples
    ]
    stacked = tf.nest.map_structure(lambda *p: tf.stack(p), *broken)
    estimate = estimator.combine(stacked)
    np.testing.assert_allclose(estimate.meta_gradient, scores.mean(0))
    assert np.isinf(estimate.details.pathwise_variance)


def test_reports_say_how_far_the_pairs_are_apart():
    cell = sgd()
    estimator = MergedGradient(exact_window(3), 8, SIGMA)
    carry = begin(estimator, cell, NOISY)
    pairs = [pair_of(carry, i) for i in range(4)]
    weights = cell.meta_params()
    samples = [estimator.sample(cell, NOISY, weights, p)[0] for p in pairs]
    estimate, _ = estimator.estimate(cell, NOISY, weights, carry)
    for name in ("score", "pathwise"):
        values = np.stack([getattr(sample, name) for sample in samples])
        np.testing.assert_allclose(
            getattr(estimate.details, f"{name}_variance"),
            np.log10(values.var(0, ddof=1).mean()),
            rtol=1e-5,
        )
    alone = EvolutionStrategies(exact_window(3), 8, SIGMA)
    estimate, _ = alone.estimate(
        cell, NOISY, weights, begin(alone, cell, NOISY)
    )
    assert np.isnan(estimate.details.pathwise_variance)
    assert isinstance(alone.no_details(), PopulationReport)
    assert isinstance(carry, Pair)


# Bad input


@each_estimator
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma": 0.0}, "Received: sigma=0.0"),
        ({"sigma": -0.1}, "Received: sigma=-0.1"),
        ({"num_particles": 5}, "Received: num_particles=5. Use 6"),
        ({"num_particles": 0}, "Received: num_particles=0"),
        ({"horizon": 2}, "Received: unroll_length=3, horizon=2"),
        ({"horizon": 0}, "Received: horizon=0"),
        ({"window": 3}, "Received: window=3"),
    ],
)
def test_arguments_out_of_range_are_refused(kind, changes, message):
    arguments = {"window": exact_window(3), "num_particles": 4, **changes}
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


def test_one_pair_has_no_variance():
    with pytest.raises(ValueError, match="Received: num_particles=2. Use 4"):
        MergedGradient(exact_window(3), 2)
    with pytest.raises(ValueError, match="Received: variance_floor=-1"):
        MergedGradient(exact_window(3), variance_floor=-1.0)


def test_a_window_with_a_memory_is_refused():
    window = TruncatedBackpropagation(3, keep_memory=True)
    with pytest.raises(ValueError, match="keep_memory=True"):
        EvolutionStrategies(window)
