"""Grids and random draws: which cells, in which order, under which names."""

import functools
import math

import gin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o_tf import config
from l2o_tf.evaluation.candidates import LearningRateGrid, RandomSearch
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.decayed_adam import DecayedAdam
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.sgd import SGD

RANGES = {
    "learning_rate": (1e-8, 10.0),
    "one_minus_beta_1": (1e-4, 1.0),
    "epsilon": (1e-10, 1e3),
}


def build(text, selector):
    gin.parse_config(text, skip_unknown=False)
    return gin.get_configurable(selector)()


def test_a_grid_goes_up_and_names_each_rate():
    grid = LearningRateGrid(SGD, (0.1, 10.0, 0.003, 1, 1e-5))
    names, cells = zip(*grid.candidates("sgd"), strict=True)
    assert names == ("sgd_1e-05", "sgd_0.003", "sgd_0.1", "sgd_1", "sgd_10")
    assert all(type(cell) is SGD for cell in cells)
    rates = [cell.learning_rate for cell in cells]
    assert rates == [1e-5, 0.003, 0.1, 1.0, 10.0]
    assert grid.learning_rates == tuple(rates)
    assert grid.ordered


def test_a_grid_gives_the_same_cells_every_time():
    grid = LearningRateGrid(SGD, (0.1, 1.0))
    for one, other in zip(
        grid.candidates("a"), grid.candidates("b"), strict=True
    ):
        assert one.cell is other.cell
        assert one.name.removeprefix("a_") == other.name.removeprefix("b_")


def test_a_function_makes_cells_as_well_as_a_class():
    grid = LearningRateGrid(
        functools.partial(Momentum, momentum=0.5), (0.1, 0.2)
    )
    assert [c.cell.momentum for c in grid.candidates("m")] == [0.5, 0.5]


def test_gin_hands_a_class_over_without_parentheses():
    grid = build(
        "LearningRateGrid.cell = @Adam\n"
        "LearningRateGrid.learning_rates = (0.5, 0.25)\n"
        "Adam.beta_1 = 0.125\n",
        "LearningRateGrid",
    )
    for rate, candidate in zip((0.25, 0.5), grid.candidates("x"), strict=True):
        assert type(candidate.cell) is Adam
        assert candidate.cell.learning_rate == rate
        assert candidate.cell.beta_1 == 0.125
        assert candidate.cell.get_config()["beta_1"] == 0.125
    config.check_all_used()


def test_a_scoped_class_takes_its_scopes_bindings():
    grid = build(
        "slow/LearningRateGrid.cell = @momentum/Momentum\n"
        "slow/LearningRateGrid.learning_rates = (0.5,)\n"
        "momentum/Momentum.momentum = 0.75\n",
        "slow/LearningRateGrid",
    )
    ((name, cell),) = grid.candidates("momentum")
    assert name == "momentum_0.5"
    assert type(cell) is Momentum
    assert cell.momentum == 0.75
    config.check_all_used()


@pytest.mark.parametrize("rates", [(), [], 0.1, "0.1", None])
def test_a_grid_needs_learning_rates(rates):
    with pytest.raises(ValueError, match="at least one number") as caught:
        LearningRateGrid(SGD, rates)
    assert f"Received: learning_rates={rates!r}." in str(caught.value)


@pytest.mark.parametrize("rates", [(0.1, 0.1), (0.1, 0.10000001), (1, 1.0)])
def test_a_learning_rate_that_comes_twice_is_refused(rates):
    with pytest.raises(ValueError, match="must come once") as caught:
        LearningRateGrid(SGD, rates)
    assert f"Received: learning_rates={rates!r}." in str(caught.value)


@pytest.mark.parametrize("rate", [0.0, -0.1, math.inf, math.nan, "1"])
def test_a_learning_rate_is_positive(rate):
    with pytest.raises(ValueError, match=f"learning_rates={rate!r}"):
        LearningRateGrid(SGD, (0.1, rate))


@pytest.mark.parametrize(
    "cell", [SGD(), "sgd", None], ids=["an object", "a str", "None"]
)
def test_what_makes_no_cell_is_refused(cell):
    with pytest.raises(ValueError, match="without parentheses") as caught:
        LearningRateGrid(cell, (0.1,))
    assert f"Received: cell={cell!r}." in str(caught.value)


def test_what_makes_something_else_is_refused():
    with pytest.raises(ValueError, match="which made {'learning_rate': 0.1}"):
        LearningRateGrid(dict, (0.1,))


def test_draws_are_numbered():
    search = RandomSearch(DecayedAdam, RANGES, 3, seed=0)
    names = [candidate.name for candidate in search.candidates("a")]
    assert names == ["a_draw0", "a_draw1", "a_draw2"]
    assert not search.ordered


def test_draws_are_the_same_on_every_machine():
    search = RandomSearch(DecayedAdam, RANGES, 2, seed=7)
    drawn = [
        (c.learning_rate, 1.0 - c.beta_1, c.epsilon)
        for _, c in search.candidates("a")
    ]
    np.testing.assert_allclose(
        drawn,
        [
            (4.13322e-05, 0.644363, 0.0367283),
            (1.49467e-07, 0.000336061, 5.98867e-05),
        ],
        rtol=1e-9,
    )


def settings_of(search):
    return [
        {k: v for k, v in c.get_config().items() if k != "name"}
        for _, c in search.candidates("a")
    ]


def test_a_draw_depends_on_seed_and_number_only():
    few = RandomSearch(DecayedAdam, RANGES, 2, seed=3)
    more = RandomSearch(DecayedAdam, dict(reversed(RANGES.items())), 5, seed=3)
    other = RandomSearch(DecayedAdam, RANGES, 2, seed=4)
    assert settings_of(few) == settings_of(more)[:2]
    assert len({s["learning_rate"] for s in settings_of(more)}) == 5
    for one, two in zip(settings_of(few), settings_of(other), strict=True):
        assert one["learning_rate"] != two["learning_rate"]


@settings(deadline=None, max_examples=10)
@given(
    st.floats(1e-10, 1e3),
    st.floats(1.001, 1e6),
    st.integers(-(2**31), 2**31 - 1),
)
def test_draws_lie_in_their_range(low, factor, seed):
    high = low * factor
    search = RandomSearch(SGD, {"learning_rate": (low, high)}, 4, seed)
    for _, cell in search.candidates("sgd"):
        assert low * (1 - 1e-5) <= cell.learning_rate <= high * (1 + 1e-5)


def test_draws_are_uniform_on_the_logarithm():
    search = RandomSearch(
        DecayedAdam,
        {"learning_rate": (1e-4, 1e4), "one_minus_beta_2": (1e-6, 1.0)},
        400,
        seed=1,
    )
    cells = [cell for _, cell in search.candidates("a")]
    units = np.stack(
        [
            [(np.log10(c.learning_rate) + 4.0) / 8.0 for c in cells],
            [(np.log10(1.0 - c.beta_2) + 6.0) / 6.0 for c in cells],
        ]
    )
    # Mean 1/2 and variance 1/12, within four standard errors of 400 draws.
    np.testing.assert_allclose(units.mean(1), 0.5, atol=4 * 0.289 / 20)
    np.testing.assert_allclose(units.var(1), 1 / 12, atol=4 * 0.0745 / 20)
    assert abs(np.corrcoef(units)[0, 1]) < 4 / 20


def test_one_minus_an_argument_is_drawn():
    search = RandomSearch(
        DecayedAdam, {"one_minus_beta_1": (0.001, 0.002)}, 5, seed=0
    )
    betas = [cell.beta_1 for _, cell in search.candidates("a")]
    assert all(0.998 <= beta <= 0.999 for beta in betas)
    assert len(set(betas)) == 5


def test_gin_builds_a_search_in_its_scope():
    search = build(
        "s/RandomSearch.cell = @s/DecayedAdam\n"
        "s/RandomSearch.ranges = {'l1': (1e-8, 1.0),\n"
        "    'one_minus_beta_1': (0.5, 1.0)}\n"
        "s/RandomSearch.draws = 2\n"
        "s/RandomSearch.seed = 5\n"
        "s/DecayedAdam.num_steps = 50\n",
        "s/RandomSearch",
    )
    for _, cell in search.candidates("x"):
        assert type(cell) is DecayedAdam
        assert cell.num_steps == 50
        assert 1e-8 <= cell.l1 <= 1.0
        assert 0.0 <= cell.beta_1 <= 0.5
    config.check_all_used()


@pytest.mark.parametrize("ranges", [{}, None, [("l1", (1, 2))]])
def test_a_search_needs_ranges(ranges):
    with pytest.raises(ValueError, match="at least one argument") as caught:
        RandomSearch(DecayedAdam, ranges, 1, 0)
    assert f"Received: ranges={ranges!r}." in str(caught.value)


@pytest.mark.parametrize("bounds", [0.1, (0.1,), (1, 2, 3), "ab"])
def test_a_range_is_two_numbers(bounds):
    with pytest.raises(ValueError, match="must be two numbers") as caught:
        RandomSearch(DecayedAdam, {"l1": bounds}, 1, 0)
    assert f"Received: ranges['l1']={bounds!r}." in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "bounds", "received"),
    [
        ("l1", (0.0, 1.0), "low of l1=0.0"),
        ("l1", (-1.0, 1.0), "low of l1=-1.0"),
        ("l1", (1.0, 1.0), "high of l1=1.0"),
        ("l1", (1.0, math.inf), "high of l1=inf"),
        ("one_minus_beta_1", (0.5, 1.5), "high of one_minus_beta_1=1.5"),
    ],
)
def test_a_range_goes_up_from_above_zero(argument, bounds, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        RandomSearch(DecayedAdam, {argument: bounds}, 1, 0)


def test_an_argument_that_is_drawn_twice_is_refused():
    ranges = {"beta_1": (0.1, 0.9), "one_minus_beta_1": (0.1, 0.9)}
    with pytest.raises(
        ValueError, match="Received: ranges of beta_1, one_minus_beta_1"
    ):
        RandomSearch(DecayedAdam, ranges, 1, 0)


@pytest.mark.parametrize("draws", [0, -1, 1.5, True])
def test_draws_are_counted(draws):
    with pytest.raises(ValueError, match=f"Received: draws={draws!r}"):
        RandomSearch(DecayedAdam, RANGES, draws, 0)


@pytest.mark.parametrize(
    ("seed", "received"), [(0.5, "seed=0.5"), (2**31, "seed=2147483648")]
)
def test_a_seed_is_an_int(seed, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        RandomSearch(DecayedAdam, RANGES, 1, seed)
