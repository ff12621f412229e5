r"""Measure what a step of each learned optimizer costs, by tensor and by size.

HierarchicalRNN sees tensors as such, L2O-DM and RNNprop see coordinates only:
its time and memory per coordinate must not grow with the number of tensors,
nor any cell's with the number of coordinates. The problem is 1/2 sum x^2,
which costs next to nothing, over tensors of unequal sizes. In one process,
round after round, each row is timed once; the order turns by one from round
to round. Rows of the two tables are CELL/TENSORSxCOORDINATES:

  train   one episode of windows of 20 steps, a meta-update by Adam after each;
          the meta-loss is the logarithm of the ratio of the losses for
          HierarchicalRNN and their sum for the others
  eval    an episode that is run, not differentiated

and their columns:

  s/step      seconds per inner step, in training everything included: median,
              and the quartiles q1 and q3
  ns/coord    nanoseconds per step and coordinate
  x tensors   the time over that of the same cell with as many coordinates in
              the fewest tensors, in the same round, the median
  x coords    the time per coordinate over that of the same cell with as many
              tensors and the fewest coordinates, likewise
  x DMLSTM    the time over DMLSTM's, likewise
  compile s   the first call minus the median of the others
  peak MiB    growth of the process' memory, of building, compiling and one
              call, in a fresh process per row
  GPU MiB     the same growth on the first GPU, "-" without one

The package is to be installed, or PYTHONPATH=. to be set.

    python tools/bench_cells.py --json=cells.json
    python tools/bench_cells.py --runtime=graph --repeats=3 --skip_memory \
        --tensors 4 500 --coordinates 16000
"""

from __future__ import annotations

import argparse
import datetime
import functools
import itertools
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import bench_machine
import bench_report
import tensorflow as tf
from bench_cell_rows import (
    CELLS,
    TASKS,
    Row,
    make_run,
    measure_times,
    steps_of,
    tensor_sizes,
)
from bench_flags import new_parser, positive, run_benchmark
from bench_variants import Sizes

RATIOS = ("x tensors", "x coords", "x DMLSTM")


def _over(
    timed: Mapping[Row, Mapping[str, Any]], row: Row, reference: Row
) -> float | None:
    """Return the ratio of the times per coordinate, None if not measured."""
    if reference not in timed:
        return None
    pairs = zip(timed[row]["samples"], timed[reference]["samples"], strict=True)
    ratio = statistics.median(a / b for a, b in pairs)
    return ratio * reference.coordinates / row.coordinates


def summarise(
    timed: Mapping[Row, Mapping[str, Any]], sizes: Sizes
) -> dict[str, dict[str, Any]]:
    """Compute what the tables and the JSON file say of each row, by its name.

    A ratio is None where what it is taken over was not measured.
    """
    results = {}
    for row, times in timed.items():
        like = [r for r in timed if r[:2] == row[:2]]
        references = (
            min(r for r in like if r.coordinates == row.coordinates),
            min(r for r in like if r.tensors == row.tensors),
            row._replace(cell="DMLSTM"),
        )
        steps = steps_of(row, sizes)
        per_step = [seconds / steps for seconds in times["samples"]]
        call = statistics.median(times["samples"])
        results[str(row)] = {
            **row._asdict(),
            **times,
            "seconds_per_step": bench_machine.quartiles(per_step),
            "ns_per_coordinate": 1e9 * call / steps / row.coordinates,
            "ratios": {
                name: _over(timed, row, reference)
                for name, reference in zip(RATIOS, references, strict=True)
            },
            "compile_seconds": times["first_call_seconds"] - call,
        }
    return results


def benchmark(
    rows: Sequence[Row], sizes: Sizes, runtime: str, memory: bool
) -> dict[str, Any]:
    """Measure, and return all that the JSON file holds."""
    for row in rows:
        tensor_sizes(row.tensors, row.coordinates)  # refuses a misfit now
    # First: on a GPU this process would leave the others no memory.
    grown = {}
    for row in rows if memory else ():
        flags = [f"--only={row}", f"--runtime={runtime}"]
        flags += [f"--{key}={size}" for key, size in sizes._asdict().items()]
        grown[str(row)] = bench_machine.measure_in_child(
            str(row), __file__, flags
        )
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        **bench_machine.facts(),
        "runtime": runtime,
        "sizes": sizes._asdict(),
    }
    results = summarise(measure_times(rows, sizes, runtime == "xla"), sizes)
    for name, growth in grown.items():
        results[name]["memory"] = growth
    return report | {"results": results}


def _cells(row: Mapping[str, Any]) -> list[str]:
    seconds = row["seconds_per_step"]
    ratios = [row["ratios"][name] for name in RATIOS]
    return [
        f"{row['cell']}/{row['tensors']}x{row['coordinates']}",
        *(f"{seconds[key]:.3g}" for key in ("median", "q1", "q3")),
        f"{row['ns_per_coordinate']:.1f}",
        *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        f"{row['compile_seconds']:.1f}",
        *bench_report.memory_cells(row),
    ]


def show(report: Mapping[str, Any]) -> str:
    """Word a report for the terminal."""
    machine, sizes = report["machine"], report["sizes"]
    devices = ", ".join(machine["gpus"]) or "no GPU"
    blocks = [
        f"{machine['platform']}, {machine['cpu_count']} CPUs, {devices}, "
        f"TensorFlow {report['versions']['tensorflow']}, {report['runtime']}; "
        f"windows of {sizes['unroll_length']} steps; {sizes['repeats']} rounds"
    ]
    cells = list(CELLS)
    rows = sorted(
        report["results"].values(),
        key=lambda row: (
            cells.index(row["cell"]),
            row["tensors"],
            row["coordinates"],
        ),
    )
    for task in TASKS:
        header = [task, "s/step", "q1", "q3", "ns/coord", *RATIOS]
        header += ["compile s", "peak MiB", "GPU MiB"]
        lines = [_cells(row) for row in rows if row["task"] == task]
        blocks.append(bench_report.aligned([header, *lines]))
    return "\n\n".join(blocks)


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add = parser.add_argument

    def listed(name: str, default: list[int], text: str) -> None:
        text = f"{text}; every pair is measured (default: {default})"
        add(f"--{name}", type=positive, nargs="+", default=default, help=text)

    listed("tensors", [1, 4, 30, 500], "numbers of tensors")
    listed("coordinates", [1_000, 16_000, 128_000], "numbers of coordinates")
    add(
        "--cells",
        nargs="+",
        choices=CELLS,
        default=list(CELLS),
        help="optimizers (default: all)",
    )
    add(
        "--runtime",
        choices=("xla", "graph"),
        default="xla",
        help="XLA (default) or the graph runtime",
    )
    for name, default, text in (
        ("repeats", 7, "rounds; each times every row once"),
        ("windows", 2, "training windows per timed call"),
        ("unroll_length", 20, "inner steps per window"),
        ("eval_steps", 50, "inner steps per timed call of an evaluation"),
    ):
        text = f"{text} (default: {default})"
        add(f"--{name}", type=positive, default=default, help=text)
    add("--only", type=Row.parse, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    sizes = Sizes(*(getattr(options, key) for key in Sizes._fields))
    jit_compile = options.runtime == "xla"
    # It would warn that rows have much the same program: they are to have it.
    tf.get_logger().setLevel("ERROR")

    def measure() -> dict[str, Any] | None:
        if options.only:
            make = functools.partial(make_run, options.only, sizes, jit_compile)
            print(json.dumps(bench_machine.memory_growth(make)))
            return None
        grid = itertools.product(
            TASKS, options.cells, options.tensors, options.coordinates
        )
        rows = list(map(Row._make, grid))
        return benchmark(rows, sizes, options.runtime, not options.skip_memory)

    return run_benchmark(measure, show, options.json)


if __name__ == "__main__":
    sys.exit(main())
