"""The paper's figures: data, published marks, what is missing."""

import numpy as np
import pytest
from support.curves import ending_at, make_curve

from l2o_tf.reporting import paper
from l2o_tf.reporting.panels import SECONDS, Drawing
from l2o_tf.reporting.paper_figures import (
    EXPLORED,
    PUBLISHED,
    draw_paper_figure,
    missing_words,
)

FIGURES = {figure.number: figure for figure in paper.FIGURES}
RAW = Drawing(window=1)
NOTICE = "NOT THE FULL MNIST"


def two_seeds(optimizer, optimizee, **fields):
    return ending_at([-1.0, -2.0], optimizer, optimizee=optimizee, **fields)


def everything(number, **fields):
    figure = FIGURES[number]
    return [
        curve
        for optimizee in figure.optimizees
        for optimizer in figure.optimizers
        for curve in two_seeds(optimizer, optimizee, **fields)
    ]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def labels(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def marks(axes):
    return [line for line in axes.lines if line.get_gid() == "published"]


@pytest.mark.parametrize("number", ["2", "6", "7"])
def test_a_whole_figure_has_all_panels_and_lines_in_the_papers_words(number):
    figure = FIGURES[number]
    drawn = draw_paper_figure(figure, everything(number)[::-1], RAW)
    assert [a.get_title() for a in drawn.axes] == [
        paper.OPTIMIZEES[o] for o in figure.optimizees
    ]
    expected = [f"{paper.OPTIMIZERS[o]} (2 seeds)" for o in figure.optimizers]
    assert labels(drawn) == [*expected, PUBLISHED]
    assert not [text for text in texts(drawn) if "not measured" in text]
    mean = (np.exp(-1) + np.exp(-2)) / 2
    for axes in drawn.axes:
        lines = [line for line in axes.lines if line not in marks(axes)]
        assert len(lines) == len(figure.optimizers)
        for line in lines:
            np.testing.assert_allclose(line.get_ydata(), mean, rtol=1e-6)


def test_published_ends_are_hollow_marks_of_their_line_at_10000():
    drawn = draw_paper_figure(FIGURES["2"], everything("2"), RAW)
    axes = drawn.axes[0]
    expected = [
        np.exp(paper.PUBLISHED[o, "mlp_orig"]) for o in FIGURES["2"].optimizers
    ]
    found = marks(axes)
    np.testing.assert_allclose([m.get_ydata()[0] for m in found], expected)
    assert {m.get_xdata()[0] for m in found} == {10_000}
    assert {m.get_markerfacecolor() for m in found} == {"none"}
    lines = [line for line in axes.lines if line not in found]
    for mark, line in zip(found, lines, strict=True):
        assert mark.get_color() == line.get_color()
        assert mark.get_marker() == line.get_marker()
    low, high = axes.get_ylim()
    assert low < min(expected)
    assert max(expected) < high
    assert axes.get_xlim() == (0, 10_000)


def test_only_drawn_lines_of_the_test_split_have_published_marks():
    curves = two_seeds("dm", "mlp_orig") + two_seeds("adam", "mlp_orig")
    drawn = draw_paper_figure(FIGURES["7"], curves, RAW)
    assert len(marks(drawn.axes[0])) == 1
    for others in (
        two_seeds("dm", "mlp_orig", split="train"),
        two_seeds("adam", "mlp_orig"),
    ):
        drawn = draw_paper_figure(FIGURES["7"], others, RAW)
        assert not marks(drawn.axes[0])
        assert PUBLISHED not in labels(drawn)


def test_a_figure_without_curves_is_none():
    curves = two_seeds("dm", "mlp_orig")
    assert draw_paper_figure(FIGURES["6"], curves, RAW) is None
    assert draw_paper_figure(FIGURES["4"], curves, RAW) is None
    assert draw_paper_figure(FIGURES["A3"], curves, RAW) is None
    assert draw_paper_figure(FIGURES["2"], [], RAW) is None


def test_missing_curves_are_named():
    curves = [
        *two_seeds("adam", "mlp_orig"),
        *two_seeds("dm", "mlp_orig"),
        *two_seeds("adam", "nas"),
        *two_seeds("rnnprop", "nas"),
    ]
    drawn = draw_paper_figure(FIGURES["7"], curves, RAW)
    assert texts(drawn)[-1] == (
        "not measured: RMSProp, tuned; SGD, tuned; L2O-DM on NAS-CIFAR; "
        "L2O-DM-CL-IL; everything on Conv-MNIST, LeNet"
    )
    assert len(drawn.axes) == 2


def test_missing_curves_of_exploration_are_optimizees():
    found = [("dm_100@1000", "mlp_relu")]
    assert missing_words(FIGURES["A1"], found) == ["Conv-MNIST"]


def test_the_title_says_what_was_measured():
    curves = two_seeds("dm", "mlp_orig", notice=NOTICE)
    title, measured, notice, *_ = texts(
        draw_paper_figure(FIGURES["7"], curves, RAW)
    )
    assert title.startswith("Figure 7: Against hand-designed optimizers")
    assert measured.startswith("MLP-orig; split: test; 10 updates; 2 seeds; ")
    assert measured.endswith("line: mean of the seeds; band: lowest to highest")
    assert notice == NOTICE


def test_seeds_that_differ_are_in_title_and_legend():
    curves = two_seeds("dm", "mlp_orig") + ending_at([-3.0], "adam")
    drawn = draw_paper_figure(FIGURES["7"], curves, RAW)
    assert "1 to 2 seeds" in texts(drawn)[1]
    assert labels(drawn)[:2] == ["Adam, tuned (1 seed)", "L2O-DM (2 seeds)"]


def test_the_figure_against_seconds_has_what_was_measured():
    seconds = {("dm", "mlp_orig"): 0.5, ("adam", "mlp_orig"): 0.125}
    curves = [
        *two_seeds("dm", "mlp_orig"),
        *two_seeds("adam", "mlp_orig"),
        *two_seeds("sgd", "mlp_orig"),
    ]
    drawn = draw_paper_figure(
        FIGURES["A3"], curves, Drawing(1, seconds=seconds)
    )
    (axes,) = drawn.axes
    assert axes.get_xlabel() == SECONDS
    mark, dm, adam = axes.lines
    assert mark.get_xdata()[0] == 5_000
    np.testing.assert_allclose(dm.get_xdata(), 0.5 * np.arange(1, 11))
    np.testing.assert_allclose(adam.get_xdata(), 0.125 * np.arange(1, 11))
    assert "SGD, tuned;" in " ".join(texts(drawn))


def exploration(ends):
    """Return curves of name to the ln end values."""
    return [
        curve
        for name, values in ends.items()
        for curve in ending_at(values, name, optimizee="mlp_orig")
    ]


def test_exploration_is_the_end_value_by_episodes():
    curves = exploration(
        {
            "dm_100@2000": [0.0, -1.0],
            "dm_100@1000": [-1.0, -2.0],
            "dm_200@1000": [-3.0, -3.0],
        }
    )
    drawn = draw_paper_figure(FIGURES["4"], curves, RAW)
    (axes,) = drawn.axes
    (first, _, (bars,)), (second, _, _) = axes.containers
    np.testing.assert_array_equal(first.get_xdata(), [1000, 2000])
    e = np.exp
    np.testing.assert_allclose(
        first.get_ydata(), [(e(-1) + e(-2)) / 2, (1 + e(-1)) / 2], rtol=1e-6
    )
    ranges = [sorted(segment[:, 1]) for segment in bars.get_segments()]
    np.testing.assert_allclose(ranges, [[e(-2), e(-1)], [e(-1), 1]], rtol=1e-6)
    np.testing.assert_allclose(second.get_ydata(), [e(-3)], rtol=1e-6)
    assert labels(drawn) == ["dm_100 (2 seeds)", "dm_200 (2 seeds)"]
    assert axes.get_xlabel() == "episodes of training"
    assert axes.get_ylabel() == "loss on test, mean of the last 100 updates"
    assert axes.get_yscale() == "log"
    assert texts(drawn)[1].endswith(EXPLORED)


def test_diverged_runs_of_exploration_are_shown():
    curves = exploration(
        {"dm_100@1000": [-1.0, None, -1.0], "dm_100@2000": [None, None]}
    )
    (axes,) = draw_paper_figure(FIGURES["4"], curves, RAW).axes
    (note,) = axes.texts
    assert note.get_text() == "1 of 3 diverged"
    (cross,) = [line for line in axes.lines if line.get_marker() == "x"]
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (2000, 1.0)
    assert cross.get_transform() == axes.get_xaxis_transform()


def test_exploration_in_which_all_diverged_is_drawn():
    curves = exploration({"dm_100@1000": [None]})
    (axes,) = draw_paper_figure(FIGURES["4"], curves, RAW).axes
    assert [x.get_marker() for x in axes.lines].count("x") == 1


def test_names_that_only_look_like_exploration_are_others():
    curves = [make_curve(optimizer=name) for name in ("@1000", "dm@", "dm@1e3")]
    assert draw_paper_figure(FIGURES["4"], curves, RAW) is None
