"""What is in a figure: data, labels, units; not pixels."""

import numpy as np
import pytest
from support.curves import make_curve

from l2o_tf.reporting.figures import draw, picture_bytes, save_figure
from l2o_tf.reporting.panels import Drawing

RAW = Drawing(window=1)
CURVES = [
    make_curve([4.0, 2.0, 1.0], 0, "dm", "mlp_orig"),
    make_curve([6.0, 4.0, 3.0], 1, "dm", "mlp_orig"),
    make_curve([5.0, np.nan, 4.0], 0, "adam", "mlp_orig"),
    make_curve([5.0, 4.0, 4.0], 1, "adam", "mlp_orig"),
    make_curve([2.0, 2.0, 2.0], 0, "dm", "mlp_relu"),
]


def labels(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_one_panel_per_optimizee_one_line_per_optimizer():
    panels = draw(CURVES, RAW).axes
    assert [p.get_title() for p in panels] == ["mlp_orig", "mlp_relu"]
    # Of adam: the mean of the finite runs, and the other one with its end.
    assert [len(p.lines) for p in panels] == [4, 1]


def test_splits_of_one_optimizee_have_panels_of_their_own():
    curves = [make_curve([2, 1]), make_curve([3, 1], split="train")]
    panels = draw(curves, RAW).axes
    assert [p.get_ylabel() for p in panels] == ["loss on test", "loss on train"]
    assert [p.lines[0].get_ydata()[0] for p in panels] == [2, 3]


def test_losses_of_another_split_have_a_panel_of_their_own():
    curves = [
        make_curve([2, 1], split="train"),
        make_curve([4, 3], split="train", measured="test"),
        make_curve([3, 1]),
    ]
    panels = draw(curves, RAW).axes
    assert [p.get_ylabel() for p in panels] == [
        "loss on train",
        "loss on test, optimised on train",
        "loss on test",
    ]
    assert [p.lines[0].get_ydata()[0] for p in panels] == [2, 4, 3]


def test_a_long_label_has_two_lines():
    curve = make_curve([4, 3, 2], split="train", measured="test")
    (axes, *_) = draw([curve], Drawing(window=2)).axes
    assert axes.get_ylabel() == (
        "loss on test, optimised on train,\nrunning mean over 2 updates"
    )


def test_a_title_and_words_are_the_callers():
    figure = draw(CURVES, RAW, "A title", {"mlp_relu": "MLP-ReLU"})
    assert figure.texts[0].get_text() == "A title"
    titles = [p.get_title() for p in figure.axes]
    assert titles == ["mlp_orig", "MLP-ReLU"]


def test_the_legend_counts_seeds_and_diverged_runs():
    assert labels(draw(CURVES, RAW)) == [
        "dm (1 to 2 seeds)",
        "adam (2 seeds, 1 diverged)",
    ]
    elsewhere = make_curve([1.0, 1.0, np.inf], 0, "adam", "mlp_relu")
    assert labels(draw([*CURVES, elsewhere], RAW))[1] == (
        "adam (1 to 2 seeds, 2 of 3 runs diverged)"
    )
    assert labels(draw(CURVES[-1:], RAW)) == ["dm (1 seed)"]


def test_lines_differ_without_colour():
    lines = draw([CURVES[0], CURVES[3]], RAW).axes[0].lines
    assert lines[0].get_linestyle() != lines[1].get_linestyle()
    assert lines[0].get_marker() != lines[1].get_marker()


def test_lines_look_as_in_the_legend():
    figure = draw([CURVES[0], CURVES[3]], RAW)
    for line, shown in zip(
        figure.axes[0].lines, figure.legends[0].get_lines(), strict=True
    ):
        assert line.get_color() == shown.get_color()
        assert line.get_marker() == shown.get_marker()


@pytest.mark.parametrize(
    ("drawing", "words"),
    [
        (Drawing(1), "line: mean of the seeds; band: lowest to highest"),
        (
            Drawing(1, "median", "quartiles"),
            "line: median of the seeds; band: the middle half",
        ),
        (Drawing(1, band="none"), "line: mean of the seeds"),
        (
            Drawing(1, log_mean=True),
            "line: mean of the seeds' ln losses; band: lowest to highest",
        ),
        (
            Drawing(1, band="std", log_mean=True),
            "line: mean of the seeds' ln losses; band: one standard deviation "
            "of ln losses to either side",
        ),
    ],
)
def test_what_line_and_band_are_is_said(drawing, words):
    assert [t.get_text() for t in draw(CURVES, drawing).texts] == [words]


def test_a_notice_stands_above_the_panels_once():
    notice = "NOT THE FULL MNIST"
    curves = [make_curve([1.0, 2.0], seed=s, notice=notice) for s in (0, 1)]
    texts = [t.get_text() for t in draw(curves, RAW).texts]
    assert texts.count(notice) == 1


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_figures_are_written_the_same_every_time(tmp_path, ending):
    paths = [
        save_figure(draw(CURVES[:1], RAW), tmp_path / name / f"x.{ending}")
        for name in ("a", "b")
    ]
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert first.startswith(starts[ending])


def test_an_svg_can_have_letters():
    figure = draw(CURVES[:1], RAW)
    assert b">updates</text>" in picture_bytes(figure, "svg", letters=True)
    assert b"</text>" not in picture_bytes(figure, "svg")


def test_an_unknown_format_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="not supported"):
        save_figure(draw(CURVES, RAW), tmp_path / "new" / "x.nothing")
    assert not list(tmp_path.iterdir())


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="Received: curves="):
        draw([])


def test_a_window_longer_than_the_curves_is_refused():
    with pytest.raises(ValueError, match="Received: window=100, steps=3"):
        draw(CURVES)
