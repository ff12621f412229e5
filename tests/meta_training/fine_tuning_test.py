"""Fine-tuning as a training whose episodes end when the loss has halved."""

import csv
import io
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from support.toy_cells import LearnableMomentum
from support.training import Broken, same

from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.weights import load_cell
from l2o_tf.meta_training.failures import (
    NonFiniteError,
    NotHalvedError,
    check_ended,
)
from l2o_tf.meta_training.run import Run
from l2o_tf.meta_training.state import Phase
from l2o_tf.meta_training.trainer import Trainer
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.momentum import Momentum
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.runtime.run_dir import RunDirectory
from l2o_tf.techniques.fine_tuning import Fall, HalvedLoss
from l2o_tf.unroll.schedules import FixedHorizon

WINDOW = 2


def trainer(cell, optimizee=None, horizon=60, meta=None, **changes):
    """Return a fine-tuning of three repetitions."""
    return Trainer(
        **{
            "cell": cell,
            "optimizee": optimizee or Simple(),
            "estimator": TruncatedBackpropagation(WINDOW),
            "schedule": FixedHorizon(horizon, 4),
            "meta_optimizer": meta or SGD(1e-3),
            "num_episodes": 3,
            "validation_period": 3,
            "validation_runs": 1,
            "jit_compile": False,
            "ending": HalvedLoss(average_batches=2),
            **changes,
        }
    )


def repetitions(trainer, count=3):
    """Return the state after and the report of each repetition."""
    state, found = trainer.initial_state(), []
    for _ in range(count):
        state, report = trainer.train_one(state)
        found.append((state, report))
    return found


def window(rate, x):
    """f = x^2: one window of steps; returns x, and d/d rate of the sum of f."""
    slope, moved = 0.0, 0.0
    for _ in range(WINDOW):
        moved -= 2.0 * x  # d x / d rate, gradients held constant
        x -= rate * 2.0 * x
        slope += 2.0 * x * moved
    return x, slope


def by_hand(rate, meta_rate, count=3, ratio=0.5):
    """The closed form: windows of each repetition, loss there, rate after."""
    found = []
    for _ in range(count):
        x, windows = 1.0, 0
        while x * x >= ratio:
            x, slope = window(rate, x)
            rate -= meta_rate * slope
            windows += 1
        found.append((windows, x * x, rate))
    return found


@pytest.mark.parametrize(
    ("rate", "meta_rate", "ratio"),
    [(0.01, 1e-3, 0.5), (0.01, 1e-4, 0.5), (0.02, 1e-4, 0.25)],
)
def test_each_repetition_ends_at_the_window_where_the_loss_has_halved(
    rate, meta_rate, ratio
):
    tuned = trainer(
        LearnableSGD(rate),
        meta=SGD(meta_rate),
        ending=HalvedLoss(ratio, average_batches=2),
    )
    expected = by_hand(rate, meta_rate, ratio=ratio)
    assert expected[0][0] > expected[2][0]  # it learns to be faster
    for (state, report), (windows, loss, after) in zip(
        repetitions(tuned), expected, strict=True
    ):
        assert report.fall.windows == windows
        assert report.fall.first == 1.0
        np.testing.assert_allclose(report.fall.last, loss, rtol=1e-5)
        np.testing.assert_allclose(state.meta.meta_params, [after], rtol=1e-5)
        assert tuned.ending.verdict(report.fall) == "halved"
    assert int(state.meta.step) == sum(e[0] for e in expected)
    assert state.phase is Phase.VALIDATION


def test_without_a_meta_update_the_loss_halves_after_a_known_step():
    # 0.98^(2 t) < 1/2 from t = 17.2 on: the next end of a window is t = 18.
    frozen = trainer(LearnableSGD(0.01), meta=SGD(1e-30))
    steps = math.ceil(math.log(0.5) / (2 * math.log(0.98)) / WINDOW) * WINDOW
    assert steps == 18
    for _, report in repetitions(frozen):
        assert report.fall.windows * WINDOW == steps
        np.testing.assert_allclose(report.fall.last, 0.98**36, rtol=1e-5)


def test_the_means_of_a_report_are_over_the_windows_made():
    frozen = trainer(LearnableSGD(0.01), meta=SGD(1e-30))
    ((_, report),) = repetitions(frozen, 1)
    losses = 0.98 ** (2 * np.arange(19))
    windows = [losses[i : i + 3].sum() for i in range(0, 18, 2)]
    np.testing.assert_allclose(report.mean_loss, np.mean(windows), rtol=1e-5)
    np.testing.assert_allclose(report.last_loss, losses[18], rtol=1e-5)
    assert report.made((2,) * 30) == (2,) * 9


def test_a_repetition_starts_afresh_with_the_weights_and_slots_of_the_last():
    cell = LearnableMomentum(0.005)
    tuned = trainer(cell, meta=Momentum(1e-5))
    states = [tuned.initial_state(), *(s for s, _ in repetitions(tuned))]
    for before, after in itertools.pairwise(states):
        assert not same(before.meta.meta_params, after.meta.meta_params)
        # A fresh run from these weights and slots, with nothing else carried.
        fresh = trainer(cell, meta=Momentum(1e-5))
        start = fresh.initial_state().replace(
            meta=before.meta, episode=before.episode
        )
        again, report = fresh.train_one(start)
        assert same(again.meta, after.meta)
        assert report.fall.first == 1.0
        assert after.memory == ()
    without = states[1].replace(
        meta=states[1].meta._replace(slots=states[0].meta.slots)
    )
    assert not same(tuned.train_one(without)[0].meta, states[2].meta)


def random_problems(seed=0, jit_compile=False):
    return trainer(
        LearnableSGD(0.01),
        Quadratic(2, 3),
        horizon=100,
        seed=seed,
        jit_compile=jit_compile,
        ending=HalvedLoss(0.8, 2),
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_no_repetition_is_traced_again_whatever_its_length(jit_compile):
    tuned = random_problems(jit_compile=jit_compile)
    first, second = repetitions(tuned), repetitions(tuned)
    assert tuned._episode(0, 0).experimental_get_tracing_count() == 1
    assert len({report.fall.windows for _, report in first}) > 1
    for (a, x), (b, y) in zip(first, second, strict=True):
        assert same(a.meta, b.meta)
        assert x == y


def test_a_seed_gives_the_same_bits_in_another_trainer_and_another_others():
    (first, x), (again, y), (other, z) = (
        repetitions(random_problems(seed), 1)[0] for seed in (0, 0, 1)
    )
    assert same(first.meta, again.meta)
    assert x == y
    assert not same(first.meta, other.meta)
    assert x.fall.first != z.fall.first


def test_a_repetition_that_never_halves_stops_at_the_cap_with_its_numbers():
    slow = trainer(LearnableSGD(1e-4), horizon=6, meta=SGD(1e-30))
    with pytest.raises(NotHalvedError) as caught:
        repetitions(slow, 1)
    said = str(caught.value)
    loss = (1 - 2e-4) ** 12
    assert "Repetition 1 of fine-tuning ended after 6 minibatches" in said
    assert f"not fallen below 0.5 of its first value: it is {loss:.6g}" in said
    assert "at the start it was 1." in said
    assert "Received: ratio=0.5, otherwise='stop'" in said


def test_told_to_go_on_it_takes_the_next_repetition_with_what_it_learned():
    slow = trainer(
        LearnableSGD(1e-4),
        horizon=6,
        meta=SGD(1e-3),
        ending=HalvedLoss(otherwise="go_on"),
    )
    found = repetitions(slow)
    assert [slow.ending.verdict(r.fall) for _, r in found] == [
        "capped",
        "halved",
        "halved",
    ]
    assert found[0][1].fall.windows == 3
    assert found[0][0].meta_updates == 3


def test_a_loss_that_halves_at_the_cap_itself_has_halved():
    exact = trainer(LearnableSGD(0.01), horizon=18, meta=SGD(1e-30))
    ((_, report),) = repetitions(exact, 1)
    assert report.fall.windows == 9
    assert exact.ending.verdict(report.fall) == "halved"


def test_a_loss_that_is_no_number_ends_the_repetition_at_once():
    wild = trainer(
        LearnableSGD(1e25),
        ending=HalvedLoss(otherwise="go_on"),
        max_failed_episodes=2,
    )
    state, report = wild.train_one(wild.initial_state())
    assert (report.fall.windows, report.skipped, state.skipped) == (1, 1, 1)
    assert same(state.meta, wild.initial_state().meta)
    with pytest.raises(NonFiniteError, match="Received: max_failed_episodes=2"):
        wild.train_one(state)
    with pytest.raises(
        NotHalvedError,
        match=r"Repetition 4 .* after 2 minibatches, .* no longer a number",
    ):
        check_ended(HalvedLoss(), report.fall, 4, 2)


def test_a_start_that_is_no_number_has_no_window():
    broken = trainer(
        LearnableSGD(0.1),
        Broken(2, 3),
        ending=HalvedLoss(otherwise="go_on"),
        max_failed_episodes=5,
    )
    state, report = broken.train_one(broken.initial_state())
    assert report.fall.windows == report.skipped == 0
    assert report.mean_loss == 0.0
    assert broken.ending.verdict(report.fall) == "diverged"
    assert state.failed_in_a_row == 1


@pytest.mark.parametrize("otherwise", ["stop", "go_on"])
@pytest.mark.parametrize("first", [0.0, -1.0])
def test_a_loss_that_cannot_halve_is_refused(otherwise, first):
    with pytest.raises(
        NotHalvedError,
        match=f"Received: an average loss of {first:g} at the start of "
        "repetition 2",
    ):
        check_ended(
            HalvedLoss(otherwise=otherwise), Fall(0, first, first), 2, 0
        )


class SometimesBroken(Simple):
    """x^2, but +inf in a band that one window goes through."""

    def loss(self, params, constants, batch):
        loss = super().loss(params, constants, batch)
        inside = (loss < 0.9) & (loss > 0.86)
        return loss + tf.stop_gradient(tf.where(inside, np.inf, 0.0))


def test_a_meta_gradient_that_is_not_finite_is_skipped_and_counted():
    # x^2 after t steps is 0.9604^t: 0.8858 after 3, inside the second window.
    tuned = trainer(LearnableSGD(0.01), SometimesBroken(), meta=SGD(1e-30))
    ((state, report),) = repetitions(tuned, 1)
    assert report.skipped == 1
    assert state.skipped == 1
    assert state.meta_updates == report.fall.windows - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_episodes": 0}, "Received: num_episodes=0"),
        ({"schedule": FixedHorizon(1)}, "Received: horizon=1, unroll_length=2"),
        ({"cell": SGD(0.1)}, "SGD has no weight to train"),
        ({"ending": HalvedLoss}, "`ending` must be a HalvedLoss. Received"),
    ],
)
def test_what_cannot_be_fine_tuned_is_refused_before_any_work(changes, message):
    with pytest.raises(ValueError, match=message):
        trainer(**{"cell": LearnableSGD(0.1), **changes})


def rows(folder, table="fine_tuning"):
    text = (folder / "metrics" / f"{table}.csv").read_text()
    return list(csv.DictReader(io.StringIO(text)))


def carry_on(folder, stop_after=None, **changes):
    """Run in a folder until the end, or a stop after some repetitions."""
    cell = LearnableSGD(0.02, name="cell")
    tuned = trainer(cell, meta=Adam(1e-3), **changes)
    with (
        RunDirectory(folder, "", "test") as directory,
        Run(tuned, directory, {}, quiet=True) as run,
    ):

        class Stop:
            @property
            def requested(self):
                return run.state.episode == stop_after

        return run.finish(Stop()), tuned


def kept(folder):
    """What must be equal, byte for byte."""
    names = ["train.csv", "validation.csv", "fine_tuning.csv"]
    paths = [folder / "metrics" / name for name in names]
    paths += [folder / "best" / "weights.npz", *folder.glob("checkpoints/*5*")]
    return [path.read_bytes() for path in paths]


def test_a_run_leaves_the_last_weights_and_a_row_per_repetition(
    tmp_path, capsys
):
    state, tuned = carry_on(tmp_path)
    cell, facts = load_cell(tmp_path / "best" / "weights.npz")
    assert state.phase is Phase.DONE
    assert same(cell.meta_params(), state.meta.meta_params)
    assert facts["validation"]["episode"] == 3
    expected = repetitions(tuned)
    for i, (row, (_, report)) in enumerate(
        zip(rows(tmp_path), expected, strict=True)
    ):
        assert row == {
            "episode": f"{i + 1}",
            "batches": f"{WINDOW * report.fall.windows}",
            "first_average": "1.0",
            "last_average": f"{report.fall.last!r}",
            "ended": "halved",
        }
        assert rows(tmp_path, "train")[i]["horizon"] == row["batches"]
    said = capsys.readouterr().err
    assert f"Repetition 1: halved after {rows(tmp_path)[0]['batches']}" in said


def test_a_stopped_run_resumes_bit_for_bit(tmp_path):
    carry_on(tmp_path / "whole")
    state, _ = carry_on(tmp_path / "parts", stop_after=1)
    assert (state.phase, state.episode) == (Phase.EPISODE, 1)
    carry_on(tmp_path / "parts", stop_after=2)
    carry_on(tmp_path / "parts")
    assert kept(tmp_path / "whole") == kept(tmp_path / "parts")


def test_a_capped_repetition_has_its_row(tmp_path):
    carry_on(
        tmp_path,
        schedule=FixedHorizon(2),
        ending=HalvedLoss(0.1, otherwise="go_on"),
    )
    assert [r["ended"] for r in rows(tmp_path)] == ["capped"] * 3
    assert [r["batches"] for r in rows(tmp_path)] == ["2"] * 3
