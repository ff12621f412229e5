"""What a validation found."""

from __future__ import annotations

from typing import NamedTuple


class Validation(NamedTuple):
    """What one validation found.

    Attributes:
        kind: "validation", or "baseline" at the start of a stage.
        episode: int, episodes trained before it.
        stage: int.
        horizon: int, inner steps of each run.
        cost: float, the sum over runs of the loss after the last step.
        mean_loss: float, cost / runs.
        best: float, the stage's best cost after this validation.
        verdict: str, what the schedule said.
    """

    kind: str
    episode: int
    stage: int
    horizon: int
    cost: float
    mean_loss: float
    best: float
    verdict: str
