"""A cell in which several optimizers take turns, drawn at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from l2o_tf.core import checks, seeds
from l2o_tf.core.layout import Layout
from l2o_tf.core.types import Nest, Scalar, Seed, Vector
from l2o_tf.estimators.base import refuse_looking_ahead
from l2o_tf.optimizers.base import OptimizerCell, OptimizerInputs
from l2o_tf.techniques.teachers import check_optimizers


class MixtureStates(NamedTuple):
    """The state of a `StepwiseMixture`.

    Attributes:
        learner: the learned optimizer's state.
        auxiliaries: tuple, the others' states.
        probability: float scalar, of EACH auxiliary at every step.
        seed: int32 `[2]`, of the choices.
    """

    learner: Nest
    auxiliaries: tuple[Nest, ...]
    probability: Scalar
    seed: Seed


def check_auxiliaries(
    cells: Sequence[OptimizerCell],
) -> tuple[OptimizerCell, ...]:
    """Return a tuple of at least one hand-designed `OptimizerCell`.

    Raises:
        ValueError: if it is something else, or one has weights.
    """
    cells = check_optimizers("auxiliaries", cells)
    if any(cell.trainable_variables for cell in cells):
        raise ValueError(
            "An auxiliary must be a hand-designed optimizer, without "
            "weights: only the learner is trained. "
            f"Received: auxiliaries={cells!r}."
        )
    return cells


@keras.saving.register_keras_serializable(package="l2o_tf")
class StepwiseMixture(OptimizerCell):
    """Let one of several optimizers, drawn at every step, make the update.

        j_t = i with probability p for each auxiliary i, the learner otherwise
        u_t = update of optimizer j_t

    All see every gradient and advance their states at every step, taken or
    not. The weights are the learner's; an auxiliary's update does not depend
    on them, so steps it took add nothing to the meta-gradient directly.

    Args:
        learner: the learned `OptimizerCell`.
        auxiliaries: tuple of `OptimizerCell`.
        probability: float, p, from 0 to 1 / number of auxiliaries. Defaults to
            0: the learner alone.
        seed: int, of the choices.
        dtype: str, defaults to "float32".
        name: str.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        learner: OptimizerCell,
        auxiliaries: Sequence[OptimizerCell],
        probability: float = 0.0,
        seed: int = 0,
        dtype: str = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        refuse_looking_ahead(learner, "A mixture")
        self.learner = learner
        self.auxiliaries = check_auxiliaries(auxiliaries)
        self.probability = checks.real(
            "probability", probability, 0.0, 1.0 / len(self.auxiliaries)
        )
        self.seed = seed
        self._seed = seeds.make_seed(seed)
        self.reads_params = learner.reads_params or any(
            cell.reads_params for cell in self.auxiliaries
        )
        self.built = True

    def get_initial_state(
        self, layout: Layout, seed: Seed | None = None
    ) -> MixtureStates:
        """Return everyone's initial state, and the choices' distribution."""
        seed = self._seed if seed is None else seed
        return MixtureStates(
            learner=self.learner.get_initial_state(layout, seed),
            auxiliaries=tuple(
                cell.get_initial_state(layout, seeds.fold_in(seed, i))
                for i, cell in enumerate(self.auxiliaries)
            ),
            probability=tf.constant(self.probability, self.compute_dtype),
            seed=self._seed,
        )

    def keep_memory(
        self, fresh: MixtureStates, old: MixtureStates
    ) -> MixtureStates:
        """Return the fresh state with the learner's memory."""
        learner = self.learner.keep_memory(fresh.learner, old.learner)
        return fresh._replace(learner=learner)

    def call(
        self, inputs: OptimizerInputs, states: MixtureStates
    ) -> tuple[Vector, MixtureStates]:
        """Compute one update; see the class."""

        def run(cell: OptimizerCell, state: Nest) -> tuple[Vector, Nest]:
            seen = inputs if cell.reads_params else inputs._replace(params=())
            return cell.call(seen, state)

        update, learner = run(self.learner, states.learner)
        drawn = seeds.uniform(seeds.fold_in(states.seed, inputs.step), [])
        drawn = tf.cast(drawn, self.compute_dtype)
        new_states = []
        for i, cell in enumerate(self.auxiliaries):
            other, state = run(cell, states.auxiliaries[i])
            new_states.append(state)
            # p i <= drawn < p (i + 1)
            above = drawn >= i * states.probability
            below = drawn < (i + 1) * states.probability
            update = tf.where(above & below, other, update)
        return update, states._replace(
            learner=learner, auxiliaries=tuple(new_states)
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "learner": keras.saving.serialize_keras_object(self.learner),
            "auxiliaries": [
                keras.saving.serialize_keras_object(cell)
                for cell in self.auxiliaries
            ],
            "probability": self.probability,
            "seed": self.seed,
            "dtype": self.compute_dtype,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StepwiseMixture:
        """Rebuild the mixture from `get_config`'s answer."""
        load = keras.saving.deserialize_keras_object
        config = dict(config, learner=load(config["learner"]))
        config["auxiliaries"] = [load(c) for c in config["auxiliaries"]]
        return cls(**config)
