"""What ends a repetition of fine-tuning, measured where it is known."""

import math

import numpy as np
import pytest
import tensorflow as tf
from support.execution import assert_same_everywhere

from l2o_tf.core import seeds
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.quadratics import Simple
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.fine_tuning import Fall, HalvedLoss
from l2o_tf.unroll.carry import batch_seed, ending_seed, start_episode

PROBLEM = MLP(synthetic_images(), "train", (2,), "sigmoid", batch_size=4)


def carry_of(optimizee, seed=3):
    return start_episode(SGD(0.1), optimizee, seeds.make_seed(seed))


def fall(first, last, windows=2):
    return Fall(tf.constant(windows), tf.constant(first), tf.constant(last))


def test_the_average_is_over_as_many_minibatches_as_said():
    carry = carry_of(PROBLEM)
    losses = [
        PROBLEM.loss(
            carry.params,
            (),
            PROBLEM.sample(seeds.fold_in(ending_seed(carry), k)),
        ).numpy()
        for k in range(3)
    ]
    assert len(set(losses)) == 3
    average = HalvedLoss(average_batches=3).average(PROBLEM, carry)
    np.testing.assert_allclose(average, np.mean(losses), rtol=1e-6)


def test_the_minibatches_stay_the_same_through_a_repetition():
    carry, ending = carry_of(PROBLEM), HalvedLoss(average_batches=3)
    later = carry._replace(step=tf.constant(40))
    assert ending.average(PROBLEM, carry) == ending.average(PROBLEM, later)
    other = carry_of(PROBLEM, seed=4)._replace(params=carry.params)
    assert ending.average(PROBLEM, carry) != ending.average(PROBLEM, other)


def test_they_are_none_of_those_trained_on():
    carry = carry_of(PROBLEM)
    apart = [
        tuple(seeds.fold_in(ending_seed(carry), k).numpy()) for k in range(20)
    ]
    trained = [
        tuple(batch_seed(carry._replace(step=tf.constant(t))).numpy())
        for t in range(20)
    ]
    assert len({*apart, *trained}) == 40


def test_the_measure_is_the_same_eagerly_in_a_graph_and_under_xla():
    ending = HalvedLoss(average_batches=3)
    carry = carry_of(PROBLEM)

    def measured(params):
        here = carry._replace(params=params)
        return ending.observe(
            PROBLEM, here, ending.begin(PROBLEM, carry_of(PROBLEM))
        )

    found = assert_same_everywhere(measured, carry.params + 0.5)
    assert found.windows == 1
    assert found.first != found.last


def test_an_episode_begins_with_the_average_at_its_start():
    first = HalvedLoss().begin(Simple(), carry_of(Simple()))
    assert [x.numpy() for x in first] == [0, 1.0, 1.0]  # f(1) = 1


@pytest.mark.parametrize(
    ("ratio", "first", "last", "verdict"),
    [
        (0.5, 2.0, 2.0, "capped"),
        (0.5, 2.0, 1.0, "capped"),  # below half, not half
        (0.5, 2.0, np.nextafter(np.float32(1), np.float32(0)), "halved"),
        (0.5, 2.0, 3.0, "capped"),
        (0.9, 2.0, 1.7, "halved"),
        (0.5, 2.0, math.nan, "diverged"),
        (0.5, 2.0, math.inf, "diverged"),
        (0.5, 2.0, -math.inf, "diverged"),
        (0.5, math.nan, math.nan, "diverged"),
        (0.5, -1.0, -1.0, "capped"),
        (0.5, 0.0, 0.0, "capped"),
    ],
)
def test_the_verdict_tells_why_the_episode_does_not_go_on(
    ratio, first, last, verdict
):
    ending = HalvedLoss(ratio)
    first, last = float(first), float(last)
    assert ending.verdict(Fall(2, first, last)) == verdict
    goes_on = bool(ending.goes_on(fall(first, last)))
    assert goes_on == (verdict == "capped" and first > 0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 0.0}, r"\(0.0, 1.0\)\. Received: ratio=0.0"),
        ({"ratio": 1.0}, "Received: ratio=1.0"),
        ({"ratio": math.nan}, "Received: ratio=nan"),
        ({"average_batches": 0}, "Received: average_batches=0"),
        ({"otherwise": "hope"}, "'stop', 'go_on'. Received: otherwise='hope'"),
    ],
)
def test_an_argument_out_of_range_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        HalvedLoss(**arguments)
