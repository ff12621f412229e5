"""Figure 6 of Metz et al. shows medians, middle halves and differences."""

import numpy as np
import pytest
from support.curves import make_curve

from l2o_tf.optimizees.collection import OPTIMIZEES as KNOWN
from l2o_tf.reporting.gallery import draw_all
from l2o_tf.reporting.metz_figures import (
    CAPTIONS,
    METZ_FIGURES,
    OPTIMIZEES,
    differences,
    draw_by_seconds,
    draw_differences,
    draw_metz_figure,
)
from l2o_tf.reporting.panels import Drawing

RAW = Drawing(window=1)
TUNING = {"by": "mean", "chosen": 0, "at_edge": False, "candidates": []}
WHERE = {"optimizee": "metz_conv_test", "split": "train"}
FOUND = {**WHERE, "optimizer": "metz"}
RIVAL = {**WHERE, "optimizer": "decayed_adam", "tuning": TUNING}


def runs(losses, **fields):
    """Return constant curves, seed 0 first."""
    return [
        make_curve([float(loss)] * 3, seed, **fields)
        for seed, loss in enumerate(losses)
    ]


def notes_of(figure):
    return " ".join(t.get_text() for t in figure.texts)


def test_every_problem_of_the_paper_has_a_word():
    assert set(OPTIMIZEES) == {
        name for name in KNOWN if "metz" in name or name == "mnist_six_conv"
    }


def test_every_figure_has_a_caption():
    assert list(CAPTIONS) == list(METZ_FIGURES)


def test_lines_are_medians_and_bands_the_middle_half():
    figure = draw_metz_figure(runs([1, 2, 3, 4, 100], **FOUND), RAW)
    (axes, *_) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 3.0)
    (band,) = axes.collections
    edges = band.get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (2.0, 4.0)
    assert "line: median of the seeds; band: the middle half" in notes_of(
        figure
    )


def test_train_and_test_losses_stand_side_by_side():
    curves = [
        *runs([1, 2], optimizer="adam", optimizee="mnist_six_conv"),
        *runs([5, 6], **FOUND, measured="test"),
        *runs([3, 4], **FOUND),
        *runs([9], optimizee="mlp_orig"),
    ]
    panels = draw_metz_figure(curves, RAW).axes
    assert [(p.get_title(), p.get_ylabel()) for p in panels] == [
        ("3 layers, outer-test classes", "loss on train"),
        ("6 layers on MNIST", "loss on test"),
        ("3 layers, outer-test classes", "loss on test, optimised on train"),
    ]
    assert [p.lines[0].get_ydata()[0] for p in panels] == [3.5, 1.5, 5.5]


def test_seconds_are_drawn_of_what_was_timed():
    curves = runs([1, 2], **FOUND) + runs([3], **RIVAL)
    assert draw_by_seconds(curves, RAW) is None
    timed = Drawing(window=1, seconds={("metz", "metz_conv_test"): 0.5})
    (axes, *_) = draw_by_seconds(curves, timed).axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xdata(), [0.5, 1.0, 1.5])


def test_of_other_problems_there_is_no_figure():
    curves = runs([1, 2])
    assert draw_metz_figure(curves, RAW) is None
    assert draw_differences(curves) is None
    assert "metz_6" not in draw_all(curves, RAW)


def test_differences_are_of_the_mean_loss_seed_by_seed():
    learned = [
        make_curve([1.0, 3.0], 0, **FOUND),
        make_curve([2.0, 2.0], 1, **FOUND),
        make_curve([2.0, np.nan], 2, **FOUND),
        make_curve([2.0, 2.0], 3, **FOUND),
        make_curve([9.0, 9.0, 9.0], 4, **FOUND),
        make_curve([9.0, 9.0], 5, **FOUND),
    ]
    rival = [
        make_curve([4.0, 1.0], 0, **RIVAL),
        make_curve([1.0, 2.0], 1, **RIVAL),
        make_curve([1.0, 2.0], 2, **RIVAL),
        make_curve([1.0, np.inf], 3, **RIVAL),
        make_curve([9.0, 9.0], 4, **RIVAL),
        make_curve([1.0, 1.0], 5, **{**RIVAL, "measured": "test"}),
    ]
    tuned = [
        make_curve([5.0, 5.0], 0, **{**RIVAL, "optimizer": "adam"}),
    ]
    (found,) = differences([*tuned, *learned, *rival])
    assert found[:3] == ("metz", "metz_conv_test", "train")
    np.testing.assert_allclose(found.values, [-0.5, 0.5])
    assert (found.only_it, found.only_rival) == (1, 1)


def test_differences_are_drawn_of_ten_problems():
    own, other = np.arange(10) + 1.0, np.full(10, 4.5)
    curves = runs(own, **FOUND) + runs(other, **RIVAL)
    (axes,) = draw_differences(curves).axes
    (patch,) = axes.patches
    assert patch.get_xy()[:, 0].min() == pytest.approx(-3.5)
    assert patch.get_xy()[:, 0].max() == pytest.approx(5.5)
    assert axes.get_xlabel() == "loss on train, less decayed_adam's"
    assert "lower in 4 of 10, median 1" in notes_of(draw_differences(curves))
    assert draw_differences(curves[1:]) is None


def test_who_diverged_is_counted_beside_a_histogram():
    own = [*np.arange(10) + 1.0, np.nan]
    curves = runs(own, **FOUND) + runs(np.full(11, 4.5), **RIVAL)
    words = notes_of(draw_differences(curves))
    assert "diverged alone in 1, decayed_adam in 0" in words


def test_plot_draws_them_by_name():
    curves = runs([1, 2], **FOUND)
    assert list(draw_all(curves, RAW)) == ["curves", "metz_6"]
    assert list(draw_all(curves, RAW, ["metz_6_seconds"])) == ["curves"]
