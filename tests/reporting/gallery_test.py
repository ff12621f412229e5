"""Which pictures there are of a folder, and where they are put."""

import pytest
from matplotlib import image
from support.curves import ending_at

from l2o_tf.reporting import paper
from l2o_tf.reporting.gallery import (
    draw_all,
    draw_curves,
    save_all,
    save_beside_text,
)
from l2o_tf.reporting.panels import Drawing

RAW = Drawing(window=1)
CURVES = ending_at([-1.0], "scale", optimizee="mnist_conv")
EXPLORED = ending_at([-1.0], "dm_100@1000", optimizee="mnist_conv")


def test_all_figures_of_which_there_is_a_curve_are_drawn():
    assert list(draw_all(CURVES, RAW)) == ["curves", "2", "3", "6", "A2"]
    assert list(draw_all(CURVES + EXPLORED, RAW)) == [
        "curves",
        *("2", "3", "6", "A1", "A2"),
    ]


def test_figures_of_both_papers_are_drawn():
    simple = ending_at(
        [-1.0], "simple", optimizee="base_mlp", split="train", steps=10
    )
    drawn = draw_all(CURVES + simple, RAW)
    assert list(drawn) == [
        "curves",
        *("2", "3", "6", "A2"),
        *("simple_2", "simple_3", "simple_A1"),
    ]
    assert list(draw_all(CURVES + simple, RAW, ["simple_3"])) == [
        "curves",
        "simple_3",
    ]


def test_figures_that_are_asked_for_are_drawn():
    assert list(draw_all(CURVES, RAW, ["6", "7"])) == ["curves", "6"]


def test_a_figure_without_a_panel_that_is_asked_for_is_not_drawn():
    figures = paper.figures_on(("nas",))
    curves = ending_at([-1.0], "dm", optimizee="nas")
    assert list(draw_all(curves, RAW, ["2", "7"], figures)) == ["curves", "7"]


def test_unknown_figures_are_refused():
    with pytest.raises(ValueError, match=r"Received: figures=\['9'\]"):
        draw_all(CURVES, RAW, ["2", "9"])


def test_exploration_is_among_all_curves_only_if_there_are_no_others():
    (legend,) = draw_curves(CURVES + EXPLORED, RAW).legends
    assert [t.get_text() for t in legend.get_texts()] == ["scale (1 seed)"]
    (legend,) = draw_curves(EXPLORED, RAW).legends
    assert [t.get_text() for t in legend.get_texts()] == [
        "dm_100@1000 (1 seed)"
    ]


def test_pictures_are_put_in_their_folders(tmp_path):
    figures = draw_all(CURVES, RAW, ["6"])
    assert save_all(tmp_path, figures) == {
        "curves": tmp_path / "curves.png",
        "6": tmp_path / "figures/figure_6.png",
    }
    beside = save_beside_text(tmp_path / "REPRODUCTION.md", figures)
    assert beside == {"6": "reproduction/figure_6.png"}
    kept, there = (
        image.imread(tmp_path / folder / "figure_6.png").shape
        for folder in ("reproduction", "figures")
    )
    assert kept[0] / there[0] == pytest.approx(100 / 150, abs=0.01)
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert sorted(str(p.relative_to(tmp_path)) for p in files) == [
        "curves.png",
        "curves.svg",
        "figures/figure_6.png",
        "figures/figure_6.svg",
        "reproduction/figure_6.png",
    ]
