"""Model cards are made of what was measured, and nothing else."""

import json
import math
import shutil

import model_cards
import numpy as np
import pytest
from model_card_text import OPTIMIZEES, SEEDS, STEPS
from support.curves import make_curve
from training_runs import named, read_run

from l2o_tf.evaluation.curves import save_curve
from l2o_tf.interop.model_cards import read_card
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.weights import load_cell, save_weights

MACHINE = "an abacus"
OPERATIVE = "DMLSTM.units = (2,)\nTrainer.num_episodes = 30\n"
VALIDATION = "validation,kind,episode,stage,horizon,cost,mean_loss,best,verdict"
EPISODES = (
    "episode,stage,horizon,last_loss,mean_meta_loss,gradient_norm,"
    "skipped_updates,meta_updates"
)


def make_run(folder, seed=0, stage=1, cost=0.5, verdict="stop", config="dm_cl"):
    """Write the files of a run of 25 episodes, weights of episode 20."""
    (folder / "best").mkdir(parents=True)
    (folder / "metrics").mkdir()
    (folder / "config.gin").write_text(OPERATIVE)
    (folder / "operative_config.gin").write_text(OPERATIVE)
    cell = DMLSTM(units=(2,), seed=seed)
    facts = {
        "config": config,
        "version": "0.1.0",
        "seed": seed,
        "notice": None,
        "validation": {
            "episode": 20,
            "stage": stage,
            "horizon": 500,
            "cost": cost,
            "verdict": "save",
        },
    }
    save_weights(
        folder / "best" / "weights.npz", cell, cell.meta_params(), facts
    )
    tables = {
        "validation": [
            VALIDATION,
            f"1,validation,20,{stage},500,{cost},0.1,{cost},save",
            f"2,validation,25,2,500,0.9,0.1,0.9,{verdict}",
        ],
        "train": [
            EPISODES,
            "10,0,100,1,1,1,0,50",
            "20,1,200,1,1,1,0,150",
            "25,2,500,1,1,1,0,230",
        ],
        "imitation": [f"{EPISODES},teacher", "15,0,100,1,1,1,0,75,adam"],
        "timing": [
            "episode,seconds,inner_steps_per_second",
            "10,60.25,1",
            "15,1.25,1",
            "20,30.0,1",
            "25,30.0,1",
        ],
    }
    for name, lines in tables.items():
        path = folder / "metrics" / f"{name}.csv"
        path.write_text("\n".join(lines) + "\n")
    return folder


def record(folder, name, ln_end, optimizees=OPTIMIZEES, steps=STEPS, **fields):
    """Write constant curves that end at ln_end + 0.1 seed."""
    folder.mkdir(exist_ok=True)
    for optimizee in optimizees:
        for seed in SEEDS:
            losses = np.full(steps, math.exp(ln_end + 0.1 * seed))
            save_curve(
                folder, make_curve(losses, seed, name, optimizee, **fields)
            )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The curves of two runs and of Adam, and of the paper's evaluation."""
    folder = tmp_path_factory.mktemp("recorded")
    record(folder / "cards", "first", -1.0)
    record(folder / "cards", "second", -0.5)
    record(folder / "cards", "adam_0.001", -3.0)
    tuned = {"config": {"learning_rate": 0.01}, "tuning": {"by": "final"}}
    record(folder / "paper", "adam", -6.0, **tuned)
    record(folder / "paper", "dm_cl", -4.0, ["mlp_orig"])
    return folder


@pytest.fixture
def house(tmp_path, recorded):
    """Two runs of one configuration, their curves, and where cards go."""
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    runs = [
        make_run(tmp_path / "first", seed=0, stage=0, cost=0.1),
        make_run(tmp_path / "second", seed=1, stage=1, cost=0.5),
    ]
    return runs, tmp_path / "cards", tmp_path / "paper", tmp_path / "trained"


def words(text):
    """Return a text without its line breaks."""
    return " ".join(text.split())


def write(house):
    runs, results, baselines, output = house
    return model_cards.write_cards(
        named([read_run(path) for path in runs]),
        results,
        baselines,
        MACHINE,
        output,
    )


def test_the_run_that_came_further_has_the_plain_name(house):
    runs = [read_run(path) for path in house[0]]
    assert {n: r.path.name for n, r in named(runs).items()} == {
        "dm_cl": "second",
        "dm_cl_seed0": "first",
    }


def test_at_the_same_stage_the_lower_cost_has_the_plain_name(tmp_path):
    runs = [
        read_run(make_run(tmp_path / str(seed), seed=seed, cost=cost))
        for seed, cost in [(0, 0.5), (1, 0.4), (2, 0.6)]
    ]
    assert {n: r.facts["seed"] for n, r in named(runs).items()} == {
        "dm_cl": 1,
        "dm_cl_seed0": 0,
        "dm_cl_seed2": 2,
    }


def test_a_card_has_the_numbers_of_the_run_and_of_the_curves(house):
    dm_cl, _ = write(house)
    output = house[3]
    assert read_card(output / "dm_cl.json") == dm_cl
    assert dm_cl.cell == "DMLSTM"
    assert dm_cl.configuration == "gin/dm_cl.gin"
    assert (dm_cl.seed, dm_cl.episodes, dm_cl.meta_updates) == (1, 25, 230)
    assert (dm_cl.chosen_episode, dm_cl.chosen_meta_updates) == (20, 150)
    assert (dm_cl.chosen_stage, dm_cl.chosen_cost) == (1, 0.5)
    assert dm_cl.ended == "by itself in stage 2"
    assert dm_cl.seconds == 121.5
    assert dm_cl.machine == MACHINE
    for ends, first in [(dm_cl.ends, -0.5), (dm_cl.ends_of_adam, -3.0)]:
        assert list(ends) == list(OPTIMIZEES)
        np.testing.assert_allclose(
            ends["mlp_relu"], [first, first + 0.1, first + 0.2], atol=1e-6
        )
    cell, facts = load_cell(output / "dm_cl.npz")
    assert facts["seed"] == 1
    np.testing.assert_array_equal(
        cell.meta_params(), DMLSTM(units=(2,), seed=1).meta_params()
    )


def test_the_text_says_the_same_and_names_the_other_run(house):
    write(house)
    text = (house[3] / "dm_cl.md").read_text()
    # ln of the mean of exp(-0.5), exp(-0.4), exp(-0.3)
    own = "-0.40 (-0.50, -0.40, -0.30) [-0.40]"
    for row in [
        f"| this optimizer | {own} | {own} | {own} |",
        "| the paper's L2O-DM-CL, ten runs, read off its figures "
        "| -5.5 | -4 | -4 |",
        "| the paper's released weights, run here "
        "| -3.90 (-4.00, -3.90, -3.80) [-3.90] |  |  |",
        "| compute time | 0:02:02 for the episodes",
        "| this one | 1 | 25 | 1 | 20 | 0.500 at horizon 500 |",
        "| `dm_cl_seed0` | 0 | 25 | 0 | 20 | 0.100 at horizon 500 |",
        "* against `dm_cl_seed0`: MLP-orig +0.50 [+0.50], ",
        "[-5.90; learning rate 0.01]",
        "never more than 200 updates in a row",
        "Adam at its default ends lower on all three perceptrons",
        "it ends at -0.40 on MLP-orig (they: -3.90).",
        OPERATIVE,
    ]:
        assert words(row) in words(text), row
    assert "exchanged" not in text
    assert "where they began" not in text
    table = (house[3] / "README.md").read_text()
    assert "| [`dm_cl_seed0`](dm_cl_seed0.md) | `gin/dm_cl.gin`, s" in table
    assert "| -1.00, -0.90, -0.80 |" in table
    assert "ends at -3.00, -2.90, -2.80" in table


def test_the_text_says_where_it_is_useful_and_where_it_fails(house):
    _, results, baselines, _ = house
    record(results, "second", -3.5, ["mlp_orig"])
    record(results, "second", 0.6, ["mlp_deeper"])  # ln(2.3) = 0.83
    write(house)
    text = words((house[3] / "dm_cl.md").read_text())
    assert "On MLP-orig it ends lower than Adam at its default" in text
    assert "On MLP-deeper 1 of 3 runs end where they began" in text
    assert "-3.40 on MLP-orig (they: -3.90)" in text
    record(baselines, "dm_cl", -3.5, ["mlp_orig"])
    write(house)
    assert "falls short" not in (house[3] / "dm_cl.md").read_text()


def test_one_run_more_may_take_the_plain_name(house, tmp_path):
    write(house)
    make_run(tmp_path / "third", seed=2, stage=3)
    record(house[1], "third", -2.0)
    house[0].append(tmp_path / "third")
    cards = write(house)
    assert {c.name: c.seed for c in cards} == {
        "dm_cl": 2,
        "dm_cl_seed0": 0,
        "dm_cl_seed1": 1,
    }
    assert {p.stem for p in house[3].glob("*.json")} == {c.name for c in cards}


def test_an_optimizer_without_its_run_is_not_left_behind(house):
    write(house)
    house[0].pop()  # the other one takes its name
    with pytest.raises(ValueError, match="Received: output=.*dm_cl_seed0"):
        write(house)


def test_a_result_that_is_missing_is_named(house):
    house[0].append(make_run(house[1].parent / "third", seed=2, stage=0))
    with pytest.raises(ValueError, match="without dm_cl_seed2"):
        write(house)
    assert not house[3].exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 10}, "3 curves of second on mlp_relu .* 3 of another kind"),
        ({"notice": "a subset"}, "3 curves of second on mlp_relu"),
    ],
)
def test_a_result_of_another_protocol_is_refused(house, change, message):
    record(house[1], "second", -0.5, ["mlp_relu"], **change)
    with pytest.raises(ValueError, match=f"Received: {message}"):
        write(house)


def test_a_result_without_a_seed_is_refused(house):
    (house[1] / "second-mlp_orig-test-seed2.npz").unlink()
    with pytest.raises(ValueError, match="Received: 2 curves of second"):
        write(house)


def test_a_run_that_is_not_finished_is_refused(tmp_path):
    path = make_run(tmp_path / "run", verdict="continue")
    with pytest.raises(ValueError, match="25 episodes, .* says 'continue'"):
        read_run(path)
    (path / "metrics" / "validation.csv").write_text(VALIDATION + "\n")
    with pytest.raises(ValueError, match="Only runs with weights .*Received"):
        read_run(path)


def test_a_run_that_used_all_its_episodes_is_finished(tmp_path):
    path = make_run(tmp_path / "run", verdict="save")
    (path / "operative_config.gin").write_text("Trainer.num_episodes = 25\n")
    assert read_run(path).ended == "after its 25 episodes"


def test_a_run_is_given_once(tmp_path):
    run = read_run(make_run(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"Received: .*\('dm_cl', 0\), \('dm"):
        named([run, run])


def test_every_run_is_measured_and_adam_beside_them(house):
    runs = [read_run(path) for path in house[0]]
    comparison = model_cards.comparison_of(runs)
    assert [c.name for c in comparison.optimizers] == [
        "first",
        "second",
        "adam_0.001",
    ]
    assert comparison.optimizees == OPTIMIZEES
    assert (comparison.seeds, comparison.steps) == (SEEDS, STEPS)
    assert comparison.split == "test"


def test_the_command_says_what_it_wrote_or_what_is_wrong(
    house, monkeypatch, capsys
):
    monkeypatch.setattr(model_cards, "measure", lambda runs, folder: None)
    runs, results, baselines, output = house
    arguments = [
        *map(str, runs),
        f"--results={results}",
        f"--baselines={baselines}",
        f"--machine={MACHINE}",
        f"--output={output}",
    ]
    assert model_cards.main(arguments) == 0
    assert capsys.readouterr().out == (
        f"dm_cl.npz: {runs[1]}\ndm_cl_seed0.npz: {runs[0]}\n"
    )
    assert json.loads((output / "dm_cl.json").read_text())["seed"] == 1
    assert model_cards.main([str(runs[0]), *arguments[2:]]) == 1
    assert "none of the runs" in capsys.readouterr().err
