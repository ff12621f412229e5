"""Who is chosen, what is written down of it, and what is refused."""

import math

import gin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o_tf.evaluation.candidates import LearningRateGrid, RandomSearch
from l2o_tf.evaluation.contenders import Fixed
from l2o_tf.evaluation.curves import Curve, load_curve, save_curve
from l2o_tf.evaluation.tuning import ScoredCandidate, Tuned, choose
from l2o_tf.optimizers.sgd import SGD

RATES = (0.001, 0.01, 0.1)
NAMES = ("sgd_0.001", "sgd_0.01", "sgd_0.1")
STEPS = 200


def tuned(rates=RATES, **more):
    more = {"steps": STEPS, "seeds": (1000, 1001), **more}
    return Tuned("sgd", LearningRateGrid(SGD, rates), **more)


def curve(name, losses, seed=1000):
    return Curve(
        losses=np.asarray(losses, "f4"),
        chunk_seconds=np.ones(1),
        chunk_length=1000,
        optimizer=name,
        optimizee="mlp_orig",
        split="test",
        seed=seed,
    )


def flat(start, end):
    """Losses of one value in the first half and another in the second."""
    return np.repeat([start, end], STEPS // 2)


def runs(values, seeds=(1000, 1001)):
    """Return results: per candidate, per seed, losses or `(start, end)`."""
    return {
        name: [
            curve(name, flat(*losses), seed)
            for losses, seed in zip(row, seeds, strict=True)
        ]
        for name, row in zip(NAMES, values, strict=True)
    }


def test_the_lowest_end_wins_by_final_and_the_lowest_mean_by_mean():
    results = runs(
        [
            [(3.0, 0.5), (3.0, 0.5)],  # ends lowest
            [(1.0, 1.0), (1.0, 1.0)],  # lowest on the whole
            [(3.0, 3.0), (3.0, 3.0)],
        ]
    )
    final = choose(tuned(by="final"), results)
    mean = choose(tuned(by="mean"), results)
    assert final.chosen == 0
    assert mean.chosen == 1
    np.testing.assert_allclose(
        [c.score for c in final.candidates], np.log([0.5, 1.0, 3.0])
    )
    np.testing.assert_allclose(
        [c.score for c in mean.candidates], np.log([1.75, 1.0, 3.0])
    )


def test_the_mean_over_seeds_is_taken_before_the_logarithm():
    # ln of the mean: 1 < 1.5; the mean of ln would prefer the third.
    results = runs(
        [
            [(9.0, 2.0), (9.0, 2.0)],
            [(9.0, 1.0), (9.0, 1.0)],
            [(9.0, 0.01), (9.0, 2.99)],
        ]
    )
    result = choose(tuned(), results)
    assert result.chosen == 1
    assert result.candidates[2].score == pytest.approx(math.log(1.5))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("by", ["final", "mean"])
def test_one_diverged_run_makes_the_score_infinite(bad, by):
    results = runs([[(0.5, 0.5)] * 2, [(2.0, 2.0)] * 2, [(3.0, 3.0)] * 2])
    # Even if it recovers, long before the end.
    results[NAMES[0]][1].losses[3] = bad
    result = choose(tuned(by=by), results)
    assert result.candidates[0].score == math.inf
    assert result.chosen == 1


def test_of_equal_candidates_the_smaller_rate_is_chosen():
    results = runs([[(9.0, 2.0)] * 2, [(9.0, 1.0)] * 2, [(5.0, 1.0)] * 2])
    assert choose(tuned(), results).chosen == 1


@pytest.mark.parametrize(
    ("ends", "at_edge"),
    [((1.0, 2.0, 3.0), True), ((2.0, 1.0, 3.0), False), ((3, 2, 1), True)],
)
def test_the_end_of_a_grid_is_marked(ends, at_edge):
    results = runs([[(9.0, end)] * 2 for end in ends])
    result = choose(tuned(), results)
    assert result.at_edge is at_edge
    assert result.to_json()["at_edge"] is at_edge


def test_a_grid_of_one_value_has_no_edge():
    results = {NAMES[0]: [curve(NAMES[0], flat(1.0, 1.0))]}
    result = choose(tuned((0.001,), seeds=(1000,)), results)
    assert (result.chosen, result.at_edge) == (0, False)


def test_a_random_search_has_no_edge():
    search = RandomSearch(SGD, {"learning_rate": (0.1, 1.0)}, 2, seed=0)
    contender = Tuned("sgd", search, steps=STEPS, seeds=(3,))
    results = {
        name: [curve(name, flat(9.0, end), 3)]
        for name, end in (("sgd_draw0", 2.0), ("sgd_draw1", 1.0))
    }
    result = choose(contender, results)
    assert (result.chosen, result.at_edge) == (1, False)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.lists(st.floats(-3.0, 3.0, width=32), min_size=2, max_size=2),
        min_size=3,
        max_size=3,
    )
)
def test_the_chosen_has_the_lowest_mean_loss_negative_or_not(ends):
    results = runs([[(9.0, end) for end in row] for row in ends])
    result = choose(tuned(), results)
    means = [np.mean(row) for row in ends]
    assert result.chosen == int(np.argmin(means))


def test_a_score_is_a_logarithm_where_there_is_one():
    def score(loss):
        return ScoredCandidate("a", {}, loss).score

    assert score(math.e) == 1.0
    assert score(0.0) == -math.inf
    assert score(math.inf) == math.inf
    assert math.isnan(score(-1.0))


def test_the_record_survives_a_file(tmp_path):
    results = runs([[(1.0, 2.0)] * 2, [(1.0, 1.0)] * 2, [(1.0, 1.5)] * 2])
    results[NAMES[2]][0].losses[:] = math.nan
    record = choose(tuned(), results).to_json()
    assert record == {
        "by": "final",
        "steps": STEPS,
        "seeds": [1000, 1001],
        "candidates": [
            {
                "name": name,
                "config": {
                    "class": "SGD",
                    "learning_rate": rate,
                    "dtype": "float32",
                },
                "score": score,
            }
            for name, rate, score in zip(
                NAMES, RATES, (math.log(2.0), 0.0, math.inf), strict=True
            )
        ],
        "chosen": 1,
        "at_edge": False,
    }
    best = curve("sgd", [1.0, 0.5])
    path = save_curve(tmp_path, Curve(**{**vars(best), "tuning": record}))
    assert load_curve(path).tuning == record


def test_the_chosen_cell_is_the_candidates():
    contender = tuned()
    results = runs([[(1.0, 2.0)] * 2, [(1.0, 1.0)] * 2, [(1.0, 1.5)] * 2])
    chosen = choose(contender, results).chosen
    assert contender.candidates[chosen].cell.learning_rate == 0.01


def test_all_diverged_is_said_in_words():
    results = runs([[(math.nan, math.nan)] * 2] * 3)
    with pytest.raises(
        ValueError, match="Every candidate of 'sgd' diverged"
    ) as caught:
        choose(tuned(), results)
    assert f"Received: {', '.join(NAMES)}." in str(caught.value)


def test_a_candidate_without_results_is_named():
    results = runs([[(1.0, 1.0)] * 2] * 3)
    del results[NAMES[1]]
    with pytest.raises(
        ValueError, match=f"Received: no results of {NAMES[1]}."
    ):
        choose(tuned(), results)


def test_runs_of_other_seeds_are_refused():
    results = runs([[(1.0, 1.0)] * 2] * 3, seeds=(1000, 7))
    with pytest.raises(ValueError, match="Received: steps=.200., seeds=.7, "):
        choose(tuned(), results)


@pytest.mark.parametrize("rows", [[], [1.0], [1.0] * 199])
def test_runs_of_another_length_are_refused(rows):
    results = runs([[(1.0, 1.0)] * 2] * 3)
    results[NAMES[2]] = [curve(NAMES[2], rows, s) for s in (1000, 1001)]
    with pytest.raises(ValueError, match="one run of 200 steps") as caught:
        choose(tuned(), results)
    assert f"Received: steps=[{len(rows)}]" in str(caught.value)
    assert str(caught.value).endswith(f"of {NAMES[2]!r}.")


def test_tuning_is_for_the_end_of_10000_steps_by_default():
    contender = Tuned("sgd", LearningRateGrid(SGD, RATES))
    assert contender.by == "final"
    assert contender.steps == 10_000
    assert contender.seeds == (1000,)
    assert [c.name for c in contender.candidates] == list(NAMES)


def test_gin_builds_both_contenders():
    gin.parse_config(
        """
        a/Tuned.name = 'a'
        a/Tuned.candidates = @a/LearningRateGrid()
        a/LearningRateGrid.cell = @SGD
        a/LearningRateGrid.learning_rates = (0.5, 0.25)
        Tuned.by = 'mean'
        Tuned.steps = 7
        Tuned.seeds = (4, 5)
        b/Fixed.name = 'b'
        b/Fixed.cell = @b/SGD()
        b/SGD.learning_rate = 0.125
        """
    )
    a = gin.get_configurable("a/Tuned")()
    assert (a.by, a.steps, a.seeds) == ("mean", 7, (4, 5))
    assert [c.name for c in a.candidates] == ["a_0.25", "a_0.5"]
    b = gin.get_configurable("b/Fixed")()
    assert (b.name, b.cell.learning_rate) == ("b", 0.125)


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", None, 3])
@pytest.mark.parametrize(
    "make",
    [
        lambda name: Fixed(name, SGD()),
        lambda name: Tuned(name, LearningRateGrid(SGD, RATES)),
    ],
    ids=["fixed", "tuned"],
)
def test_a_name_is_fit_for_a_file(make, name):
    with pytest.raises(ValueError, match="path separator") as caught:
        make(name)
    assert f"Received: name={name!r}." in str(caught.value)


@pytest.mark.parametrize("cell", [None, SGD, "sgd"])
def test_what_is_no_optimizer_is_not_compared(cell):
    with pytest.raises(ValueError, match="Received: ") as caught:
        Fixed("a", cell)
    assert f"Received: cell={cell!r}." in str(caught.value)


@pytest.mark.parametrize("candidates", [None, LearningRateGrid, (SGD(),)])
def test_what_is_no_collection_is_not_tuned(candidates):
    with pytest.raises(ValueError, match="Received: candidates="):
        Tuned("a", candidates)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("by", "last"),
        ("steps", 0),
        ("seeds", ()),
        ("seeds", 3),
        ("seeds", (1, 1)),
    ],
)
def test_a_bad_argument_of_tuning_is_refused(argument, value):
    with pytest.raises(ValueError, match="Received: ") as caught:
        tuned(**{argument: value})
    assert f"Received: {argument}={value!r}." in str(caught.value)


def test_a_tuning_seed_is_an_int_of_32_bits():
    with pytest.raises(ValueError, match="Received: seed=4294967296"):
        tuned(seeds=(0, 2**32))
