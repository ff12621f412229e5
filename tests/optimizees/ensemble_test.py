"""The ensemble: order, laziness, the draw of a member, notices and errors."""

import gin
import numpy as np
import pytest

from l2o_tf.core import seeds
from l2o_tf.optimizees.bowls import Bowl
from l2o_tf.optimizees.ensemble import Ensemble, ensemble
from l2o_tf.optimizees.families import DEFAULT_FAMILIES, FAMILIES, member_names
from l2o_tf.optimizees.quadratics import Simple
from l2o_tf.optimizees.wrappers import NoisyGradients


def counted(names, notices=()):
    """Return an ensemble of trivial problems, and what it has built."""
    built = []

    def builder(i):
        def build():
            built.append(names[i])
            problem = Simple()
            problem.notice = notices[i] if notices else None
            return problem

        return build

    pairs = [(name, builder(i)) for i, name in enumerate(names)]
    return Ensemble(pairs), built


def test_a_member_is_built_when_it_is_asked_for_and_kept():
    problems, built = counted(("a", "b", "c"))
    assert (len(problems), problems.names) == (3, ("a", "b", "c"))
    assert built == []
    first = problems.member(1)
    assert problems.member(1) is first
    assert problems.member(0) is not first
    assert built == ["b", "a"]


def test_the_default_has_the_default_families_in_order():
    problems = ensemble()
    assert len(problems) == 101
    assert problems.names == tuple(
        name for f in DEFAULT_FAMILIES for name in member_names(f)
    )
    assert problems.names[0] == "noisy_quadratic/0"
    assert problems.names[-1] == "sparse_gradient/8"


def test_a_members_index_is_that_of_its_name():
    problems = ensemble(("noisy_bowl", "bowl"))
    noisy, bowl = problems.member(2), problems.member(6)
    assert (problems.names[2], problems.names[6]) == ("noisy_bowl/2", "bowl/2")
    assert isinstance(noisy, NoisyGradients)
    assert (noisy.stddev, noisy.optimizee.condition_number) == (0.1, 5.0)
    assert isinstance(bowl, Bowl)
    assert (bowl.condition_number, bowl.angle) == (5.0, 0.0)


def test_members_are_drawn_uniformly_with_replacement():
    problems, built = counted(tuple("abcdefg"))
    drawn = [problems.choose(seeds.make_seed(s)) for s in range(1400)]
    assert all(type(i) is int for i in drawn[:3])
    counts = np.bincount(drawn, minlength=7)
    assert counts.size == 7
    statistic = np.sum((counts - 200.0) ** 2) / 200.0
    assert statistic < 6 + 4.5 * np.sqrt(2 * 6)
    assert built == []


def test_the_seed_decides_the_draw():
    problems = ensemble()
    first, again = (
        [problems.choose(seeds.make_seed(s)) for s in range(20)]
        for _ in range(2)
    )
    assert first == again
    assert len(set(first)) > 10


def test_notices_are_collected_once_each():
    problems, built = counted(
        tuple("abcd"), (None, "NOT FULL.", "NOISE.", "NOT FULL.")
    )
    assert problems.notice == "NOT FULL. NOISE."
    assert built == list("abcd")


def test_members_without_notices_give_none():
    assert counted(("a", "b"))[0].notice is None
    assert ensemble(("bowl",)).notice is None


def test_gin_names_the_families():
    gin.bind_parameter("ensemble.families", ("bowl", "norm"))
    problems = gin.get_configurable("l2o_tf.optimizees.ensemble")()
    assert problems.names == (*member_names("bowl"), *member_names("norm"))


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_split_reaches_the_members(monkeypatch, split):
    asked = []
    monkeypatch.setitem(
        FAMILIES, "bowl", (lambda split: asked.append(split) or Simple(),)
    )
    ensemble(("bowl",), split).member(0)
    assert asked == [split]


def test_an_empty_ensemble_is_refused():
    with pytest.raises(ValueError, match=r"Received: builders=\(\)"):
        Ensemble([])
    with pytest.raises(ValueError, match=r"Received: builders=\(\)"):
        ensemble(())


def test_a_name_that_comes_twice_is_refused():
    with pytest.raises(ValueError, match="Received twice: a."):
        Ensemble([("a", Simple), ("b", Simple), ("a", Simple)])
    with pytest.raises(ValueError, match="Received twice: norm/0, norm/1"):
        ensemble(("norm", "bowl", "norm"))


@pytest.mark.parametrize("index", [-1, 2, 1.0, True])
def test_an_index_that_does_not_exist_is_refused(index):
    with pytest.raises(ValueError, match=f"Received: index={index}"):
        counted(("a", "b"))[0].member(index)


def test_a_builder_of_something_else_is_refused():
    with pytest.raises(ValueError, match="Received: a=<class"):
        Ensemble([("a", lambda: Simple)]).member(0)


def test_an_unknown_family_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Received: family='rescaled'") as e:
        ensemble(("bowl", "rescaled"))
    assert "Did you mean 'rescale'?" in str(e.value)


def test_a_single_word_for_the_families_is_refused():
    with pytest.raises(ValueError, match="Received: families='bowl'"):
        ensemble("bowl")


def test_a_problem_is_kept_for_five_episodes_by_default():
    assert ensemble(("bowl",)).episodes_per_problem == 5
    assert Ensemble([("a", Simple)]).episodes_per_problem == 5
    given = ensemble(("bowl",), episodes_per_problem=2)
    assert given.episodes_per_problem == 2


@pytest.mark.parametrize("value", [0, 1.5])
def test_a_bad_number_of_episodes_is_refused(value):
    with pytest.raises(
        ValueError, match=f"Received: episodes_per_problem={value}"
    ):
        ensemble(("bowl",), episodes_per_problem=value)
