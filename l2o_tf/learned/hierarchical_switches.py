"""What of the hierarchical optimizer can be chosen: parts, and sizes."""

from __future__ import annotations

from typing import Any, NamedTuple

from l2o_tf.core import checks


class Switches(NamedTuple):
    """What of the optimizer is on; see `HierarchicalRNN`."""

    learned_decays: bool
    learned_input_decay: bool
    dynamic_output_scale: bool
    attention: bool
    gradient_shortcut: bool
    gradient_products: bool
    log_mean_squares: bool
    relative_learning_rate: bool
    problem_learning_rate_mean: bool
    learning_rate_shortcut: bool
    extreme_indicator: bool
    chained_scale_decay: bool
    zero_learning_rate_weights: bool
    learned_initial_state: bool

    def check(self) -> None:
        """Refuse what is no bool, and features of rates that are not there."""
        for name, value in self._asdict().items():
            checks.boolean(name, value)
        for name in (
            "relative_learning_rate",
            "learning_rate_shortcut",
            "extreme_indicator",
        ):
            if getattr(self, name) and not self.dynamic_output_scale:
                raise ValueError(
                    f"`{name}` needs learning rates to look at. Received: "
                    f"dynamic_output_scale=False, {name}=True. "
                    f"Set {name}=False too."
                )


def check_units(units: Any) -> tuple[int, int, int]:
    """Return the sizes of the three levels.

    Raises:
        ValueError: if they are not three positive ints.
    """
    if not isinstance(units, (tuple, list)) or len(units) != 3:
        raise ValueError(
            "`units` must be three ints: of coordinates, of tensors, of the "
            f"problem. Received: units={units!r}."
        )
    low, middle, high = (checks.positive_int("units", u) for u in units)
    return low, middle, high
