"""Table 1 of SimpleOptimizer's paper: weights and milliseconds, as ratios.

The numbers come from tools/bench_simple.py, all of one run; `FILE` beside the
curves holds them.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from l2o_tf.reporting.simple_paper import BASE, OPTIMIZERS, TABLE_1, Cost
from l2o_tf.reporting.tables import Cell, Table, ordered

FILE = "table_1.json"
REFERENCE = "simple"
"""What the ratios are to."""


def _ratio(costs: Mapping[str, Cost], name: str) -> str:
    """Return milliseconds over those of `REFERENCE`; "" where one is not."""
    if name not in costs or REFERENCE not in costs:
        return ""
    ratio = costs[name].milliseconds / costs[REFERENCE].milliseconds
    return f"{ratio:.1f}"


def cost_table(costs: Mapping[str, Cost]) -> Table:
    """Return what optimizers cost here, beside the paper's table.

    Args:
        costs: name of an optimizer to its cost. The paper's come first.
    """
    rows: list[tuple[Cell, ...]] = []
    for name in ordered(TABLE_1, costs):
        cost, there = costs[name], TABLE_1.get(name)
        rows.append(
            (
                f"{OPTIMIZERS[name]} (`{name}`)" if there else f"`{name}`",
                f"{cost.weights:,}",
                f"{there.weights:,}" if there else "",
                f"{cost.milliseconds:.4g}",
                _ratio(costs, name),
                f"{there.milliseconds:.4g}" if there else "",
                _ratio(TABLE_1, name),
            )
        )
    columns = (
        "optimizer",
        "weights",
        "there",
        "ms per update",
        "ratio",
        "ms there",
        "ratio there",
    )
    return Table("Table 1: what an update of the base MLP costs", columns, rows)


def _cost(name: str, row: Any, path: pathlib.Path) -> Cost:
    try:
        cost = Cost(int(row["weights"]), float(row["milliseconds"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "Each optimizer of the table needs numbers `weights` and "
            f"`milliseconds`. Received: {name!r} of {path}: {row!r}. Measure "
            "again with tools/bench_simple.py."
        ) from error
    if cost.weights < 0 or not 0.0 < cost.milliseconds < math.inf:
        raise ValueError(
            "The milliseconds of an update are a positive number. "
            f"Received: {name!r} of {path}: {row!r}. Measure again with "
            "tools/bench_simple.py."
        )
    return cost


def read_costs(folder: str | os.PathLike[str]) -> dict[str, Cost]:
    """Read what tools/bench_simple.py wrote to `FILE` of a folder.

    Returns:
        Name of an optimizer to its cost; empty where there is no such file.

    Raises:
        ValueError: if the file is not what that tool writes, or of another
            problem than the base MLP.
    """
    path = pathlib.Path(folder) / FILE
    if not path.is_file():
        return {}
    try:
        report = json.loads(path.read_text("utf-8"))
        problem, found = report["optimizee"]["name"], dict(report["optimizers"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "The file is not what tools/bench_simple.py writes. Received: "
            f"path={str(path)!r} ({error!r}). Measure again."
        ) from error
    if problem != BASE:
        raise ValueError(
            "Table 1 is of the base MLP. Received: "
            f"optimizee={problem!r} in {path}. Measure without --optimizee."
        )
    return {name: _cost(name, row, path) for name, row in found.items()}
