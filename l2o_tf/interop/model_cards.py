"""What is known of the trained optimizers in the package, one card for each.

Beside the weights `trained/<name>.npz` lie `<name>.json`, a `ModelCard`, and
`<name>.md`, the same and more in words. tools/model_cards.py writes all three
from what was measured. Listing them reads the small JSON files only, and
imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence

FOLDER = pathlib.Path(__file__).resolve().parent / "trained"
_SHOWN = "mlp_orig"


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What one trained optimizer is and where it ends.

    Attributes:
        name: str, what `l2o_tf.load` takes.
        cell: str, its class, as "RNNprop".
        configuration: str, the gin file that it was trained by.
        seed: int, of the training.
        episodes: int, trained until the run ended.
        meta_updates: int, made until the run ended.
        ended: str, how it ended.
        chosen_episode: int, the validation that the weights are of: the one
            with the lowest cost of its stage.
        chosen_meta_updates: int, made until then.
        chosen_stage: int, of the curriculum, from 0; 0 without one.
        chosen_horizon: int, inner steps of that validation.
        chosen_cost: float, of that validation.
        data: str, the data set and the split.
        seconds: float, of all episodes, without the validations.
        machine: str, what it was trained on.
        version: str, of this package.
        licence: str.
        sha256: str, of the weights file.
        ends: name of an optimizee to one number per seed: the natural
            logarithm of the mean of the last 100 losses of 10,000 updates on
            the test split; NaN for a run that diverged.
        ends_of_adam: the same of Adam at its default learning rate, 0.001.
    """

    name: str
    cell: str
    configuration: str
    seed: int
    episodes: int
    meta_updates: int
    ended: str
    chosen_episode: int
    chosen_meta_updates: int
    chosen_stage: int
    chosen_horizon: int
    chosen_cost: float
    data: str
    seconds: float
    machine: str
    version: str
    licence: str
    sha256: str
    ends: Mapping[str, tuple[float, ...]]
    ends_of_adam: Mapping[str, tuple[float, ...]]

    @property
    def weights(self) -> pathlib.Path:
        """The weights file."""
        return FOLDER / f"{self.name}.npz"

    @property
    def text(self) -> str:
        """The whole card, in Markdown."""
        path = FOLDER / f"{self.name}.md"
        return path.read_text(encoding="utf-8")

    def _repr_markdown_(self) -> str:
        return self.text


class TrainedOptimizers(Mapping[str, ModelCard]):
    """The cards by name; shown as a table, in a notebook too.

    Args:
        cards: in the order to be shown.
    """

    def __init__(self, cards: tuple[ModelCard, ...]) -> None:
        self._cards = {card.name: card for card in cards}

    def __getitem__(self, name: str) -> ModelCard:
        return self._cards[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self) -> int:
        return len(self._cards)

    def _rows(self) -> Sequence[tuple[str, ...]]:
        columns = ("name", "cell", "episodes", "meta-updates", _SHOWN, "Adam")
        return [columns] + [
            (
                card.name,
                card.cell,
                str(card.episodes),
                f"{card.meta_updates:,}",
                _range(card.ends[_SHOWN]),
                _range(card.ends_of_adam[_SHOWN]),
            )
            for card in self._cards.values()
        ]

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width)
                for cell, width in zip(row, widths, strict=True)
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, "", _LEGEND])

    def _repr_markdown_(self) -> str:
        head, *rows = (f"| {' | '.join(row)} |" for row in self._rows())
        rule = "|---" * len(self._rows()[0]) + "|"
        return "\n".join([head, rule, *rows, "", _LEGEND])


_LEGEND = (
    f"{_SHOWN}: ln of the mean of the last 100 of 10,000 losses, lowest and "
    "highest of the seeds;\nAdam: the same at its default learning rate. "
    "`l2o_tf.load(name)` loads one, `.text` of its card says all."
)


def _range(ends: tuple[float, ...]) -> str:
    """Show the lowest and the highest, and how many diverged."""
    finite = sorted(end for end in ends if not math.isnan(end))
    parts = []
    if finite:
        parts.append(f"{finite[0]:.2f} to {finite[-1]:.2f}")
    if len(finite) < len(ends):
        parts.append(f"{len(ends) - len(finite)} diverged")
    return ", ".join(parts)


def read_card(path: pathlib.Path) -> ModelCard:
    """Read a card.

    Raises:
        ValueError: if the file is not one.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        for name in ("ends", "ends_of_adam"):
            record[name] = {k: tuple(v) for k, v in record[name].items()}
        return ModelCard(**record)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise ValueError(
            "A model card of the package is not what tools/model_cards.py "
            f"writes ({error!r}). Received: path={str(path)!r}. Install the "
            "package again."
        ) from error


def names() -> list[str]:
    """Return the names of the trained optimizers in the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def pretrained() -> TrainedOptimizers:
    """Return the trained optimizers in the package, by name.

    Example:
    >>> cards = pretrained()
    >>> "rnnprop_cl_il" in cards
    True
    >>> cards["rnnprop_cl_il"].cell
    'RNNprop'
    """
    return TrainedOptimizers(
        tuple(read_card(FOLDER / f"{name}.json") for name in names())
    )
