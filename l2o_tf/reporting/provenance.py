"""Of what the numbers are: runs, data, versions, devices, found in curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from l2o_tf.evaluation.curves import Curve
from l2o_tf.reporting.tables import Table, ranges


def _counted(words: Iterable[str]) -> str:
    """Return "<word> (runs: <count>)" of each word."""
    return "; ".join(
        f"{word} (runs: {count})" for word, count in Counter(words).items()
    )


def _versions(curves: Sequence[Curve]) -> str:
    found: dict[str, dict[str, None]] = {}
    for curve in curves:
        for name, version in curve.packages.items():
            found.setdefault(name, {})[version] = None
    listed = (f"{name} {' and '.join(v)}" for name, v in found.items())
    return ", ".join(listed) or "not recorded"


def _duration(seconds: float) -> str:
    if seconds < 3600:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours"


def provenance_table(curves: Sequence[Curve]) -> Table:
    """Return what was measured, on which data, with what."""
    noticed = any(c.notice for c in curves)
    data = _counted(c.notice or "complete" for c in curves)
    places = (
        f"{c.device or 'device not recorded'}, "
        f"{c.runtime or 'runtime not recorded'}"
        for c in curves
    )
    facts = (
        ("runs", str(len(curves))),
        (
            "diverged",
            _counted(c.optimizer for c in curves if c.diverged) or "none",
        ),
        ("optimizers", str(len({c.optimizer for c in curves}))),
        ("optimizees", _counted(c.optimizee for c in curves)),
        ("seeds", ranges(c.seed for c in curves)),
        ("updates", _counted(f"{c.steps:,}" for c in curves)),
        ("split", _counted(c.splits or "no data" for c in curves)),
        ("data", data if noticed else "complete: no curve carries a notice"),
        ("versions", _versions(curves)),
        ("device and runtime", _counted(places)),
        (
            "computing time",
            f"{_duration(sum(c.seconds for c in curves))}, compilation "
            "included, tuning not",
        ),
    )
    return Table("What was measured", ("", "found in the curves"), list(facts))
