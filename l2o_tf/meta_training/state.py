"""Everything a training run is at one moment, and how it is stored."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from l2o_tf.core.types import Vector
from l2o_tf.meta_training.episode import MetaState
from l2o_tf.unroll.schedules import ScheduleState


class Phase(enum.Enum):
    """What the run does next; a run is a sequence of these transitions."""

    EPISODE = "episode"
    VALIDATION = "validation"
    BASELINE = "baseline"
    DONE = "done"


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """A training run between two transitions.

    With the configuration it determines the rest of the run, bit for bit:
    episodes start from a reset, so no carry outlives a transition, and every
    random number comes from the run's seed and the counters here.

    Attributes:
        meta: weights, meta-optimizer slots, meta-updates applied.
        best: float `[M]`, the weights of the latest improvement.
        schedule: where the horizon schedule stands.
        phase: what comes next.
        episode: int, training episodes done.
        validations: int, validations done, baselines included.
        skipped: int, meta-updates skipped because they were not finite.
        failed_in_a_row: int, latest episodes without a single applied update.
    """

    meta: MetaState
    best: Vector
    schedule: ScheduleState
    phase: Phase = Phase.EPISODE
    episode: int = 0
    validations: int = 0
    skipped: int = 0
    failed_in_a_row: int = 0

    def replace(self, **changes: Any) -> TrainingState:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return `(arrays, metadata)`: what a checkpoint stores."""
        leaves = tf.nest.flatten((self.meta, self.best))
        arrays = {
            f"state_{i:03d}": leaf.numpy() for i, leaf in enumerate(leaves)
        }
        metadata = {
            "schedule": self.schedule._asdict(),
            "phase": self.phase.value,
            "episode": self.episode,
            "validations": self.validations,
            "skipped": self.skipped,
            "failed_in_a_row": self.failed_in_a_row,
        }
        return arrays, metadata

    def from_arrays(
        self, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> TrainingState:
        """Return the stored state, in the structure of this one.

        Raises:
            ValueError: if the arrays are not those of such a state.
        """
        leaves = tf.nest.flatten((self.meta, self.best))
        expected = {
            f"state_{i:03d}": (tuple(leaf.shape), leaf.dtype.as_numpy_dtype)
            for i, leaf in enumerate(leaves)
        }
        received = {k: (a.shape, a.dtype.type) for k, a in arrays.items()}
        if received != expected:
            raise ValueError(
                "The checkpoint was written by another learned optimizer or "
                f"meta-optimizer. Expected: {expected}. Received: {received}."
            )
        meta, best = tf.nest.pack_sequence_as(
            (self.meta, self.best),
            [tf.constant(arrays[key]) for key in sorted(arrays)],
        )
        fields = dict(metadata)
        fields["schedule"] = ScheduleState(**fields["schedule"])
        fields["phase"] = Phase(fields["phase"])
        return TrainingState(meta=meta, best=best, **fields)
