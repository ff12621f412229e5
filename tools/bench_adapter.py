r"""Measure the Keras optimizer against the bare cell and against Keras' Adam.

One step is `optimizer.apply(gradients)` on a model's variables, called from
Python as a training loop without `fit` would. In one process, round after
round, each program takes some steps; the order turns by one from round to
round. Rows of the table, each under XLA and in the graph runtime:

  cell       L2O-DM's cell alone, on one vector of the same coordinates; its
             state goes in and out of the call
  adapter    `KerasOptimizer` around that cell, in blocks of --block_size
  adam       our Adam behind `KerasOptimizer`
  keras      Keras' own Adam

and its columns:

  ms/step    median, and the quartiles q1 and q3 over rounds
  / cell     the row's seconds / the cell's in the same round, the median
  / keras    the row's seconds / Keras' Adam's in the same round, the median

Peak memory is the growth of a fresh process by building the adapter around
L2O-DM and one step: once in blocks, and once in one piece.

    python tools/bench_adapter.py --sizes 15910 1000000
    python tools/bench_adapter.py --sizes 10000000 --repeats=3 --steps=1
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bench_machine
import bench_report
import keras
import numpy as np
import tensorflow as tf
from bench_flags import new_parser, positive, run_benchmark

from l2o_tf.core.compile import compiled
from l2o_tf.core.layout import Layout
from l2o_tf.interop.keras_optimizer import BLOCK_SIZE, KerasOptimizer
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.base import OptimizerInputs

TENSORS = 4
"""The variables of the model, of about the same size, as MLP-orig has."""
PROGRAMS = ("cell", "adapter", "adam", "keras")
RUNTIMES = {"xla": True, "graph": False}

Steps = Callable[[int], None]


def make_model(
    size: int,
) -> tuple[list[keras.Variable], list[tf.Tensor]]:
    """Return variables of `size` numbers in all, and gradients for them."""
    rng = np.random.default_rng(0)
    pieces = np.array_split(rng.standard_normal(size, np.float32), TENSORS)
    gradients = [tf.constant(0.01 * piece) for piece in pieces]
    return [keras.Variable(piece) for piece in pieces], gradients


def _cell_steps(size: int, jit_compile: bool) -> Steps:
    _, gradients = make_model(size)
    gradient, cell = tf.concat(gradients, 0), DMLSTM()
    call = compiled(cell.call, jit_compile)

    def steps(count: int) -> None:
        state = cell.get_initial_state(Layout(("x",), ((size,),)))
        for step in range(1, count + 1):
            number = tf.constant(step, tf.int32)
            inputs = OptimizerInputs(gradient, (), tf.constant(0.0), number)
            update, state = call(inputs, state)
        update.numpy()

    return steps


def make_optimizer(name: str, block_size: int) -> keras.optimizers.Optimizer:
    """Return the Keras optimizer of a row of the table."""
    if name == "keras":
        return keras.optimizers.Adam()
    cell = DMLSTM() if name == "adapter" else Adam()
    return KerasOptimizer(cell, block_size=block_size)


def make_steps(
    name: str, size: int, jit_compile: bool, block_size: int
) -> Steps:
    """Build a program: a function of how many steps to take.

    Args:
        name: one of `PROGRAMS`.
        size: int, coordinates.
        jit_compile: bool, XLA or the graph runtime.
        block_size: int, of the adapter.
    """
    if name == "cell":
        return _cell_steps(size, jit_compile)
    variables, gradients = make_model(size)
    optimizer = make_optimizer(name, block_size)
    optimizer.build(variables)
    apply = tf.function(
        lambda *g: optimizer.apply(list(g)),
        jit_compile=jit_compile,
        autograph=False,
    )

    def steps(count: int) -> None:
        for _ in range(count):
            apply(*gradients)
        variables[0].numpy()

    return steps


def measure_times(
    programs: Mapping[str, Steps], num_steps: int, repeats: int
) -> dict[str, list[float]]:
    """Time the programs, interleaved; return seconds per step, per round."""
    samples: dict[str, list[float]] = {name: [] for name in programs}
    for steps in programs.values():
        steps(1)
    names = list(programs)
    for i in range(repeats):
        turn = i % len(names)
        for name in [*names[turn:], *names[:turn]]:
            seconds, _ = bench_machine.seconds_of(
                functools.partial(programs[name], num_steps)
            )
            samples[name].append(seconds / num_steps)
    return samples


def summarise(samples: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Compute each program's time and its ratios; rounds are paired."""
    results = {}
    for name, seconds in samples.items():
        runtime = name.rpartition("/")[2]
        results[name] = {
            "samples": list(seconds),
            "seconds_per_step": bench_machine.quartiles(seconds),
        } | {
            f"over_{other}": statistics.median(
                mine / theirs
                for mine, theirs in zip(
                    seconds, samples[f"{other}/{runtime}"], strict=True
                )
            )
            for other in ("cell", "keras")
        }
    return results


def benchmark(
    size: int, block_size: int, num_steps: int, repeats: int, memory: bool
) -> dict[str, Any]:
    """Measure one number of coordinates."""
    grown = {}
    if memory:
        for block in sorted({block_size, size}):
            grown[str(block)] = bench_machine.measure_in_child(
                f"blocks of {block}",
                __file__,
                [f"--only={size}", f"--block_size={block}"],
            )
    programs = {
        f"{name}/{runtime}": make_steps(name, size, jit_compile, block_size)
        for runtime, jit_compile in RUNTIMES.items()
        for name in PROGRAMS
    }
    times = summarise(measure_times(programs, num_steps, repeats))
    return {"coordinates": size, "results": times, "memory": grown}


def _measure_here(size: int, block_size: int) -> None:
    """Print this process' growth by one adapter: the child's part."""
    variables, gradients = make_model(size)

    def make() -> Callable[[], None]:
        optimizer = make_optimizer("adapter", block_size)
        optimizer.build(variables)
        apply = tf.function(
            lambda *g: optimizer.apply(list(g)), autograph=False
        )
        return lambda: apply(*gradients) and None

    print(json.dumps(bench_machine.memory_growth(make)))


def show(report: Mapping[str, Any]) -> str:
    """Word a report for the terminal."""
    blocks = []
    for entry in report["sizes"]:
        size = entry["coordinates"]
        lines = [["program", "ms/step", "q1", "q3", "/ cell", "/ keras"]]
        names = [f"{name}/{run}" for run in RUNTIMES for name in PROGRAMS]
        for name in names:
            row = entry["results"][name]
            times = row["seconds_per_step"]
            lines.append(
                [
                    name,
                    *(f"{1e3 * times[k]:.4g}" for k in ("median", "q1", "q3")),
                    f"{row['over_cell']:.2f}",
                    f"{row['over_keras']:.2f}",
                ]
            )
        blocks += [f"{size:,} coordinates", bench_report.aligned(lines), ""]
        blocks += [
            f"blocks of {block}: {grown['peak_rss_bytes'] / 2**20:.0f} MiB, "
            f"{grown['peak_rss_bytes'] / size:.0f} bytes per parameter"
            for block, grown in entry["memory"].items()
        ]
    return "\n".join(blocks)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--sizes", type=positive, nargs="+", default=[15_910, 1_000_000])
    add("--block_size", type=positive, default=BLOCK_SIZE)
    add("--steps", type=positive, default=10, help="per program and round")
    add("--repeats", type=positive, default=7, help="rounds")
    add("--only", type=positive, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)

    def measure() -> dict[str, Any] | None:
        if options.only:
            _measure_here(options.only, options.block_size)
            return None
        sizes = [
            benchmark(
                size,
                options.block_size,
                options.steps,
                options.repeats,
                not options.skip_memory,
            )
            for size in options.sizes
        ]
        measured = {"block_size": options.block_size, "sizes": sizes}
        return bench_machine.facts() | measured

    return run_benchmark(measure, show, options.json)


if __name__ == "__main__":
    sys.exit(main())
