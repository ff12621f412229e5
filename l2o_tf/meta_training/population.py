"""Which trainers can carry a population from one episode to the next."""

from __future__ import annotations

from l2o_tf.estimators.base import MetaGradientEstimator
from l2o_tf.estimators.pairs import PairedEstimator
from l2o_tf.meta_training.problems import Problems
from l2o_tf.techniques.fine_tuning import HalvedLoss
from l2o_tf.techniques.imitation import Imitation


def check_population(
    estimator: MetaGradientEstimator,
    problems: Problems,
    imitation: Imitation | None,
    ending: HalvedLoss | None,
) -> None:
    """Refuse a population of pairs where it would not be what it says.

    Raises:
        ValueError: if pairs are to be judged by where one trajectory ends; or
            a population that goes on is of an ensemble, or is to imitate.
    """
    if not isinstance(estimator, PairedEstimator):
        return
    if ending is not None:
        raise ValueError(
            "An episode of pairs has no single trajectory that could end it. "
            f"Received: ending={ending!r}, estimator={estimator!r}. Use "
            "TruncatedBackpropagation."
        )
    if not estimator.continues:
        return
    if problems.is_ensemble:
        raise ValueError(
            "A population that goes on from episode to episode needs one "
            "problem. Received: optimizee=an ensemble, "
            f"horizon={estimator.horizon}. Set the estimator's horizon = None."
        )
    if imitation is not None:
        raise ValueError(
            "A population that goes on from episode to episode cannot take "
            f"turns with a teacher. Received: imitation={imitation!r}, "
            f"horizon={estimator.horizon}. Set the estimator's horizon = None."
        )
