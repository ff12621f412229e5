"""Sweeps on problems whose curves are known in closed form."""

import csv
import io
import json

import numpy as np
import pytest

from l2o_tf.evaluation.candidates import LearningRateGrid
from l2o_tf.evaluation.comparison import Comparison
from l2o_tf.evaluation.contenders import Fixed
from l2o_tf.evaluation.curves import load_curve, load_curves
from l2o_tf.evaluation.results import Results
from l2o_tf.evaluation.sweep import Sweep
from l2o_tf.evaluation.sweep_run import run_sweep, time_sweep
from l2o_tf.evaluation.tuning import Tuned
from l2o_tf.evaluation.wall_clock import read_rows
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.runtime.progress import ProgressBar

STEPS = 12


def tuned(rates, name="tuned", steps=5, **options):
    grid = LearningRateGrid(SGD, rates)
    return Tuned(name, grid, steps=steps, seeds=(7,), **options)


def sweep_of(*optimizers, optimizees=("simple",), seeds=(0, 1), **options):
    return Sweep([Comparison(optimizers, optimizees, seeds, STEPS, **options)])


def run(sweep, folder, stop=lambda: False, **options):
    results = Results(folder, **options)
    stream = io.StringIO()
    total = sum(w.steps for w in sweep.plan(results).remaining) or 1
    with ProgressBar(total, stream=stream, unit="update", even=False) as bar:
        done = run_sweep(sweep, results, bar, stop)
    return done, stream.getvalue()


def test_every_curve_is_computed_with_its_facts(tmp_path):
    sweep = sweep_of(Fixed("sgd", SGD(0.1)), Fixed("adam", Adam(0.1)))
    done, shown = run(sweep, tmp_path)
    assert done
    assert f"{4 * STEPS}/{4 * STEPS} updates" in shown
    curves = load_curves([tmp_path])
    assert [(c.optimizer, c.seed) for c in curves] == [
        ("adam", 0),
        ("adam", 1),
        ("sgd", 0),
        ("sgd", 1),
    ]
    sgd = curves[-1]
    # f = x^2 from x_0 = 1: x_t = 0.8^t.
    expected = 0.8 ** (2 * np.arange(1, STEPS + 1))
    np.testing.assert_allclose(sgd.losses, expected, rtol=1e-5)
    assert sgd.config == {
        "class": "SGD",
        "learning_rate": 0.1,
        "dtype": "float32",
    }
    assert sgd.runtime == "xla"
    assert sgd.device == "CPU"
    assert sgd.split == ""
    assert sgd.notice is None
    assert sgd.tuning is None
    assert sgd.chunk_seconds.shape == (1,)
    assert sgd.seconds > 0
    assert "tensorflow-cpu" in sgd.packages or "tensorflow" in sgd.packages


def test_a_grid_is_run_on_its_own_seeds_and_the_best_rate_taken(tmp_path):
    # After t steps x is (1 - 2 rate)^t: 0.4 beats 0.1 and 0.95.
    sweep = sweep_of(tuned((0.1, 0.4, 0.95)))
    assert run(sweep, tmp_path)[0]
    assert sorted(p.name for p in (tmp_path / "tuning").glob("*.npz")) == [
        "tuned_0.1-simple-nodata-seed7.npz",
        "tuned_0.4-simple-nodata-seed7.npz",
        "tuned_0.95-simple-nodata-seed7.npz",
    ]
    assert all(c.steps == 5 for c in load_curves([tmp_path / "tuning"]))
    curves = load_curves([tmp_path])
    assert [c.seed for c in curves] == [0, 1]
    for curve in curves:
        assert curve.config["learning_rate"] == 0.4
        assert curve.tuning["chosen"] == 1
        assert not curve.tuning["at_edge"]
        # ln of the mean of 5 losses, 0.8^2t for the first candidate.
        expected = np.log(np.mean(0.8 ** (2 * np.arange(1, 6))))
        score = curve.tuning["candidates"][0]["score"]
        np.testing.assert_allclose(score, expected, rtol=1e-5)
    rows = csv.DictReader((tmp_path / "index.csv").read_text().splitlines())
    assert {row["learning_rate"] for row in rows} == {"0.4"}


def test_a_diverging_candidate_is_not_chosen(tmp_path):
    sweep = sweep_of(tuned((0.1, 1e30), steps=STEPS))
    assert run(sweep, tmp_path)[0]
    (curve, _) = load_curves([tmp_path])
    assert curve.tuning["chosen"] == 0
    assert curve.tuning["at_edge"]
    assert curve.tuning["candidates"][1]["score"] == np.inf


def test_a_grid_that_diverges_everywhere_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="Every candidate of 'tuned' diverged"):
        run(sweep_of(tuned((1e29, 1e30), steps=STEPS)), tmp_path)


def test_what_is_there_is_not_computed_again(tmp_path, monkeypatch):
    sweep = sweep_of(Fixed("sgd", SGD(0.1)), tuned((0.1, 0.4)))
    assert run(sweep, tmp_path)[0]
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npz")}
    assert len(stamps) == 6
    assert run(sweep, tmp_path)[0]
    (tmp_path / "sgd-simple-nodata-seed1.npz").unlink()
    assert run(sweep, tmp_path)[0]
    changed = [p.name for p in stamps if p.stat().st_mtime_ns != stamps[p]]
    assert changed == ["sgd-simple-nodata-seed1.npz"]


def test_a_stop_loses_only_the_job_at_hand(tmp_path):
    sweep = sweep_of(Fixed("sgd", SGD(0.1)), seeds=(0, 1, 2))
    asked = []

    def stop():
        asked.append(None)
        return len(asked) > 3  # before job 1, in it, before 2, in it

    assert run(sweep, tmp_path, stop)[0] is False
    assert len(list(tmp_path.glob("*.npz"))) == 1
    assert run(sweep, tmp_path)[0] is True
    assert len(list(tmp_path.glob("*.npz"))) == 3


def test_a_damaged_result_is_computed_again(tmp_path, capsys):
    sweep = sweep_of(Fixed("sgd", SGD(0.1)))
    run(sweep, tmp_path)
    path = tmp_path / "sgd-simple-nodata-seed0.npz"
    before = load_curve(path).losses
    path.write_bytes(path.read_bytes()[:100])
    assert run(sweep, tmp_path)[0]
    assert "To be computed again" in capsys.readouterr().out
    np.testing.assert_array_equal(load_curve(path).losses, before)


def test_another_optimizer_of_that_name_is_refused_before_the_first_step(
    tmp_path,
):
    run(sweep_of(Fixed("sgd", SGD(0.1))), tmp_path)
    other = sweep_of(Fixed("new", SGD(0.3)), Fixed("sgd", SGD(0.2)))
    with pytest.raises(ValueError, match="config_hash="):
        run(other, tmp_path)
    assert not list(tmp_path.glob("new*"))
    assert run(other, tmp_path, overwrite=True)[0]
    (curve, _) = load_curves(sorted(tmp_path.glob("sgd*.npz")))
    assert curve.config["learning_rate"] == 0.2


def test_the_plan_counts_what_waits_for_a_grid(tmp_path):
    sweep = sweep_of(Fixed("sgd", SGD(0.1)), tuned((0.1, 0.4)), seeds=(0, 1))
    plan = sweep.plan(Results(tmp_path))
    assert [j.wanted.optimizer for j in plan.missing] == [
        "sgd",
        "sgd",
        "tuned_0.1",
        "tuned_0.4",
    ]
    assert [(w.optimizer, w.seed, w.steps) for w in plan.later] == [
        ("tuned", 0, STEPS),
        ("tuned", 1, STEPS),
    ]
    assert [j.wanted.optimizer for j in plan.pairs] == ["sgd"]


def test_steps_are_timed_per_optimizer_and_optimizee(tmp_path):
    sweep = sweep_of(Fixed("sgd", SGD(0.1)), tuned((0.1, 0.4)))
    run(sweep, tmp_path)
    time_sweep(sweep, Results(tmp_path), steps=3, repeats=2)
    rows = read_rows(tmp_path)
    assert [(r.optimizer, r.optimizee) for r in rows] == [
        ("sgd", "simple"),
        ("tuned", "simple"),
    ]
    assert {(r.runtime, r.device, r.steps) for r in rows} == {("xla", "CPU", 3)}
    another = sweep_of(Fixed("adam", Adam(0.1)))
    time_sweep(another, Results(tmp_path), steps=3, repeats=2)
    assert len(read_rows(tmp_path)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": (1, 1)}, "seeds, each once"),
        ({"seeds": ()}, "seeds, each once"),
        ({"seeds": (0.5,)}, "seed"),
        ({"seeds": (2**70,)}, "seed"),
        ({"optimizees": ()}, "optimizees, each once"),
        ({"optimizees": ("simpl",)}, "Did you mean 'simple'"),
        ({"split": "valid"}, "Received: split='valid'"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sweep_of(Fixed("sgd", SGD(0.1)), **options)


def test_two_optimizers_of_one_name_are_refused():
    with pytest.raises(ValueError, match="optimizers, each once"):
        sweep_of(Fixed("sgd", SGD(0.1)), Fixed("sgd", SGD(0.2)))


def test_a_curve_asked_for_twice_is_refused():
    one = Comparison([Fixed("sgd", SGD(0.1))], ["simple"], (0, 1))
    two = Comparison([Fixed("sgd", SGD(0.1))], ["simple"], (1, 2))
    with pytest.raises(ValueError, match="'sgd', 'simple', 'test', '1'"):
        Sweep([one, two])
    with pytest.raises(ValueError, match="needs comparisons"):
        Sweep([])


def test_a_longer_grid_that_chooses_the_same_is_told_to_the_old_curves(
    tmp_path,
):
    run(sweep_of(tuned((0.1, 0.4)), seeds=(0,)), tmp_path)
    (old,) = load_curves([tmp_path])
    assert old.tuning["at_edge"] is True
    run(sweep_of(tuned((0.1, 0.4, 0.95)), seeds=(0, 1)), tmp_path)
    curves = load_curves([tmp_path])
    assert len(curves) == 2
    for curve in curves:
        assert len(curve.tuning["candidates"]) == 3
        assert curve.tuning["at_edge"] is False
    np.testing.assert_array_equal(curves[0].losses, old.losses)
    np.testing.assert_array_equal(curves[0].chunk_seconds, old.chunk_seconds)


def test_candidates_of_one_name_on_one_problem_are_refused():
    one = Comparison([tuned((0.1, 0.4), "a")], ["simple"], (0,))
    two = Comparison([tuned((0.1, 0.4), "a", steps=9)], ["simple"], (1,))
    with pytest.raises(ValueError, match="'a_0.1', 'simple'"):
        Sweep([one, two])


def test_another_process_with_another_configuration_is_noticed(tmp_path):
    sweep = sweep_of(Fixed("sgd", SGD(0.1)), seeds=(0, 1))
    results = Results(tmp_path, overwrite=True)

    def meddle():
        mine = tmp_path / "sgd-simple-nodata-seed0.npz"
        if mine.exists() and not (tmp_path / "done").exists():
            (tmp_path / "done").touch()
            other = sweep_of(Fixed("sgd", SGD(0.2)), seeds=(0,))
            run(other, tmp_path, overwrite=True)
        return False

    with (
        ProgressBar(None, stream=io.StringIO()) as bar,
        pytest.raises(ValueError, match="seed0.npz with config_hash"),
    ):
        run_sweep(sweep, results, bar, meddle)


def test_a_stop_ends_the_waiting_for_another_process(tmp_path):
    sweep = sweep_of(Fixed("sgd", SGD(0.1)), seeds=(0,))
    other, asked = Results(tmp_path), []
    (job,) = sweep.plan(other).missing

    def stop():
        asked.append(None)
        return len(asked) > 2

    with other.claim(job.wanted) as held:
        assert held
        assert run(sweep, tmp_path, stop)[0] is False
    assert run(sweep, tmp_path)[0] is True


def test_runtimes_are_timed_apart(tmp_path):
    sweep = Sweep(
        [
            Comparison([Fixed(name, SGD(0.1))], ["simple"], (0,), STEPS, **o)
            for name, o in (
                ("xla", {"jit_compile": True}),
                ("graph", {"jit_compile": False}),
            )
        ]
    )
    time_sweep(sweep, Results(tmp_path), steps=3, repeats=2)
    assert {r.optimizer: r.runtime for r in read_rows(tmp_path)} == {
        "xla": "xla",
        "graph": "graph",
    }


def test_who_is_not_tuned_yet_is_named_and_not_timed(tmp_path):
    said = []
    sweep = sweep_of(tuned((0.1, 0.4)), Fixed("sgd", SGD(0.1)))
    time_sweep(sweep, Results(tmp_path), 3, 2, said.append)
    assert said == [
        "Not measured, because it is not tuned yet: tuned on simple."
    ]
    assert [r.optimizer for r in read_rows(tmp_path)] == ["sgd"]


def test_the_record_is_json(tmp_path):
    run(sweep_of(tuned((0.1, 0.4))), tmp_path)
    (curve, _) = load_curves([tmp_path])
    assert json.loads(json.dumps(curve.tuning)) == curve.tuning
