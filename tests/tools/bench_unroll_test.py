"""The benchmark: an honest yardstick, named numbers, worded refusals."""

import json

import bench_machine
import bench_report
import bench_unroll
import numpy as np
import pytest
import tensorflow as tf
from bench_variants import VARIANTS, Sizes, make_run
from support.small_problem import relative_error
from yardstick import Yardstick, first_outer, plain_loss

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.estimators.base import EpisodeContext
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.meta_training.episode import initial_meta_state, train_episode
from l2o_tf.optimizees.collection import OPTIMIZEES
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.optimizees.quadratics import Quadratic, Simple
from l2o_tf.optimizers.adam import Adam
from l2o_tf.runtime import atomic
from l2o_tf.unroll.carry import start_episode
from l2o_tf.unroll.rollout import final_loss

SEED = seeds.make_seed(5)
LENGTH = 4
PROBLEMS = {
    "mlp": lambda: MLP(synthetic_images(), "train", (5, 4), batch_size=8),
    "mlp_relu": lambda: MLP(
        synthetic_images(), "train", (5,), "relu", batch_size=8, init_stddev=0.3
    ),
    "quadratic": lambda: Quadratic(batch_size=3, dim=2),
    "simple": Simple,
}


@pytest.fixture(params=sorted(PROBLEMS))
def problem(request):
    return PROBLEMS[request.param]()


def weights_of(cell):
    return cell.meta_layout.split(cell.meta_params())


def test_yardstick_windows_have_the_losses_and_meta_gradients(problem):
    cell = DMLSTM()
    estimator = TruncatedBackpropagation(LENGTH)
    window = compiled(
        lambda carry: estimator.estimate(
            cell, problem, cell.meta_params(), carry
        ),
        jit_compile=False,
    )
    plain = Yardstick(problem, LENGTH, jit_compile=False)
    plain_window = compiled(
        lambda inner: plain.meta_gradient(weights_of(cell), inner, SEED),
        jit_compile=False,
    )
    carry, inner = start_episode(cell, problem, SEED), plain.start(SEED)
    for _ in range(2):
        estimate, carry = window(carry)
        total, last, gradient, inner = plain_window(inner)
        assert relative_error(total, estimate.meta_loss) < 1e-4
        assert relative_error(last, estimate.last_loss) < 1e-4
        for actual, expected in zip(
            gradient,
            cell.meta_layout.split(estimate.meta_gradient),
            strict=True,
        ):
            assert relative_error(actual, expected) < 1e-4
        params = problem.layout.flatten(inner.params)
        assert relative_error(params, carry.params) < 1e-4


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_yardstick_training_makes_the_meta_updates_in_one_trace(jit_compile):
    problem, cell, adam = PROBLEMS["mlp"](), DMLSTM(), Adam()
    estimator = TruncatedBackpropagation(LENGTH)
    context = EpisodeContext(tf.constant(0), ())
    state, report, _ = compiled(
        lambda state, count: train_episode(
            cell, problem, estimator, adam, state, SEED, count, context
        ),
        jit_compile=False,
    )(initial_meta_state(cell, adam), tf.constant(3))
    plain = Yardstick(problem, LENGTH, jit_compile)
    outer, inner = first_outer(weights_of(cell)), plain.start(SEED)
    losses = []
    for _ in range(3):
        loss, outer, inner = plain.train_window(outer, inner, SEED)
        losses.append(loss.numpy())
    assert relative_error(np.mean(losses), report.mean_loss) < 1e-4
    moved = cell.meta_layout.flatten(outer.weights) - cell.meta_params()
    expected = state.meta_params - cell.meta_params()
    # Three steps of 0.001 on weights near 0.3: the difference of float32
    # numbers has few digits.
    assert relative_error(moved, expected) < 1e-2
    assert np.abs(expected).max() > 1e-3
    assert plain.train_window.experimental_get_tracing_count() == 1


def test_yardstick_evaluation_ends_at_the_loss(problem):
    cell = DMLSTM()
    steps = tf.constant(7)
    expected = final_loss(cell, problem, weights_of(cell), SEED, steps, 7)
    plain = Yardstick(problem, LENGTH, jit_compile=False)
    actual = plain.final_loss(list(weights_of(cell)), SEED, steps)
    assert relative_error(actual, expected) < 1e-4


def test_a_problem_without_a_plain_program_is_refused():
    with pytest.raises(ValueError, match="Received: optimizee=str"):
        plain_loss("mlp")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["train", "eval"])
def test_all_variants_of_a_task_compute_one_loss(task):
    problem, sizes = Quadratic(2, 2), Sizes(1, 2, 3, 5)
    names = [name for name in VARIANTS if name.startswith(task)]
    losses = [make_run(name, problem, sizes)(SEED) for name in names]
    assert len(losses) == {"train": 6, "eval": 4}[task]
    assert relative_error(losses, [losses[0]] * len(losses)) < 1e-4


SMALL = ["--repeats=3", "--windows=2", "--unroll_length=3", "--eval_steps=4"]
NAMES = [
    "train/graph-adjoint",
    "train/yardstick",
    "eval/graph",
    "eval/yardstick",
]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """One small run: what is printed, and the JSON file."""
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    grown = {"peak_rss_bytes": 7 * 2**20}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_unroll, "measure_memory", lambda *_: grown)
        report = bench_unroll.benchmark(
            NAMES, "simple", Sizes(3, 2, 3, 4), memory=True
        )
    atomic.write_json(path, report)
    return bench_unroll.show(report), json.loads(path.read_text())


def test_the_table_has_a_row_per_variant_under_named_units(outcome):
    text, report = outcome
    lines = [line.split() for line in text.splitlines() if line]
    for task, unit in (("train", "s/window"), ("eval", "s/step")):
        header = next(line for line in lines if line[0] == task)
        assert header[:5] == [task, unit, "q1", "q3", "speed"]
        assert "compile s peak MiB GPU MiB" in " ".join(header)
        assert header[-2:] == ["GFLOP/s", "share"]
    rows = {line[0]: line for line in lines if "/" in line[0]}
    assert list(rows) == NAMES
    for name, row in rows.items():
        result = report["results"][name]
        assert float(row[1]) == pytest.approx(
            result["seconds_per_unit"]["median"], rel=1e-3
        )
        assert row[-1].endswith("%")
        assert row[6:8] == ["7", "-"]
    assert rows["train/yardstick"][4] == rows["eval/yardstick"][4] == "1.00"


def test_the_json_has_machine_versions_and_every_sample(outcome):
    _, report = outcome
    assert report["machine"]["cpu_count"] >= 1
    assert report["machine"]["platform"]
    assert report["machine"]["devices"]
    assert report["versions"]["tensorflow"] == tf.__version__
    assert report["date"].endswith("+00:00")
    assert report["optimizee"]["coordinates"] == 1
    assert report["sizes"] == Sizes(3, 2, 3, 4)._asdict()
    assert len(report["matrix_product"]["seconds"]) == 3
    for name, row in report["results"].items():
        assert len(row["samples"]) == len(row["losses"]) == 3
        assert row["unit"] == bench_report.UNITS[name.partition("/")[0]]
        assert row["units_per_sample"] == (2 if name.startswith("t") else 4)
        assert row["largest_relative_loss_difference"] < 1e-4
        assert row["memory"]["peak_rss_bytes"] == 7 * 2**20


def timed(samples, losses=(1.0, 1.0, 1.0)):
    return {
        "first_call_seconds": 5.0,
        "samples": list(samples),
        "losses": list(losses),
    }


def test_the_summary_is_the_arithmetic_of_the_samples():
    results = bench_report.summarise(
        {
            "train/xla-adjoint": timed([1.0, 2.0, 4.0], [1.0, 1.5, 1.0]),
            "train/yardstick": timed([2.0, 2.0, 2.0]),
            "eval/xla": timed([1.0, 1.0, 1.0]),
            "eval/yardstick": timed([3.0, 3.0, 3.0]),
        },
        1e9,
        10,
        Sizes(3, 2, 20, 50),
    )
    row = results["train/xla-adjoint"]
    assert row["seconds_per_unit"] == {"median": 1.0, "q1": 0.75, "q3": 1.5}
    # Rounds are paired: 2/1, 2/2, 2/4.
    assert row["speed_over_yardstick"]["median"] == 1.0
    assert row["speed_over_yardstick"]["q3"] == 1.5
    assert row["compile_seconds"] == 3.0
    assert row["largest_relative_loss_difference"] == 0.5
    forward = 2 * 10 * (22 * 80 + 40 * 80 + 20)
    assert row["useful_flop_per_unit"] == 3 * 20 * forward
    assert row["recomputed_flop_per_unit"] == 20 * forward
    assert row["useful_flop_per_s"] == 60 * forward / 1.0
    assert row["share_of_product_rate"] == 60 * forward / 1e9
    assert results["train/yardstick"]["recomputed_flop_per_unit"] == 0
    row = results["eval/xla"]
    assert row["seconds_per_unit"]["median"] == 1.0 / 50
    assert row["speed_over_yardstick"]["median"] == 3.0
    assert row["useful_flop_per_unit"] == forward
    assert row["recomputed_flop_per_unit"] == 0


def test_the_rate_is_two_n_cubed_per_second():
    assert bench_machine.product_rate([1.0, 0.5, 4.0]) == 2 * 1024**3


def test_memory_is_the_growth_over_what_was_there():
    ballast = np.ones(30_000_000)  # 240 MB, there before

    def make():
        return lambda: np.ones(10_000_000).sum()  # 80 MB, freed at once

    growth = bench_machine.memory_growth(make)
    assert 70e6 < growth["peak_rss_bytes"] < 130e6
    assert ballast.size == 30_000_000


def test_memory_that_cannot_be_read_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(bench_machine, "_PROC", tmp_path / "absent")
    with pytest.raises(OSError, match="Leave it out with --skip_memory"):
        bench_machine.memory_growth(lambda: lambda: None)


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own():
    # Tracing alone takes some megabytes, TensorFlow itself is not counted.
    growth = bench_unroll.measure_memory(
        "eval/yardstick", "quadratic", Sizes(1, 1, 1, 2)
    )
    assert 1e6 < growth["peak_rss_bytes"] < 300e6


def test_a_failed_child_is_named(monkeypatch, tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no memory left >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(bench_unroll.sys, "executable", str(program))
    with pytest.raises(
        RuntimeError, match="of eval/xla could not(.|\n)*code 3(.|\n)*no memory"
    ):
        bench_unroll.measure_memory("eval/xla", "simple", Sizes(1, 1, 1, 1))


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--optimizee=mlp_origg", "invalid choice: 'mlp_origg'"),
        ("--variants=train/fast", "invalid choice: 'train/fast'"),
        ("--repeats=0", "--repeats: must be a positive int. Received: '0'"),
        ("--windows=-2", "--windows: must be a positive int. Received: '-2'"),
        ("--eval_steps=1.5", "a positive int. Received: '1.5'"),
        ("--unroll_length=x", "a positive int. Received: 'x'"),
        ("--json=absent/bench.json", "Received: 'absent/bench.json'"),
        ("--json=.", "a file in a folder that exists. Received: '.'"),
        ("--repeat=3", "unrecognized arguments: --repeat=3"),
    ],
)
def test_bad_flags_are_refused_in_words(flag, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        bench_unroll.main([flag])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_help_lists_the_problems_and_the_rows(capsys):
    with pytest.raises(SystemExit) as stopped:
        bench_unroll.main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in [*VARIANTS, *OPTIMIZEES])


def test_the_command_measures_the_yardstick_unasked(capsys, tmp_path):
    path = tmp_path / "bench.json"
    arguments = ["--optimizee=simple", "--skip_memory", "--variants=eval/graph"]
    assert bench_unroll.main([*arguments, *SMALL, f"--json={path}"]) == 0
    report = json.loads(path.read_text())
    assert list(report["results"]) == ["eval/graph", "eval/yardstick"]
    assert bench_unroll.show(report) in capsys.readouterr().out
