"""When training gives up, and what it says then."""

from __future__ import annotations

from l2o_tf.core.numerics import all_finite
from l2o_tf.core.types import Nest
from l2o_tf.meta_training.state import TrainingState
from l2o_tf.techniques.fine_tuning import Fall, HalvedLoss


class NonFiniteError(RuntimeError):
    """Training went on without a single finite meta-update for too long."""


class NotHalvedError(RuntimeError):
    """A repetition of fine-tuning ended without the loss it is to reach."""


def check_updated(
    state: TrainingState, max_failed_episodes: int, repairs_gradients: bool
) -> None:
    """Refuse to go on after too many episodes without a finite update.

    Args:
        state: after the latest episode.
        max_failed_episodes: int, in a row.
        repairs_gradients: bool, whether the meta-optimizer does.

    Raises:
        NonFiniteError: if there were so many.
    """
    if state.failed_in_a_row < max_failed_episodes:
        return
    fate = "The weights are those before the first of them."
    if repairs_gradients:
        fate = "The weights were changed by what was finite of them."
    raise NonFiniteError(
        f"{state.failed_in_a_row} episodes in a row gave no finite "
        f"meta-update (episode {state.episode}, stage "
        f"{state.schedule.stage}, {state.skipped} updates not finite "
        f"in all). {fate} Lower the meta-optimizer's "
        "learning_rate or the horizon, or raise "
        "Trainer.max_failed_episodes. "
        f"Received: max_failed_episodes={max_failed_episodes}."
    )


def check_ended(
    ending: HalvedLoss, fall: Fall, episode: int, steps: int
) -> None:
    """Refuse to go on where the loss has not fallen as the ending asks.

    Args:
        ending: of the training.
        fall: of the episode, in numbers.
        episode: int, its number, counted from 1.
        steps: int, inner steps that it made.

    Raises:
        NotHalvedError: if its loss could not fall, or did not and the ending
            says to stop there.
    """
    if fall.first <= 0.0:
        raise NotHalvedError(
            "A repetition ends by a part of its first loss, which must be "
            f"above 0. Received: an average loss of {fall.first:.6g} at the "
            f"start of repetition {episode}. Leave Trainer.ending out for "
            "such a problem."
        )
    verdict = ending.verdict(fall)
    if verdict == "halved" or ending.otherwise == "go_on":
        return
    why = (
        f"is no longer a number ({fall.last})"
        if verdict == "diverged"
        else f"has not fallen below {ending.ratio:g} of its first value: it "
        f"is {fall.last:.6g}"
    )
    raise NotHalvedError(
        f"Repetition {episode} of fine-tuning ended after {steps} minibatches, "
        f"and its average training loss {why}; at the start it was "
        f"{fall.first:.6g}. Raise the schedule's horizon, which is the cap, "
        "or the meta-optimizer's learning_rate, or start from weights that fit "
        "the task; HalvedLoss.otherwise = 'go_on' takes the next repetition "
        "all the same. "
        f"Received: ratio={ending.ratio:g}, otherwise='stop'."
    )


def finite_or(memory: Nest, old: Nest) -> Nest:
    """Return the memory, or the old one if a run ended in no numbers."""
    return memory if all_finite(memory).numpy() else old
