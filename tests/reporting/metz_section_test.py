"""What REPRODUCTION.md says of Metz et al.'s studies and comparisons."""

import pathlib

import numpy as np
import pytest
from support.curves import make_curve
from support.findings import finding, training

from l2o_tf.reporting.metz_section import (
    end_values,
    learning_rate_table,
    metz_pictures,
    metz_section,
    momentum_table,
    outer_training_table,
    truncation_table,
)
from l2o_tf.reporting.reproduction import reproduction

GIN = pathlib.Path(__file__).parents[2] / "gin"
MOMENTA = np.arange(1000) / 1000
ENDS = np.where(MOMENTA < 0.805, 0.0, np.where(MOMENTA < 0.9, 3.5687, 0.0))
ENDS[990:] = 1.0 + np.arange(10)  # alternating
TOY = finding(
    "momentum",
    {
        "momenta": MOMENTA,
        "lengths": [10, 1000],
        "ends": [ENDS + 7, ENDS],
        "losses": [ENDS, -ENDS],
    },
)


def bias(window, rates, losses):
    return finding(
        "truncation_bias",
        {"learning_rates": rates, "meta_losses": losses},
        {"window": window},
        f"truncation_bias_{window}",
        notice="A NOTICE",
    )


def test_ranges_of_momentum_are_told_by_where_they_end():
    table = momentum_table(TOY)
    assert table.columns[1] == "w after 1,000 updates"
    assert table.rows == [
        ("0.000 to 0.804", 0.0, -0.0),
        ("0.805 to 0.899", 3.5687, -3.5687),
        ("0.900 to 0.989", 0.0, -0.0),
    ]


def test_runs_apart_are_told_by_least_mean_and_most():
    table = learning_rate_table(
        finding(
            "learning_rate",
            {
                "losses": [[9.0, 1.0], [9.0, 3.0]],
                "separations": [4.0],
                "travelled": [5.0, 7.0],
            },
        )
    )
    assert table.rows == [
        ("last loss", 1.0, 2.0, 3.0),
        ("distance of neighbours' ends", 4.0, 4.0, 4.0),
        ("distance travelled", 5.0, 6.0, 7.0),
    ]


def test_windows_push_up_or_down_in_the_order_of_their_length():
    found = [bias(100, [1e-3, 2e-3], [0.3, 0.2])]
    found += [bias(10, [1e-3, 5e-4, 4e-4], [0.3, 0.25, 0.31])]
    assert truncation_table(found).rows == [
        (10, 3, "0.001", "0.0004", "down", 0.3, 0.31),
        (100, 2, "0.001", "0.002", "up", 0.3, 0.2),
    ]


def test_training_runs_are_told_with_their_variances():
    merged = training(
        "merged",
        validation_losses=[0.7, 0.4, 0.5],
        score_variances=[-1.0, -2.0],
        pathwise_variances=[-5.0, 3.0],
        dropped_pairs=[1, 0, 2],
    )
    es = training("es", validation_losses=[], pathwise_variances=[np.nan])
    rows = outer_training_table([merged, es]).rows
    assert rows == [
        ("merged", "300", "30", 0.7, 0.4, 0.5, -1.0, -2.0, -5.0, 3.0, 3),
        ("es", "300", "30", *7 * ("",), 0),
    ]


def test_the_configurations_of_training_runs_are_told_with_their_scale():
    runs = [training("all", configuration="metz"), training("mine")]
    text = " ".join(metz_section([], runs, {}).split())
    assert "Of the configurations, all is `metz`. " in text + " "
    assert "scale" not in text
    runs += [training("ES", configuration="metz_small_es")]
    text = " ".join(metz_section([], runs, {}).split())
    assert "all is `metz`, ES is `metz_small_es`. `metz_small` is the" in text
    assert "Of the conf" not in metz_section([], runs[1:2], {})
    # Findings from before configurations were kept.
    old = training("old")
    del old.config["configuration"]
    assert "Of the conf" not in metz_section([], [old], {})


def test_the_reduced_scale_is_that_of_the_configuration():
    runs = [training("ES", configuration="metz_small_es")]
    text = " ".join(metz_section([], runs, {}).split())
    bound = (GIN / "parts/techniques/metz_small.gin").read_text()
    for binding, words in (
        ("num_particles = 8\n", "4 pairs ("),
        ("pair_horizon = 200  ", "episodes of 200 updates ("),
        ("GrowingWindows.first = 10 ", "windows of 10 to 50 updates ("),
        ("GrowingWindows.last = 50 ", "windows of 10 to 50 updates ("),
        ("metz_conv.batch_size = 32\n", "minibatches of 32 images,"),
        ("metz_conv.objective_batches = 1\n", "one of them per outer-loss"),
        ("meta/Adam.learning_rate = 3e-4\n", "learning rate of 3e-4 ("),
    ):
        assert binding in bound
        assert words in text


def curves():
    return [
        make_curve(
            optimizer=name, optimizee="metz_conv", seed=seed, losses=losses
        )
        for name, losses in (("metz", 200 * [0.5]), ("adam", 200 * [0.25]))
        for seed in (0, 1)
    ]


def test_figure_6_has_its_end_values():
    rows = end_values(curves()).rows
    found = {row[1]: (row[3], row[5]) for row in rows}
    assert found["metz"][0] == pytest.approx(np.log(0.5))
    assert found["adam"][0] == pytest.approx(np.log(0.25))
    assert {words for _, words in found.values()} == {"0-1"}


def test_the_section_has_pictures_tables_and_notices_of_what_there_is():
    findings = [TOY, bias(10, [1e-3, 2e-3], [0.3, 0.2])]
    pictures = {"momentum": "p/m.png", "metz_6": "p/6.png"}
    text = metz_section(curves(), findings, pictures)
    assert "(p/m.png)" in text
    assert "(p/6.png)" in text
    assert "0.805 to 0.899" in text
    assert "**A NOTICE**" in text
    assert "Figure 2d" not in text
    assert metz_section([], [], {}) == ""


def test_reproduction_has_the_section_and_takes_its_pictures():
    pictures = {name: f"{name}.png" for name in metz_pictures([TOY])}
    text = reproduction(curves(), pictures, "plot", None, [TOY])
    assert text.count("(metz_6.png)") == 1
    assert "## Understanding and correcting pathologies" in text
    assert "Not measured" not in text
    with pytest.raises(ValueError, match=r"pictures=\['other'\]"):
        reproduction(curves(), {"other": "x.png"}, "plot", None, [TOY])


def test_the_grids_of_figure_6_are_told_once_for_both_kinds_of_losses():
    tuning = {
        "candidates": [
            {"name": "adam_0.1", "score": 0.5},
            {"name": "adam_1", "score": 2.0},
        ],
        "chosen": 0,
        "at_edge": True,
        "by": "mean",
        "steps": 500,
        "seeds": [1000],
    }
    found = [
        make_curve(
            optimizer="adam",
            optimizee="metz_conv",
            losses=200 * [0.25],
            tuning=tuning,
            measured=measured,
        )
        for measured in (None, "test")
    ]
    text = metz_section(found, [], {})
    assert text.count("### Figure 6: the tuned optimizers") == 1
    assert text.count("**adam_0.1: 0.50**, adam_1: 2.00") == 1
    assert "the tuned optimizers" not in metz_section(curves(), [], {})
