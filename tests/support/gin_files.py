"""The package's own gin files, and what their comments offer."""

from __future__ import annotations

import pathlib
import re

from l2o_tf.unroll.schedules import ScheduleState

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Those of training from the start on MNIST; eval_*.gin and study_*.gin are for
# another command, *finetune*.gin begin with trained weights.
FILES = sorted(
    p.name
    for p in (ROOT / "gin").glob("*.gin")
    if not p.name.startswith(("eval_", "study_", "metz"))
    and "finetune" not in p.name
)
METZ_FILES = sorted(p.name for p in (ROOT / "gin").glob("metz*.gin"))
FINE_TUNING_FILES = sorted(
    p.name for p in (ROOT / "gin").glob("*finetune*.gin")
)
STUDY_FILES = sorted(p.name for p in (ROOT / "gin").glob("study_*.gin"))
SCALE_FILES = [name for name in FILES if name.startswith("scale")]
FIRST = ScheduleState()


def named_bindings(file):
    """Return the bindings that a file's comments offer, in their order."""
    text = (ROOT / "gin" / file).read_text()
    return [
        match[1] or match[2]
        for match in re.finditer(
            """--gin_param=(?:'([^']*)'|"([^"]*)")""", text
        )
    ]
