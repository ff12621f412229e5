r"""Measure how fast L2O-DM trains and runs, against a plain TensorFlow one.

In one process, round after round, each variant is timed once; the order turns
by one from round to round, so that whatever else the machine does meets all
of them alike. Rows of the table:

  train/graph-adjoint   the package: runtime (graph or xla) and backward pass
  train/graph-tape      (adjoint or tape); a training episode, one meta-update
  train/xla-adjoint     per window, one call
  train/xla-tape
  train/yardstick       tools/yardstick.py: a plain per-tensor program in the
                        graph runtime; train/yardstick-xla the same under XLA
  eval/graph eval/xla eval/yardstick eval/yardstick-xla
                        an episode that is run, not differentiated

and its columns:

  s/window, s/step  seconds per training window, meta-update included, or per
                    evaluation step: median, and the quartiles q1 and q3
  speed             the yardstick's seconds / the variant's seconds in the same
                    round, the median: above 1 is faster than the yardstick
  compile s         the first call minus the median of the others
  peak MiB          growth of the process' memory over that after loading the
                    data, of building, compiling and one call, in a fresh
                    process per variant
  GPU MiB           the same growth on the first GPU, "-" without one
  GFLOP/s, share    useful work of the LSTM's matrix products per second, and
                    its part of the rate of a 1024^3 product measured in the
                    same rounds

Useful work: 2 N (22 80 + 40 80 + 20) floating-point operations per step of N
coordinates, three times that in training (the backward pass has two products
for each one forward). What the adjoint computes again is overhead and not
counted; --json has it as `recomputed_flop_per_unit`. Every variant starts from
the same weights and sees the same minibatches; the last line says how far their
losses are apart. The package is to be installed, or PYTHONPATH=. to be set.

    python tools/bench_unroll.py --json=bench.json
    python tools/bench_unroll.py --optimizee=quadratic --repeats=5 \
        --variants train/xla-adjoint eval/xla
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bench_machine
import bench_report
from bench_flags import new_parser, positive, run_benchmark
from bench_variants import VARIANTS, Sizes, make_run, measure_times

from l2o_tf.core import seeds
from l2o_tf.optimizees.collection import OPTIMIZEES, named_optimizee


def measure_memory(name: str, optimizee: str, sizes: Sizes) -> dict[str, int]:
    """Measure one variant's memory in a fresh process.

    Returns:
        As `bench_machine.memory_growth`.

    Raises:
        RuntimeError: if that process fails, with what it said.
    """
    arguments = [f"--only={name}", f"--optimizee={optimizee}"]
    arguments += [f"--{key}={size}" for key, size in sizes._asdict().items()]
    return bench_machine.measure_in_child(name, __file__, arguments)


def _measure_here(name: str, optimizee: str, sizes: Sizes) -> None:
    """Print this process' growth by one variant: the child's part."""
    problem = named_optimizee(optimizee, "train")
    seed = seeds.make_seed(0)

    def make() -> Callable[[], float]:
        run = make_run(name, problem, sizes)
        return lambda: run(seed)

    print(json.dumps(bench_machine.memory_growth(make)))


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add(
        "--optimizee",
        default="mlp_orig",
        choices=sorted(OPTIMIZEES),
        help="the problem, on its train split (default: mlp_orig, batch 128)",
    )
    add(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        default=VARIANTS,
        metavar="VARIANT",
        help="rows to measure (default: all); their yardstick always is",
    )
    for name, default, text in (
        ("repeats", 10, "rounds; each times every variant once"),
        ("windows", 5, "training windows per timed call"),
        ("unroll_length", 20, "inner steps per window"),
        ("eval_steps", 100, "inner steps per timed call of an evaluation"),
    ):
        add(
            f"--{name}",
            type=positive,
            default=default,
            metavar="INT",
            help=f"{text} (default: {default})",
        )
    add("--data_dir", help="where tensorflow-datasets lie (TFDS_DATA_DIR)")
    add("--only", choices=VARIANTS, help=argparse.SUPPRESS)
    return parser


def _with_yardsticks(names: Sequence[str]) -> list[str]:
    """Add the yardstick of every task that is measured; in table order."""
    tasks = {name.partition("/")[0] for name in names}
    wanted = {*names, *(f"{task}/yardstick" for task in tasks)}
    return [name for name in VARIANTS if name in wanted]


def benchmark(
    names: Sequence[str], optimizee: str, sizes: Sizes, memory: bool
) -> dict[str, Any]:
    """Measure, and return all that the JSON file holds.

    Args:
        names: the variants, each one's yardstick among them.
        optimizee: the problem's name.
        sizes: how much to run.
        memory: whether to measure memory too.
    """
    # First: on a GPU this process would leave the others no memory.
    grown = {}
    if memory:
        grown = {n: measure_memory(n, optimizee, sizes) for n in names}
    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        **bench_machine.facts(),
    }
    problem = named_optimizee(optimizee, "train")
    timed, products = measure_times(names, problem, sizes)
    rate = bench_machine.product_rate(products)
    size = problem.layout.size
    results = bench_report.summarise(timed, rate, size, sizes)
    for name, growth in grown.items():
        results[name]["memory"] = growth
    return report | {
        "optimizee": {
            "name": optimizee,
            "coordinates": size,
            "batch_size": getattr(problem, "batch_size", None),
            "notice": problem.notice,
        },
        "sizes": sizes._asdict(),
        "matrix_product": {
            "size": bench_machine.SIZE,
            "flop_per_s": rate,
            "seconds": products,
        },
        "forward_product_flop_per_step": bench_report.product_flop(size),
        "results": results,
    }


def show(report: Mapping[str, Any]) -> str:
    """Word a report for the terminal."""
    machine, sizes = report["machine"], report["sizes"]
    optimizee, results = report["optimizee"], report["results"]
    devices = ", ".join(machine["gpus"]) or "no GPU"
    rate = report["matrix_product"]["flop_per_s"] / 1e9
    gap = max(
        row["largest_relative_loss_difference"] for row in results.values()
    )
    lines = [
        f"{machine['platform']}, {machine['cpu_count']} CPUs, {devices}, "
        f"TensorFlow {report['versions']['tensorflow']}",
        f"{optimizee['name']}: {optimizee['coordinates']:,} coordinates; "
        f"windows of {sizes['unroll_length']} steps; {sizes['repeats']} rounds",
        f"1024^3 float32 product: {rate:.1f} GFLOP/s",
        "",
        bench_report.table(results),
        "",
        f"Losses differ from the yardstick's by at most {gap:.1e} (relative).",
    ]
    if optimizee["notice"]:
        lines += [optimizee["notice"]]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.data_dir:
        os.environ["TFDS_DATA_DIR"] = options.data_dir
    sizes = Sizes(*(getattr(options, key) for key in Sizes._fields))

    def measure() -> dict[str, Any] | None:
        if options.only:
            _measure_here(options.only, options.optimizee, sizes)
            return None
        names = _with_yardsticks(options.variants)
        return benchmark(
            names, options.optimizee, sizes, not options.skip_memory
        )

    return run_benchmark(measure, show, options.json)


if __name__ == "__main__":
    sys.exit(main())
