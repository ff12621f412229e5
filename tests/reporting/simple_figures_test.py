"""The figures of SimpleOptimizer's paper: panels, labels, what is missing."""

import numpy as np
import pytest
from support.curves import ending_at, make_curve

from l2o_tf.reporting import simple_paper
from l2o_tf.reporting.looks import looks
from l2o_tf.reporting.panels import SECONDS, Drawing
from l2o_tf.reporting.simple_figures import draw_simple_figure, missing_words

FIGURES = {figure.name: figure for figure in simple_paper.FIGURES}
RAW = Drawing(window=1)
NOTICE = "NOT THE FULL MNIST"


def two_seeds(optimizer, optimizee="base_mlp", steps=400, **fields):
    facts = {"split": "train", **fields}
    return ending_at(
        [-1.0, -2.0], optimizer, steps=steps, optimizee=optimizee, **facts
    )


def everything(name):
    asked = {(o, p.optimizee): 0 for p in FIGURES[name].panels for o in p[1]}
    return [c for pair in asked for c in two_seeds(*pair)]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def labels(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("name", FIGURES)
def test_a_whole_figure_has_all_panels_and_lines(name):
    figure = FIGURES[name]
    drawn = draw_simple_figure(figure, everything(name)[::-1], RAW)
    assert [a.get_title() for a in drawn.axes] == [
        simple_paper.panel_title(panel) for panel in figure.panels
    ]
    shown = dict.fromkeys(o for p in figure.panels for o in p.optimizers)
    assert sorted(labels(drawn)) == sorted(
        f"{simple_paper.OPTIMIZERS[o]} (2 seeds)" for o in shown
    )
    assert not [text for text in texts(drawn) if "not measured" in text]
    for axes, panel in zip(drawn.axes, figure.panels, strict=True):
        assert len(axes.lines) == len(panel.optimizers)
        assert axes.get_xlabel() == "updates"
        assert axes.get_ylabel() == "loss on train"
        assert axes.get_yscale() == "log"
        (right,) = axes.child_axes
        assert right.get_ylabel() == "ln loss"


def test_the_first_panel_of_figure_2_ends_at_200_updates():
    drawn = draw_simple_figure(FIGURES["simple_2"], everything("simple_2"), RAW)
    short, long = drawn.axes
    assert short.get_xlim() == (0, 200)
    assert long.get_xlim() == (0, 400)
    mean = (np.exp(-1) + np.exp(-2)) / 2
    for line in (*short.lines, *long.lines):
        np.testing.assert_allclose(line.get_ydata(), mean, rtol=1e-6)


def test_a_short_panel_is_smoothed_by_a_tenth_of_it_at_most():
    drawn = draw_simple_figure(
        FIGURES["simple_2"], two_seeds("simple"), Drawing(window=100)
    )
    short, long = drawn.axes
    assert short.get_ylabel() == "loss on train, running mean over 20 updates"
    assert long.get_ylabel() == "loss on train, running mean over 100 updates"


def test_lines_differ_without_colours():
    found = looks(simple_paper.OPTIMIZERS).values()
    assert len({(str(x.dashes), x.marker) for x in found}) == 9
    assert len({str(x.colour) for x in found}) == 9
    alone = looks(["simple"])["simple"]
    assert looks(["mine", "dm", "simple"])["simple"] == alone


def test_title_and_words_say_what_was_measured():
    curves = two_seeds("simple", notice=NOTICE)
    title, measured, notice, *_ = texts(
        draw_simple_figure(FIGURES["simple_2"], curves, RAW)
    )
    assert title == (
        "Figure 2 of SimpleOptimizer's paper: Against the learned optimizers "
        "before it"
    )
    assert measured.startswith("Base MLP; split: train; 400 updates; 2 seeds; ")
    assert measured.endswith("line: mean of the seeds; band: lowest to highest")
    assert notice == NOTICE


def test_our_own_figure_has_no_number_of_the_paper():
    title = texts(
        draw_simple_figure(FIGURES["simple_A1"], two_seeds("sgd"), RAW)
    )[0]
    assert title == FIGURES["simple_A1"].title


def test_missing_lines_and_panels_are_named():
    curves = two_seeds("simple", "lenet_mnist")
    drawn = draw_simple_figure(FIGURES["simple_4"], curves, RAW)
    assert [a.get_title() for a in drawn.axes] == ["LeNet on MNIST"]
    assert " ".join(texts(drawn)).endswith(
        " not measured: LeNet on MNIST (SGD, tuned; Adam, tuned); LeNet on "
        "CIFAR-10 (SimpleOptimizer, fine-tuned; SGD, tuned; Adam, tuned)"
    )


def test_an_optimizee_of_two_panels_is_named_once():
    words = missing_words(FIGURES["simple_2"], [("simple", "base_mlp")])
    assert words == ["Base MLP (L2O-DM, same training; RNNprop, same training)"]


def test_a_figure_without_curves_is_none():
    other = [
        *two_seeds("dm"),
        *two_seeds("simple", split="test"),
        *two_seeds("simple", measured="test"),
        *two_seeds("simple", "mlp_orig"),
    ]
    assert draw_simple_figure(FIGURES["simple_2"], other, RAW) is None
    assert draw_simple_figure(FIGURES["simple_2"], [], RAW) is None


def test_against_seconds_what_was_measured_is_drawn():
    curves = two_seeds("simple") + two_seeds("dm_base_mlp")
    drawing = Drawing(1, against="seconds", seconds={("simple", "base_mlp"): 2})
    short, long = draw_simple_figure(FIGURES["simple_2"], curves, drawing).axes
    assert short.get_xlabel() == SECONDS
    assert (short.get_xlim()[1], long.get_xlim()[1]) == (400, 800)
    assert len(long.lines) == 1


def test_a_run_that_diverged_is_counted_once_though_drawn_twice():
    losses = np.r_[np.ones(300), np.full(100, np.nan)]
    curves = [
        make_curve(losses, 0, "simple", "base_mlp", "train"),
        make_curve(np.ones(400), 1, "simple", "base_mlp", "train"),
    ]
    drawn = draw_simple_figure(FIGURES["simple_2"], curves, RAW)
    assert labels(drawn) == ["SimpleOptimizer (2 seeds, 1 diverged)"]
