"""REPRODUCTION.md of synthetic curves: every number in it is known."""

import math
import re

import pytest
from support.curves import ending_at

from l2o_tf.reporting import paper
from l2o_tf.reporting.deviations import DEVIATIONS
from l2o_tf.reporting.reproduction import (
    exchanged_table,
    not_measured,
    reproduction,
)

FACTS = {
    "device": "CPU",
    "runtime": "xla",
    "packages": {"tensorflow": "2.21.0", "keras": "3.15.1"},
}
TUNING = {
    "by": "mean",
    "steps": 5000,
    "seeds": [1, 1000],
    "candidates": [
        {"name": "adam_0.01", "config": {}, "score": -1.5},
        {"name": "adam_0.1", "config": {}, "score": math.inf},
    ],
    "chosen": 0,
    "at_edge": True,
}


def full(ln_ends, optimizer, **fields):
    facts = {**FACTS, **fields}
    return ending_at(ln_ends, optimizer, steps=paper.STEPS, **facts)


def text_of(curves, pictures=None, command="do it"):
    return reproduction(curves, pictures or {}, command)


def squeezed(text):
    return " ".join(text.split())


def section(text, heading):
    """Return the lines under a heading, to the next of its level."""
    level = heading.split()[0]
    lines = text[text.index(f"{heading}\n") :].splitlines()
    ends = [i for i, s in enumerate(lines) if i and s.startswith(f"{level} ")]
    return "\n".join(lines[: ends[0] if ends else None])


def test_what_was_measured():
    curves = [*full([0.0, None], "dm"), *ending_at([0.0], "mine", split="")]
    measured = section(text_of(curves), "## What was measured")
    for row in (
        "| runs | 3 |",
        "| diverged | dm (runs: 1) |",
        "| optimizers | 2 |",
        "| optimizees | mlp_orig (runs: 3) |",
        "| seeds | 0-1 |",
        "| updates | 10,000 (runs: 2); 10 (runs: 1) |",
        "| split | test (runs: 2); no data (runs: 1) |",
        "| data | complete: no curve carries a notice |",
        "| versions | tensorflow 2.21.0, keras 3.15.1 |",
        "| device and runtime | CPU, xla (runs: 2); device not recorded, "
        "runtime not recorded (runs: 1) |",
        # Three curves of 1.5 s.
        "| computing time | 0.1 minutes, compilation included, tuning not |",
    ):
        assert row in measured.splitlines()


def test_a_notice_of_the_data_is_repeated():
    text = text_of(full([0.0], "dm", notice="NOT THE FULL MNIST"))
    assert "| data | NOT THE FULL MNIST (runs: " in text


def test_versions_that_differ_are_all_named():
    curves = [
        *full([0.0], "dm"),
        *full([0.0], "dm_cl", packages={"tensorflow": "2.22.0"}),
    ]
    assert "tensorflow 2.21.0 and 2.22.0, keras 3.15.1" in text_of(curves)


def test_curves_without_versions_say_so():
    assert "| versions | not recorded |" in text_of(ending_at([0.0]))


def test_long_computing_times_are_in_hours():
    curves = full([0.0], "dm")
    curves[0].chunk_seconds[:] = 3600.0
    assert "| computing time | 2.0 hours, " in text_of(curves)


def test_end_values_of_an_optimizee():
    curves = [
        *full(
            [-7.0] * 10, "adam", tuning=TUNING, config={"learning_rate": 0.1}
        ),
        *full([-4.0, -5.0, None], "dm"),
        *ending_at([-1.0], "mine", split="", steps=7),
    ]
    lines = section(text_of(curves), "### MLP-orig (`mlp_orig`)").splitlines()
    assert lines[2:7] == [
        "| optimizer | ours | single runs | published | seeds | diverged | "
        "verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| L2O-DM (`dm`) | -4.38 | -5.00 to -4.00 | 0.00 | 0-2 (3 of 10) | 1 "
        "| lower by 3.80, 1 of 3 diverged |",
        "| Adam, tuned (`adam`), learning rate 0.1 (edge of grid) | -7.00 | "
        "-7.00 to -7.00 |  | 0-9 | 0 |  |",
        "| `mine`, 7 updates, no data | -1.00 | -1.00 to -1.00 |  | "
        "0 (1 of 10) | 0 |  |",
    ]


def test_optimizees_are_in_the_papers_order_and_unknown_ones_last():
    names = ("zoo", "nas", "mlp_orig")
    curves = [c for n in names for c in full([0.0], "dm", optimizee=n)]
    ends = section(text_of(curves), "## End values")
    headings = [s for s in ends.splitlines() if s.startswith("### ")]
    assert headings == [
        "### MLP-orig (`mlp_orig`)",
        "### NAS-CIFAR (`nas`)",
        "### `zoo`",
    ]


def test_what_is_missing_is_listed():
    missing = not_measured(full([0.0], "dm"))
    assert "dm" not in missing["mlp_orig"]
    assert missing["mlp_orig"][:2] == ["dm_aug", "dm_il"]
    assert missing["nas"][0] == "dm"
    # Self-improving is drawn on Conv-MNIST alone.
    assert "scale_self_improving" in missing["mnist_conv"]
    assert "scale_self_improving" not in missing["mlp_orig"]
    # Figures A2 and A3 are not the paper's.
    assert "adam" not in missing["mlp_relu"]
    assert "rnnprop" not in missing["nas"]
    line = f"* NAS-CIFAR: {', '.join(f'`{n}`' for n in missing['nas'])}"
    assert line in text_of(full([0.0], "dm")).splitlines()


def test_some_panels_alone_are_reported_counted_and_missed():
    figures = paper.figures_on(("mlp_orig", "mlp_relu"))
    curves = [*full([0.0, 0.1], "dm"), *full([-1.0, -1.1], "dm_cl_il")]
    assert list(not_measured(curves, figures)) == ["mlp_orig", "mlp_relu"]
    text = reproduction(curves, {}, "do it", figures=figures)
    said = "Of the paper's 7 problems these alone are reported"
    assert f"{said}, counted and drawn: MLP-orig, MLP-ReLU." in squeezed(text)
    assert said not in squeezed(text_of(curves))
    figure = section(text, f"### Figure 2: {figures[0].title}")
    assert "Of 8 comparisons, holds: 1," in figure
    assert "| MLP-ReLU | not measured |" in figure
    assert "Conv-MNIST |" not in figure
    assert "Figure 6" not in text


def test_of_no_panel_there_is_neither_claim_nor_figure():
    text = reproduction(
        full([0.0], "dm", optimizee="zoo"), {}, "do it", figures=()
    )
    assert "### `zoo`" in text
    assert "these alone" not in text
    assert "## The figures and their claims" not in text


def test_nothing_missing_is_not_listed():
    curves = [
        curve
        for optimizer in paper.OPTIMIZERS
        for optimizee in paper.OPTIMIZEES
        for curve in ending_at([0.0], optimizer, optimizee=optimizee)
    ]
    assert not_measured(curves) == {}
    assert "Not measured:" not in text_of(curves)


def test_exchanged_distances():
    curves = [
        *full([-6.0], "dm_cl_il"),
        *full([-10.0], "rnnprop"),
        *full([-6.5], "dm_cl_il", optimizee="mlp_relu"),
        *full([-4.5], "rnnprop", optimizee="mlp_relu"),
        *full([-6.5], "dm_cl_il", optimizee="mlp_deeper"),
        *full([None], "rnnprop", optimizee="mlp_deeper"),
    ]
    table = exchanged_table(curves)
    orig, relu, total = table.rows
    # Published: -11 and -6; -7 and -4.
    assert orig[0] == "MLP-orig"
    assert orig[1:] == pytest.approx((-6, -10, -11, -6, 9, 1), abs=1e-6)
    assert relu[0] == "MLP-ReLU"
    assert relu[1:] == pytest.approx((-6.5, -4.5, -7, -4, 1, 5), abs=1e-6)
    assert total[5:] == pytest.approx((10, 6), abs=1e-6)
    text = " ".join(text_of(curves).split())
    assert "Exchanged they are nearer on 1 of 2 optimizees" in text
    assert "the distance is 6.00 exchanged and 10.00 as labelled." in text


@pytest.mark.parametrize(
    "curves",
    [
        full([-6.0], "dm_cl_il"),
        full([-6.0], "dm_cl_il") + ending_at([-10.0], "rnnprop"),
        full([-6.0], "dm_cl_il") + full([None], "rnnprop"),
        full([0.0], "dm_cl_il", optimizee="nas")
        + full([0.0], "rnnprop", optimizee="nas"),
    ],
)
def test_nothing_is_exchanged_unless_both_are_measured(curves):
    assert exchanged_table(curves) is None
    assert "exchanged" not in text_of(curves)


def test_a_figure_has_its_picture_its_claim_and_what_decides_it():
    curves = [*full([-3.0, -3.0], "dm_cl_il"), *full([0.0, 0.0], "dm")]
    figure = section(
        text_of(curves, {"2": "figures/2.png"}),
        "### Figure 2: L2O-DM with all techniques against the learned "
        "optimizers before it",
    )
    assert "![Figure 2](figures/2.png)" in figure
    assert "L2O-DM-CL-IL ends lowest." in figure
    assert (
        "Of 20 comparisons, holds: 1, fails: 0, open: 0, not measured: 19."
    ) in figure
    assert (
        "| MLP-orig | holds: -3.00 (-3.00 to -3.00), 2 of 2 seeds | not "
        "measured | not measured | not measured |"
    ) in figure


def test_claims_without_runs_are_not_measured():
    text = text_of(full([0.0], "dm"))
    for figure in paper.FIGURES:
        part = section(text, f"### Figure {figure.number}: {figure.title}")
        has_claim = not figure.claim.startswith("No claim")
        assert ("\nNot measured." in part) == has_claim
        assert "![" not in part


def test_weights_from_along_a_training_are_in_figure_4_alone():
    curves = [
        *full([-3.0, -3.0], "dm_100@1000"),
        *full([-1.0, -1.0], "dm_100@2000"),
    ]
    text = text_of(curves)
    assert "dm_100" not in section(text, "## End values")
    figure = section(text, f"### Figure 4: {paper.FIGURES[2].title}")
    assert (
        "Of 2 comparisons, holds: 1, fails: 0, open: 0, not measured: 1."
    ) in figure
    assert (
        "| MLP-orig | `dm_100` | 1000: -3.00; 2000: -1.00 | holds: -2.00 "
        "(-2.00 to -2.00), 2 of 2 seeds | not measured |"
    ) in figure
    assert "\nNot measured." in section(
        text,
        "### Figure A1: Exploration and exploitation, on optimizees not "
        "trained on",
    )


def test_tuned_grids():
    curves = full([0.0, 0.0], "adam", tuning=TUNING)
    assert (
        "| MLP-orig | Adam, tuned | **adam_0.01: -1.50**, adam_0.1: diverged "
        "| yes | mean | 5,000 | 1, 1000 (also evaluated: 1) |"
    ) in section(text_of(curves), "## Tuned optimizers").splitlines()


def test_nothing_tuned_has_no_section():
    assert "## Tuned" not in text_of(full([0.0], "dm"))


def test_deviations_point_nowhere_in_the_text():
    # They stand in two texts, in different places.
    words = " ".join(" ".join(deviation) for deviation in DEVIATIONS)
    assert not re.findall(r"\b(?:below|above)\b", words)


def test_deviations_are_listed_once_each():
    text = text_of(full([0.0], "dm"))
    for deviation in DEVIATIONS:
        assert text.count(f"| {' | '.join(deviation)} |") == 1
    subjects = [deviation.what for deviation in DEVIATIONS]
    assert len(set(subjects)) == len(subjects)


def test_the_command_stands_in_the_text():
    text = text_of(full([0.0], "dm"), command="python -m x --y=z")
    assert "\n    python -m x --y=z\n" in text


def test_prose_is_wrapped_and_ends_in_one_line_break():
    text = text_of(full([0.0, 0.0], "dm"))
    free = ("|", "*", "#", "!")
    prose = [s for s in text.splitlines() if not s.startswith(free)]
    assert max(map(len, prose)) <= 80
    assert text.endswith("|\n")
    assert "\n\n\n" not in text


def test_no_curve_is_refused():
    with pytest.raises(ValueError, match=r"Received: curves=\[\]"):
        text_of([])


def test_a_picture_of_no_figure_is_refused():
    with pytest.raises(ValueError, match=r"Received: pictures=\['99'\]"):
        text_of(full([0.0], "dm"), {"99": "x.png", "2": "2.png"})
