"""Everything a training run is at one moment, and how it is stored."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from l2o_tf.core.types import Nest, Scalar, Vector
from l2o_tf.meta_training.best_window import WindowBest
from l2o_tf.meta_training.episode import MetaState
from l2o_tf.unroll.schedules import ScheduleState


class Phase(enum.Enum):
    """What the run does next; a run is a sequence of these transitions."""

    EPISODE = "episode"
    VALIDATION = "validation"
    BASELINE = "baseline"
    DONE = "done"


class SourceSlots(NamedTuple):
    """A further trajectory source's part of the meta-optimizer.

    Attributes:
        slots: the meta-optimizer's state.
        step: int32 scalar, meta-updates applied.
    """

    slots: Nest
    step: Scalar


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """A training run between two transitions.

    With the configuration it determines the rest of the run, bit for bit:
    episodes start from a reset, so no carry outlives a transition but the
    `memory` and the `population`, and every random number comes from the run's
    seed and the counters here, and there.

    A trajectory source is a number: 0 for the learned optimizer's own
    trajectories, i + 1 for teacher i. All sources share the weights, each has
    its own meta-optimizer slots, unless all use those of source 0.

    Attributes:
        meta: weights; slots and meta-updates applied of source 0.
        others: the same without weights, of the sources 1, 2, ...; none where
            slots are shared.
        memory: the learned optimizer's state after the last ordinary episode
            or validation run, or imitation episode where the ordinary ones
            begin with it; `()` where no source asks for it.
        population: the carry where the last episode ended, which the next
            one begins with; `()` unless the estimator `continues`.
        best: float `[M]`, the weights of the latest improvement.
        best_slots: the slots of that moment, of source 0 and of the others;
            `()` where they are not to be restored.
        window_best: the best validation of the present window of episodes, or
            of the last window that had one.
        schedule: where the horizon schedule stands.
        phase: what comes next.
        episode: int, training episodes done.
        validations: int, validations done, baselines included.
        skipped: int, meta-updates that were not finite; skipped, or made of
            what was finite where the meta-optimizer repairs gradients.
        failed_in_a_row: int, latest episodes without a single finite update.
        imitated: int, episodes of the sources 1, 2, ...
    """

    meta: MetaState
    best: Vector
    schedule: ScheduleState
    others: tuple[SourceSlots, ...] = ()
    memory: Nest = ()
    population: Nest = ()
    best_slots: Nest = ()
    window_best: WindowBest = dataclasses.field(default_factory=WindowBest)
    phase: Phase = Phase.EPISODE
    episode: int = 0
    validations: int = 0
    skipped: int = 0
    failed_in_a_row: int = 0
    imitated: int = 0

    @property
    def meta_updates(self) -> int:
        """Return the meta-updates applied, of all sources."""
        steps = (self.meta.step, *(other.step for other in self.others))
        return sum(int(step) for step in steps)

    def meta_of(self, source: int) -> MetaState:
        """Return the weights with the slots of a source."""
        if source == 0:
            return self.meta
        return MetaState(self.meta.meta_params, *self.others[source - 1])

    def with_meta(self, source: int, meta: MetaState) -> TrainingState:
        """Return a copy with the weights and the slots of a source changed."""
        if source == 0:
            return self.replace(meta=meta)
        others = list(self.others)
        others[source - 1] = SourceSlots(meta.slots, meta.step)
        weights = self.meta._replace(meta_params=meta.meta_params)
        return self.replace(meta=weights, others=tuple(others))

    def restore_best(self) -> TrainingState:
        """Return a copy with the best weights, and slots if they are kept."""
        meta = self.meta._replace(meta_params=self.best)
        if not tf.nest.flatten(self.best_slots):
            return self.replace(meta=meta)
        slots, others = self.best_slots
        return self.replace(
            meta=meta._replace(slots=slots),
            others=tuple(
                other._replace(slots=slots)
                for other, slots in zip(self.others, others, strict=True)
            ),
        )

    @property
    def _tensors(self) -> Nest:
        return (
            self.meta,
            self.best,
            self.others,
            self.memory,
            self.best_slots,
            self.population,
        )

    def replace(self, **changes: Any) -> TrainingState:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return `(arrays, metadata)`: what a checkpoint stores."""
        leaves = tf.nest.flatten(self._tensors)
        arrays = {
            f"state_{i:03d}": leaf.numpy() for i, leaf in enumerate(leaves)
        }
        metadata = {
            "schedule": self.schedule._asdict(),
            "window_best": self.window_best._asdict(),
            "phase": self.phase.value,
            "episode": self.episode,
            "validations": self.validations,
            "skipped": self.skipped,
            "failed_in_a_row": self.failed_in_a_row,
            "imitated": self.imitated,
        }
        return arrays, metadata

    def from_arrays(
        self, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> TrainingState:
        """Return the stored state, in the structure of this one.

        Raises:
            ValueError: if the arrays are not those of such a state.
        """
        leaves = tf.nest.flatten(self._tensors)
        expected = {
            f"state_{i:03d}": (tuple(leaf.shape), leaf.dtype.as_numpy_dtype)
            for i, leaf in enumerate(leaves)
        }
        received = {k: (a.shape, a.dtype.type) for k, a in arrays.items()}
        if received != expected:
            raise ValueError(
                "The checkpoint was written by another learned optimizer, "
                "meta-optimizer, population or set of teachers. "
                f"Expected: {expected}. Received: {received}."
            )
        meta, best, others, memory, best_slots, population = (
            tf.nest.pack_sequence_as(
                self._tensors,
                [tf.constant(arrays[key]) for key in sorted(arrays)],
            )
        )
        fields = dict(metadata)
        fields["schedule"] = ScheduleState(**fields["schedule"])
        # Checkpoints from before there were windows of episodes lack it.
        fields["window_best"] = WindowBest(**fields.get("window_best", {}))
        fields["phase"] = Phase(fields["phase"])
        return TrainingState(
            meta=meta,
            best=best,
            others=others,
            memory=memory,
            best_slots=best_slots,
            population=population,
            **fields,
        )
