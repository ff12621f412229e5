r"""Measure Table 1 of SimpleOptimizer's paper: weights, and ms per update.

An update of the base MLP (397,510 coordinates) is a minibatch of 128 images,
the gradient on it and the optimizer's own work. In one process the optimizers
take turns, one timed call each, so that whatever else the machine does meets
all of them alike. Rows of the table:

  simple            SimpleOptimizer, 132 weights
  dm_base_mlp       L2O-DM's two LSTMs of 20 units
  rnnprop_base_mlp  RNNprop's
  sgd               SGD: what the minibatch and the gradient take by themselves

and its columns:

  weights   here, and there: PyTorch's LSTMs have a second bias per gate
  ms        per update: median, and the quartiles q1 and q3 over rounds
  ratio     of the medians, to SimpleOptimizer; there: the paper's
  own       the same, of what an optimizer takes on top of SGD
  peak MiB  the growth of a fresh process by building its update and its calls

    python tools/bench_simple.py --json=runs/eval_simple/table_1.json
    python tools/bench_simple.py --optimizee=simple --steps=5 --repeats=2 \
        --skip_memory
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bench_machine
import bench_report
from bench_flags import new_parser, positive, run_benchmark

from l2o_tf.evaluation import wall_clock
from l2o_tf.evaluation.wall_clock import StepTime
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.learned.simple import SimpleOptimizer
from l2o_tf.optimizees.collection import OPTIMIZEES, named_optimizee
from l2o_tf.optimizers.base import OptimizerCell
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.reporting.simple_costs import REFERENCE
from l2o_tf.reporting.simple_paper import SPLIT, TABLE_1

BARE = "sgd"
"""The optimizer whose own work counts as none."""

OPTIMIZERS: Mapping[str, Callable[[], OptimizerCell]] = {
    REFERENCE: SimpleOptimizer,
    "dm_base_mlp": DMLSTM,
    "rnnprop_base_mlp": RNNprop,
    BARE: SGD,
}
"""Name to what makes the optimizer, untrained: that takes the same time."""


def count_weights(cell: OptimizerCell) -> int:
    """Return how many numbers were, or would be, trained."""
    return sum(int(v.shape.num_elements()) for v in cell.trainable_variables)


def summarise(
    times: Mapping[str, StepTime], weights: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Compute what the table and the JSON file say of each optimizer."""
    simple, bare = times[REFERENCE].median_ms, times[BARE].median_ms
    return {
        name: {
            "weights": weights[name],
            "milliseconds": time.median_ms,
            **time._asdict(),
            "ratio": time.median_ms / simple,
            # Below 0 on a noisy machine, or not a number: then it says so.
            "own_ratio": (
                (time.median_ms - bare) / (simple - bare)
                if simple > bare
                else None
            ),
        }
        for name, time in times.items()
    }


def _measure_here(name: str, optimizee: str, steps: int) -> None:
    """Print this process' growth by one optimizer's call: the child's part."""
    problem = named_optimizee(optimizee, SPLIT)

    def make() -> Callable[[], StepTime]:
        return functools.partial(
            wall_clock.measure_step, OPTIMIZERS[name](), problem, steps, 1
        )

    print(json.dumps(bench_machine.memory_growth(make)))


def benchmark(
    optimizee: str, steps: int, repeats: int, memory: bool
) -> dict[str, Any]:
    """Measure, and return all that the JSON file holds."""
    # First: on a GPU this process would leave the others no memory.
    grown = {}
    for name in OPTIMIZERS if memory else ():
        flags = [f"--only={name}", f"--optimizee={optimizee}"]
        grown[name] = bench_machine.measure_in_child(
            name, __file__, [*flags, f"--steps={steps}"]
        )
    problem = named_optimizee(optimizee, SPLIT)
    cells = {name: make() for name, make in OPTIMIZERS.items()}
    measured = wall_clock.measure_all(
        [(cell, problem) for cell in cells.values()], steps, repeats
    )
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        **bench_machine.facts(),
        "optimizee": {
            "name": optimizee,
            "coordinates": problem.layout.size,
            "notice": problem.notice,
        },
        "sizes": {"steps": steps, "repeats": repeats},
        "memory": grown,
        "optimizers": summarise(
            dict(zip(cells, measured, strict=True)),
            {name: count_weights(cell) for name, cell in cells.items()},
        ),
    }


def _line(name: str, report: Mapping[str, Any]) -> list[str]:
    row, there = report["optimizers"][name], TABLE_1.get(name)
    published = TABLE_1[REFERENCE].milliseconds
    own = row["own_ratio"]
    memory = {"memory": report["memory"].get(name, {})}
    return [
        name,
        f"{row['weights']:,}",
        f"{there.weights:,}" if there else "-",
        *(f"{row[key]:.4g}" for key in ("median_ms", "low_ms", "high_ms")),
        f"{row['ratio']:.2f}",
        f"{there.milliseconds / published:.1f}" if there else "-",
        "-" if own is None else f"{own:.2f}",
        *bench_report.memory_cells(memory),
    ]


def show(report: Mapping[str, Any]) -> str:
    """Word a report for the terminal."""
    machine, sizes = report["machine"], report["sizes"]
    optimizee = report["optimizee"]
    devices = ", ".join(machine["gpus"]) or "no GPU"
    columns = ["optimizer", "weights", "there", "ms", "q1", "q3", "ratio"]
    columns += ["there", "own", "peak MiB", "GPU MiB"]
    lines = [
        f"{machine['platform']}, {machine['cpu_count']} CPUs, {devices}, "
        f"TensorFlow {report['versions']['tensorflow']}",
        f"{optimizee['name']}: {optimizee['coordinates']:,} coordinates; "
        f"{sizes['steps']} updates per call at most, {sizes['repeats']} rounds",
        "",
        bench_report.aligned(
            [columns, *(_line(name, report) for name in OPTIMIZERS)]
        ),
    ]
    if optimizee["notice"]:
        lines += ["", optimizee["notice"]]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add(
        "--optimizee",
        default="base_mlp",
        choices=sorted(OPTIMIZEES),
        help="the problem, on its train split (default: base_mlp)",
    )
    add("--steps", type=positive, default=10, help="most updates per call")
    add("--repeats", type=positive, default=7, help="rounds")
    add("--data_dir", help="where tensorflow-datasets lie (TFDS_DATA_DIR)")
    add("--only", choices=OPTIMIZERS, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.data_dir:
        os.environ["TFDS_DATA_DIR"] = options.data_dir

    def measure() -> dict[str, Any] | None:
        if options.only:
            _measure_here(options.only, options.optimizee, options.steps)
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
