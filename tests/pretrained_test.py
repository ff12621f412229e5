"""The trained optimizers in the package: what they are, and that they work."""

import dataclasses
import hashlib
import json
import math

import numpy as np
import pytest

from l2o_tf.core import seeds
from l2o_tf.core.compile import compiled
from l2o_tf.datasets.embedded import load_mnist_subset
from l2o_tf.interop.model_cards import (
    FOLDER,
    TrainedOptimizers,
    names,
    pretrained,
    read_card,
)
from l2o_tf.learned.weights import load_cell
from l2o_tf.optimizees.mlp import MLP
from l2o_tf.unroll.rollout import final_loss

NAMES = names()
PERCEPTRONS = ["mlp_orig", "mlp_relu", "mlp_deeper"]


@pytest.fixture(scope="module")
def cards():
    return pretrained()


def test_every_file_has_its_cards_and_every_card_its_file(cards):
    assert list(cards) == NAMES
    stems = {path.stem for path in FOLDER.iterdir()}
    assert stems == {*NAMES, "README"}
    assert {"rnnprop", "rnnprop_cl_il", "dm_cl", "dm_cl_il"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_agrees_with_the_metadata_of_its_weights(name, cards):
    card = cards[name]
    assert card.weights == FOLDER / f"{name}.npz"
    cell, training = load_cell(card.weights)
    chosen = training["validation"]
    assert card.name == name
    assert card.cell == type(cell).__name__
    assert card.configuration == f"gin/{training['config']}.gin"
    assert (card.seed, card.version) == (training["seed"], training["version"])
    assert card.seed == cell.get_config()["seed"]
    assert card.chosen_episode == chosen["episode"]
    assert card.chosen_stage == chosen["stage"]
    assert card.chosen_horizon == chosen["horizon"]
    assert card.chosen_cost == chosen["cost"]
    assert card.data.startswith("the full MNIST, train split")
    assert training["notice"] is None
    digest = hashlib.sha256(card.weights.read_bytes()).hexdigest()
    assert card.sha256 == digest
    assert 0 < card.chosen_meta_updates <= card.meta_updates
    assert 0 < card.chosen_episode <= card.episodes
    assert list(card.ends) == list(card.ends_of_adam) == PERCEPTRONS
    assert all(len(ends) == 3 for ends in card.ends.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_text_of_a_card_has_its_numbers(name, cards):
    card, text = cards[name], cards[name].text
    assert text.startswith(f"# {name}\n")
    ends = [
        ", ".join(f"{end:.2f}" for end in card.ends[o]) for o in PERCEPTRONS
    ]
    for number in [
        f"`{card.configuration}`, `seed = {card.seed}`",
        f"{card.episodes} episodes, {card.meta_updates:,} meta-updates; ended",
        f"episode {card.chosen_episode}, {card.chosen_meta_updates:,} meta-",
        f"{card.chosen_cost:.3f} at horizon {card.chosen_horizon}",
        card.sha256,
        "Apache-2.0",
        f"\nseed = {card.seed}\n",
        *(f" ({end}) [" for end in ends),
    ]:
        assert number in text, number
    row = f"| [`{name}`]({name}.md) | `{card.configuration}`, seed {card.seed} "
    (line,) = (
        line
        for line in (FOLDER / "README.md").read_text().splitlines()
        if line.startswith(row)
    )
    assert line.endswith(f"| {ends[0]} |")


def test_the_plain_name_has_the_run_that_came_furthest(cards):
    for card in cards.values():
        plain = cards[card.configuration.removeprefix("gin/")[:-4]]
        assert (-plain.chosen_stage, plain.chosen_cost) <= (
            -card.chosen_stage,
            card.chosen_cost,
        )
        if card is not plain:
            assert card.name == f"{plain.name}_seed{card.seed}"


def test_the_one_to_take_ends_below_adam_at_its_default_on_mlp_orig(cards):
    card = cards["rnnprop_cl_il"]
    assert max(card.ends["mlp_orig"]) < min(card.ends_of_adam["mlp_orig"])


@pytest.mark.parametrize("kind", ["DMLSTM", "RNNprop"])
def test_200_updates_take_mlp_orig_below_one_half(kind, cards):
    problem = MLP(load_mnist_subset(), "test", (20,), "sigmoid")
    of_kind = [card for card in cards.values() if card.cell == kind]
    cell, _ = load_cell(of_kind[0].weights)
    run = compiled(
        lambda seed: final_loss(cell, problem, None, seed, 200, 200), True
    )
    for card in of_kind:
        other, _ = load_cell(card.weights)
        cell.assign_meta_params(other.meta_params())
        ends = [run(seeds.make_seed(i)).numpy() for i in range(3)]
        assert np.mean(ends) < 0.5, (card.name, ends)  # from ln 10 = 2.30


def test_the_list_is_shown_as_a_table(cards):
    card = dataclasses.replace(
        cards["rnnprop"],
        ends={"mlp_orig": (-1.25, math.nan, -2.5)},
        ends_of_adam={"mlp_orig": (-3.0, -3.5, -3.25)},
    )
    other = dataclasses.replace(card, name="x", ends={"mlp_orig": (-4.0,)})
    listed = TrainedOptimizers((card, other))
    shown = [line.split("  ") for line in repr(listed).splitlines()[:3]]
    assert [[c.strip() for c in row if c] for row in shown] == [
        ["name", "cell", "episodes", "meta-updates", "mlp_orig", "Adam"],
        [
            *("rnnprop", "RNNprop", "100", "500"),
            *("-2.50 to -1.25, 1 diverged", "-3.50 to -3.00"),
        ],
        [*("x", "RNNprop", "100", "500"), "-4.00 to -4.00", "-3.50 to -3.00"],
    ]
    assert (
        len({line.index("100") for line in repr(listed).split("\n")[1:3]}) == 1
    )
    assert listed._repr_markdown_().splitlines()[:3] == [
        "| name | cell | episodes | meta-updates | mlp_orig | Adam |",
        "|---|---|---|---|---|---|",
        "| rnnprop | RNNprop | 100 | 500 | -2.50 to -1.25, 1 diverged "
        "| -3.50 to -3.00 |",
    ]
    assert card._repr_markdown_() == card.text


@pytest.mark.parametrize(
    "change", [None, {"ends": 3}, {"seeds": 1}, {"name": ...}]
)
def test_a_card_that_cannot_be_read_is_refused(change, tmp_path):
    record = json.loads((FOLDER / "rnnprop.json").read_text())
    if change is not None:
        record.update(change)
        record = {k: v for k, v in record.items() if v is not ...}
        (tmp_path / "x.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="Received: path='.*x.json'"):
        read_card(tmp_path / "x.json")
