"""From the samples of a benchmark to its numbers and its table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench_machine import quartiles
from bench_variants import Sizes

from l2o_tf.learned.dm import DMLSTM

UNITS = {"train": "s/window", "eval": "s/step"}
"""What one unit of each task is."""


def product_flop(num_coordinates: int) -> int:
    """Count the operations of one step's matrix products.

        2 N (22 80 + 40 80 + 20)

    one multiplication and one addition per coordinate and weight of a matrix.
    """
    shapes = DMLSTM().meta_layout.shapes
    sizes = [shape[0] * shape[1] for shape in shapes if len(shape) == 2]
    return 2 * num_coordinates * sum(sizes)


def _work(name: str, forward: int, unroll_length: int) -> dict[str, int]:
    """Return the useful and the repeated operations of one unit."""
    task, _, kind = name.partition("/")
    if task == "eval":
        return {"useful_flop_per_unit": forward, "recomputed_flop_per_unit": 0}
    window = forward * unroll_length
    return {
        # Two products backward for each one forward.
        "useful_flop_per_unit": 3 * window,
        "recomputed_flop_per_unit": window * kind.endswith("-adjoint"),
    }


def summarise(
    timed: Mapping[str, Mapping[str, Any]],
    rate: float,
    num_coordinates: int,
    sizes: Sizes,
) -> dict[str, dict[str, Any]]:
    """Compute what the table and the JSON file say of each variant.

    Args:
        timed: by variant, `first_call_seconds`, and per round the seconds per
            call `samples` and the `losses`. Holds each task's yardstick.
        rate: FLOP/s of the machine's matrix products.
        num_coordinates: int, N.
        sizes: what was run.

    Returns:
        By variant: what was in `timed`, and the numbers.
    """
    forward = product_flop(num_coordinates)
    results = {}
    for name, row in timed.items():
        task = name.partition("/")[0]
        units = sizes.windows if task == "train" else sizes.eval_steps
        per_unit = [seconds / units for seconds in row["samples"]]
        work = _work(name, forward, sizes.unroll_length)
        call = statistics.median(row["samples"])
        speed = work["useful_flop_per_unit"] * units / call
        plain = timed[f"{task}/yardstick"]
        pairs = zip(plain["samples"], row["samples"], strict=True)
        losses = zip(plain["losses"], row["losses"], strict=True)
        results[name] = {
            **row,
            **work,
            "unit": UNITS[task],
            "units_per_sample": units,
            "seconds_per_unit": quartiles(per_unit),
            "speed_over_yardstick": quartiles([p / s for p, s in pairs]),
            "compile_seconds": row["first_call_seconds"] - call,
            "useful_flop_per_s": speed,
            "share_of_product_rate": speed / rate,
            "largest_relative_loss_difference": max(
                abs(loss - expected) / abs(expected)
                for expected, loss in losses
            ),
        }
    return results


def memory_cells(row: Mapping[str, Any]) -> list[str]:
    """Word the MiB of a row, "-" for what was not measured."""
    memory = row.get("memory", {})
    return [
        f"{memory[key] / 2**20:.0f}" if key in memory else "-"
        for key in ("peak_rss_bytes", "gpu_bytes")
    ]


def _cells(name: str, row: Mapping[str, Any]) -> list[str]:
    seconds, speed = row["seconds_per_unit"], row["speed_over_yardstick"]
    return [
        name,
        *(f"{seconds[key]:.4g}" for key in ("median", "q1", "q3")),
        f"{speed['median']:.2f}",
        f"{row['compile_seconds']:.1f}",
        *memory_cells(row),
        f"{row['useful_flop_per_s'] / 1e9:.2f}",
        f"{row['share_of_product_rate']:.1%}",
    ]


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Align columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay the results out: a line per variant, a block per task."""
    blocks = []
    for task, unit in UNITS.items():
        header = [task, unit, "q1", "q3", "speed", "compile s", "peak MiB"]
        header += ["GPU MiB", "GFLOP/s", "share"]
        lines = [
            _cells(name, row)
            for name, row in results.items()
            if row["unit"] == unit
        ]
        if lines:
            blocks.append(aligned([header, *lines]))
    return "\n\n".join(blocks)
