"""What is in a figure: data, labels, units; not pixels."""

import numpy as np
import pytest

from l2o_tf.evaluation.curves import Curve
from l2o_tf.evaluation.figures import draw, save_figure


def make(optimizer, optimizee, seed, losses, notice=None):
    losses = np.asarray(losses, np.float32)
    return Curve(losses, optimizer, optimizee, "test", seed, 1.0, notice)


CURVES = [
    make("dm", "mlp_orig", 0, [4.0, 2.0, 1.0]),
    make("dm", "mlp_orig", 1, [6.0, 4.0, 3.0]),
    make("adam", "mlp_orig", 0, [5.0, np.nan, 4.0]),
    make("adam", "mlp_orig", 1, [5.0, 4.0, 4.0]),
    make("dm", "mlp_relu", 0, [2.0, 2.0, 2.0]),
]


def test_one_panel_per_optimizee_one_line_per_optimizer():
    panels = draw(CURVES, window=1).axes
    assert [p.get_title() for p in panels] == ["mlp_orig", "mlp_relu"]
    assert [len(p.lines) for p in panels] == [2, 1]


def test_line_is_the_mean_and_band_the_range():
    panel = draw(CURVES, window=1).axes[0]
    np.testing.assert_array_equal(panel.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(panel.lines[0].get_ydata(), [5, 3, 2])
    band = panel.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 1.0
    assert band[:, 1].max() == 6.0


def test_axes_are_logarithmic_and_labelled_with_units():
    panel = draw(CURVES, window=2).axes[0]
    assert panel.get_yscale() == "log"
    assert panel.get_xlabel() == "update"
    assert panel.get_ylabel() == "loss on test, running mean over 2 updates"
    assert draw(CURVES, 1).axes[0].get_ylabel() == "loss on test"


def test_legend_counts_seeds_and_diverged_runs():
    legend = draw(CURVES, window=1).axes[0].get_legend()
    assert [t.get_text() for t in legend.get_texts()] == [
        "dm (2 seeds)",
        "adam (2 seeds, 1 diverged)",
    ]


def test_lines_differ_without_colour():
    lines = draw(CURVES, window=1).axes[0].lines
    assert lines[0].get_linestyle() != lines[1].get_linestyle()


def test_notice_is_in_the_title():
    notice = "NOT THE FULL MNIST"
    figure = draw([make("dm", "mlp_orig", 0, [1.0, 2.0], notice)], window=1)
    assert figure.get_suptitle() == notice
    assert draw(CURVES, window=1).get_suptitle() == ""


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_figures_are_written(tmp_path, ending):
    path = save_figure(draw(CURVES, 1), tmp_path / "new" / f"x.{ending}")
    start = path.read_bytes()[:200]
    assert start.startswith(b"\x89PNG") or b"<?xml" in start


def test_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not supported"):
        save_figure(draw(CURVES, 1), tmp_path / "x.nothing")


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="Received: curves="):
        draw([])
