"""Sums of problems: each member as if it were alone, and what is joined."""

import gin
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o_tf.core import seeds
from l2o_tf.core.layout import Layout
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.combination import Sum
from l2o_tf.optimizees.convex import ConvexQuadratic
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.techniques.random_scaling import RandomScaling

SEED, DRAW = seeds.make_seed(3), seeds.make_seed(4)


def mlp(split="train"):
    data = synthetic_images(height=2, width=2)
    return MLP(data, split, (2,), batch_size=4, init_stddev=0.5)


class Noticed(Optimizee):
    """A number, with a notice."""

    layout = Layout(("x",), ((),))

    def __init__(self, notice, split=""):
        self.notice = notice
        self.split = split

    def reset(self, seed):
        return tf.zeros([1]), ()

    def sample(self, seed):
        return ()

    def loss(self, params, constants, batch):
        return tf.reduce_sum(params)


MEMBERS = {
    "mlp": mlp(),
    "quadratic": Quadratic(2, 3),
    "convex": ConvexQuadratic(4),
    "simple": Simple(),
    "scaled": RandomScaling(ConvexQuadratic(3), 1.0),
    "sum": Sum([ConvexQuadratic(2), Simple()]),
}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(sorted(MEMBERS)), min_size=1, max_size=4))
def test_every_member_is_as_if_alone(names):
    members = [MEMBERS[name] for name in names]
    problem = Sum(members)
    x, constants = problem.reset(SEED)
    batch = problem.sample(DRAW)
    loss, gradient = problem.loss_and_gradient(x, constants, batch)
    starts, losses, gradients = [], [], []
    for i, member in enumerate(members):
        start, own = member.reset(seeds.fold_in(SEED, i))
        drawn = member.sample(seeds.fold_in(DRAW, i))
        tf.nest.map_structure(
            np.testing.assert_array_equal,
            (own, drawn),
            (constants[i], batch[i]),
        )
        alone, slope = member.loss_and_gradient(start, own, drawn)
        starts.append(start)
        losses.append(alone)
        gradients.append(slope)
    assert problem.layout.size == sum(m.layout.size for m in members)
    np.testing.assert_array_equal(x, np.concatenate(starts))
    np.testing.assert_allclose(loss, np.sum(losses), rtol=1e-6)
    np.testing.assert_allclose(gradient, np.concatenate(gradients), rtol=1e-6)


class WithObjective(Noticed):
    """A number whose batches are the seeds that drew them."""

    def sample(self, seed):
        return {"minibatch": seed}

    def sample_objective(self, seed):
        return {"whole": seed}


def test_the_objectives_batch_is_every_members_own():
    problem = Sum([WithObjective(None), Simple(), WithObjective(None)])
    first, none, last = problem.sample_objective(DRAW)
    assert none == ()
    for i, batch in ((0, first), (2, last)):
        assert batch.keys() == {"whole"}
        np.testing.assert_array_equal(batch["whole"], seeds.fold_in(DRAW, i))
    assert [b and b.keys() for b in problem.sample(DRAW)] == [
        {"minibatch"},
        (),
        {"minibatch"},
    ]


def test_names_are_prefixed_by_the_members_place():
    problem = Sum([mlp(), ConvexQuadratic(4), ConvexQuadratic(5)])
    assert problem.layout.names == (
        "0/mlp/linear_0/w",
        "0/mlp/linear_0/b",
        "0/mlp/linear_1/w",
        "0/mlp/linear_1/b",
        "1/z",
        "2/z",
    )
    assert problem.layout.shapes[:1] == ((4, 2),)
    assert problem.layout.shapes[4:] == ((4,), (5,))


def test_equal_members_are_two_independent_problems():
    problem = Sum([ConvexQuadratic(4, 1.0), ConvexQuadratic(4, 1.0)])
    x, (first, second) = problem.reset(SEED)
    assert (x[:4] != x[4:]).numpy().all()
    assert (first != second).numpy().all()


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_split_is_that_of_the_members_with_data(split):
    assert Sum([Simple(), mlp(split), mlp(split)]).split == split
    assert Sum([Simple(), Quadratic(1, 1)]).split == ""


def test_two_splits_are_refused():
    with pytest.raises(
        ValueError, match="one data split. Received: "
    ) as caught:
        Sum([mlp("train"), Simple(), mlp("test")])
    assert "splits=['test', 'train']" in str(caught.value)


def test_different_notices_are_joined_and_equal_ones_said_once():
    first, second, none = Noticed("Few."), Noticed("Synthetic."), Simple()
    assert Sum([none, first]).notice == "Few."
    assert Sum([first, none, second, first]).notice == "Few. Synthetic."
    assert Sum([none, none]).notice is None


@pytest.mark.parametrize("members", [(), []])
def test_a_sum_of_nothing_is_refused(members):
    with pytest.raises(ValueError, match=r"Received: optimizees=\(\)"):
        Sum(members)


def test_gin_builds_a_problem_with_a_convex_term_scaled_apart():
    gin.parse_config(
        """
        Sum.optimizees = [@main/RandomScaling(), @convex/RandomScaling()]
        main/RandomScaling.optimizee = @Quadratic()
        Quadratic.batch_size = 2
        convex/RandomScaling.optimizee = @ConvexQuadratic()
        convex/RandomScaling.log_scale_bound = 1.0
        """
    )
    problem = gin.get_configurable("l2o_tf.optimizees.Sum")()
    bounds = [member.log_scale_bound for member in problem.optimizees]
    assert bounds == [3.0, 1.0]
    assert problem.layout.names == ("0/x", "1/z")
    assert problem.layout.size == 20 + 20


@pytest.mark.parametrize("member", [3, ConvexQuadratic])
def test_a_member_of_another_kind_is_refused(member):
    with pytest.raises(ValueError, match="Received: optimizees=") as caught:
        Sum([Simple(), member])
    assert "@Name()" in str(caught.value)
