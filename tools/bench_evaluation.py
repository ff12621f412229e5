r"""Measure an evaluation of L2O-DM against a plain TensorFlow one.

An evaluation records the loss after every update, on another fresh minibatch
than the update's. In one process, round after round, each program records one
curve, of the round's own seed; the order turns by one from round to round, so
that whatever else the machine does meets all of them alike. Rows of the table:

  recorder         the package: `evaluation.CurveRecorder`, as it is by default
  plain-xla        tools/yardstick.py: a loop over the steps in one call, tensor
  plain-graph      by tensor, under XLA and in the graph runtime

and its columns:

  s/step     seconds per step: median, and the quartiles q1 and q3 over rounds
  ratio      the recorder's seconds / the row's seconds in the same round, the
             median: below 1 the recorder is faster
  compile s  the first call minus the median of the others

The line "against the faster" is the ratio to the plain program with the lower
median. Peak memory is the growth of a fresh process, over that after loading
the data, by building a recorder, compiling and recording N/10, N and 2 N steps:
"flat" is the last over the first.

All start from the same random weights, draws and minibatches; the table ends
with how far their first 100 losses are apart. The package is to be installed,
or PYTHONPATH=. to be set.

    python tools/bench_evaluation.py --json=evaluation.json
    python tools/bench_evaluation.py --optimizee=quadratic --steps=200 \
        --repeats=2 --skip_memory
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bench_machine
import bench_report
import numpy as np
import tensorflow as tf
from bench_flags import new_parser, positive, run_benchmark
from yardstick import Inner, Tensors, Yardstick

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.core.types import Scalar, Seed
from l2o_tf.evaluation.recorder import CurveRecorder
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.optimizees.base import Optimizee
from l2o_tf.optimizees.collection import named_optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.unroll.carry import Carry, batch_seed

Record = Callable[[int], np.ndarray]

RECORDER = "recorder"
PLAIN = ("plain-xla", "plain-graph")
PROGRAMS = (RECORDER, *PLAIN)
OPTIMIZEES = ("mlp_deeper", "mlp_orig", "mlp_relu", "quadratic", "simple")
"""The named problems that the yardstick has a program of."""
_COMPARED = 100  # losses; rounding errors grow from step to step


class PlainEvaluation(Yardstick):
    """The yardstick's evaluation with the loss after every update.

    Memory: the params and states, and one number per step.

    Args:
        optimizee: the problem.
        num_steps: int, updates.
        jit_compile: bool, XLA or the graph runtime.

    Raises:
        ValueError: if there is no per-tensor program of the problem.
    """

    def __init__(
        self, optimizee: Optimizee, num_steps: int, jit_compile: bool
    ) -> None:
        super().__init__(optimizee, 1, jit_compile)
        self._num_steps = num_steps
        self.curve = compiled(self._curve, jit_compile)

    def _curve(self, weights: Tensors, seed: Seed) -> tf.Tensor:
        """Return the losses, `[num_steps]`."""

        def other_batch(carry: Carry) -> Seed:
            # Child 1 of the seed of the update before: `CurveRecorder`'s.
            before = carry._replace(step=carry.step - 1)
            return seeds.fold_in(batch_seed(before), 1)

        def body(
            i: Scalar, losses: tf.TensorArray, inner: Inner
        ) -> tuple[Scalar, tf.TensorArray, Inner]:
            _, inner = self._step(weights, inner, seed)
            losses = losses.write(i, self._f(inner, seed, other_batch))
            return i + 1, losses, inner

        _, losses, _ = tf.while_loop(
            lambda i, *_: i < self._num_steps,
            body,
            (
                tf.constant(0),
                tf.TensorArray(tf.float32, self._num_steps, element_shape=[]),
                self._start(seed),
            ),
            maximum_iterations=self._num_steps,
        )
        return losses.stack()


def make_record(
    name: str, cell: OptimizerCell, optimizee: Optimizee, num_steps: int
) -> Record:
    """Build a program: a function of an int, the seed, that returns a curve.

    Args:
        name: one of `PROGRAMS`.
        cell: a `DMLSTM` of the default arguments.
        optimizee: the problem.
        num_steps: int, updates.
    """
    if name == RECORDER:
        recorder = CurveRecorder(cell, optimizee)
        return lambda seed: np.concatenate(
            list(recorder.record(seed, num_steps))
        )
    plain = PlainEvaluation(optimizee, num_steps, name == "plain-xla")
    weights = list(cell.meta_layout.split(cell.meta_params()))
    return lambda seed: plain.curve(weights, seeds.make_seed(seed)).numpy()


def measure_times(
    records: Mapping[str, Record], repeats: int
) -> dict[str, dict[str, Any]]:
    """Time the programs, interleaved.

    Returns:
        By program the `first_call_seconds`; and per round the seconds per
        call, `samples`, and the first 100 `losses`.

    Raises:
        RuntimeError: if a loss is not finite: the recorder would compute
            nothing from there on.
    """
    names = list(records)
    results: dict[str, dict[str, Any]] = {}
    for name, record in records.items():
        first, _ = bench_machine.seconds_of(functools.partial(record, repeats))
        results[name] = {
            "first_call_seconds": first,
            "samples": [],
            "losses": [],
        }
    for i in range(repeats):
        turn = i % len(names)
        for name in [*names[turn:], *names[:turn]]:
            seconds, losses = bench_machine.seconds_of(
                functools.partial(records[name], i)
            )
            if not np.isfinite(losses).all():
                raise RuntimeError(
                    "An evaluation that is measured must stay finite. "
                    f"Received: {name}, seed={i}, from step "
                    f"{int(np.argmin(np.isfinite(losses))) + 1} on. Use fewer "
                    "--steps or another --optimizee."
                )
            results[name]["samples"].append(seconds)
            results[name]["losses"].append(losses[:_COMPARED].tolist())
    return results


def _ratio(
    timed: Mapping[str, Mapping[str, Any]], name: str
) -> dict[str, float]:
    """Return the recorder's seconds over a program's; rounds are paired."""
    pairs = zip(timed[RECORDER]["samples"], timed[name]["samples"], strict=True)
    return bench_machine.quartiles([ours / other for ours, other in pairs])


def _difference(timed: Mapping[str, Mapping[str, Any]], name: str) -> float:
    """Return how far a program's losses are from the recorder's, relative."""
    expected = np.asarray(timed[RECORDER]["losses"])
    actual = np.asarray(timed[name]["losses"])
    return float(np.max(np.abs(actual - expected) / np.abs(expected)))


def summarise(
    timed: Mapping[str, Mapping[str, Any]], num_steps: int
) -> dict[str, Any]:
    """Compute what the table and the JSON file say of the times.

    Args:
        timed: as `measure_times` returns it.
        num_steps: int, updates per sample.

    Returns:
        `results`, by program; and `against_the_faster`: which plain program
        has the lower median, and the ratio to it.
    """
    medians = {
        name: statistics.median(row["samples"]) for name, row in timed.items()
    }
    faster = min(PLAIN, key=lambda name: medians[name])
    results = {
        name: {
            **row,
            "seconds_per_step": bench_machine.quartiles(
                [seconds / num_steps for seconds in row["samples"]]
            ),
            "ratio": _ratio(timed, name),
            "compile_seconds": row["first_call_seconds"] - medians[name],
            "largest_relative_loss_difference": _difference(timed, name),
        }
        for name, row in timed.items()
    }
    return {
        "results": results,
        "against_the_faster": {"program": faster, **_ratio(timed, faster)},
    }


def memory_lengths(num_steps: int) -> tuple[int, ...]:
    """Return the numbers of steps at which memory is measured."""
    return tuple(sorted({max(num_steps // 10, 1), num_steps, 2 * num_steps}))


def measure_memory(optimizee: str, num_steps: int) -> dict[str, int]:
    """Measure the recorder's memory in a fresh process.

    Returns:
        As `bench_machine.memory_growth`.

    Raises:
        RuntimeError: if that process fails, with what it said.
    """
    return bench_machine.measure_in_child(
        f"{num_steps} steps",
        __file__,
        [f"--only={num_steps}", f"--optimizee={optimizee}"],
    )


def _measure_here(optimizee: str, num_steps: int) -> None:
    """Print this process' growth by one recorder: the child's part."""
    problem = named_optimizee(optimizee, "test")

    def make() -> Callable[[], np.ndarray]:
        record = make_record(RECORDER, DMLSTM(), problem, num_steps)
        return functools.partial(record, 0)

    print(json.dumps(bench_machine.memory_growth(make)))


def benchmark(
    optimizee: str, num_steps: int, repeats: int, memory: bool
) -> dict[str, Any]:
    """Measure, and return all that the JSON file holds."""
    # First: on a GPU this process would leave the others no memory.
    grown = {}
    if memory:
        grown = {
            str(length): measure_memory(optimizee, length)
            for length in memory_lengths(num_steps)
        }
    problem, cell = named_optimizee(optimizee, "test"), DMLSTM()
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        **bench_machine.facts(),
        "optimizee": {
            "name": optimizee,
            "coordinates": problem.layout.size,
            "batch_size": getattr(problem, "batch_size", None),
            "notice": problem.notice,
        },
        "sizes": {"steps": num_steps, "repeats": repeats},
        "memory": grown,
    }
    records = {
        name: make_record(name, cell, problem, num_steps) for name in PROGRAMS
    }
    return report | summarise(measure_times(records, repeats), num_steps)


def _time_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [["program", "s/step", "q1", "q3", "ratio", "compile s"]]
    for name in PROGRAMS:
        row = results[name]
        seconds = row["seconds_per_step"]
        lines.append(
            [
                name,
                *(f"{seconds[key]:.4g}" for key in ("median", "q1", "q3")),
                f"{row['ratio']['median']:.2f}",
                f"{row['compile_seconds']:.1f}",
            ]
        )
    return bench_report.aligned(lines)


def flatness(memory: Mapping[str, Mapping[str, int]]) -> float:
    """Return the memory of most steps over that of fewest."""
    lengths = sorted(memory, key=int)
    most, fewest = memory[lengths[-1]], memory[lengths[0]]
    return most["peak_rss_bytes"] / fewest["peak_rss_bytes"]


def _memory_table(memory: Mapping[str, Mapping[str, int]]) -> str:
    lines = [["steps", "peak MiB", "GPU MiB"]]
    lines += [
        [length, *bench_report.memory_cells({"memory": memory[length]})]
        for length in sorted(memory, key=int)
    ]
    table = bench_report.aligned(lines)
    return f"{table}\nflat: {flatness(memory):.2f}"


def show(report: Mapping[str, Any]) -> str:
    """Word a report for the terminal."""
    machine, sizes = report["machine"], report["sizes"]
    optimizee, results = report["optimizee"], report["results"]
    ratio = report["against_the_faster"]
    gap = max(
        row["largest_relative_loss_difference"] for row in results.values()
    )
    devices = ", ".join(machine["gpus"]) or "no GPU"
    lines = [
        f"{machine['platform']}, {machine['cpu_count']} CPUs, {devices}, "
        f"TensorFlow {report['versions']['tensorflow']}",
        f"{optimizee['name']}: {optimizee['coordinates']:,} coordinates; "
        f"{sizes['steps']:,} steps; {sizes['repeats']} rounds",
        "",
        _time_table(results),
        "",
        f"Against the faster, {ratio['program']}: {ratio['median']:.3f} "
        f"({ratio['q1']:.3f} to {ratio['q3']:.3f}) of its time.",
        "",
    ]
    if report["memory"]:
        lines += [_memory_table(report["memory"]), ""]
    lines += [
        f"The first {min(_COMPARED, sizes['steps'])} losses differ from the "
        f"recorder's by at most {gap:.1e} (relative)."
    ]
    if optimizee["notice"]:
        lines += [optimizee["notice"]]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add(
        "--optimizee",
        default="mlp_orig",
        choices=OPTIMIZEES,
        help="the problem, on its test split (default: mlp_orig, batch 128)",
    )
    for name, default, text in (
        ("steps", 10_000, "updates per evaluation, N"),
        ("repeats", 3, "rounds; each times every program once"),
    ):
        text = f"{text} (default: {default})"
        add(f"--{name}", type=positive, default=default, help=text)
    add("--data_dir", help="where tensorflow-datasets lie (TFDS_DATA_DIR)")
    add("--only", type=positive, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.data_dir:
        os.environ["TFDS_DATA_DIR"] = options.data_dir

    def measure() -> dict[str, Any] | None:
        if options.only:
            _measure_here(options.optimizee, options.only)
            return None
        return benchmark(
            options.optimizee,
            options.steps,
            options.repeats,
            not options.skip_memory,
        )

    return run_benchmark(measure, show, options.json)


if __name__ == "__main__":
    sys.exit(main())
