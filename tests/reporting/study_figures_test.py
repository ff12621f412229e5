"""Pictures of studies show the arrays' numbers."""

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from support.findings import finding, labels, text_of, training

from l2o_tf.reporting.study_figures import (
    draw_findings,
    draw_gradient_slice,
    draw_learning_rate,
    draw_momentum,
    draw_plane,
    draw_truncation_bias,
    save_findings,
)

OF = {
    "cell": {"class": "DMLSTM"},
    "measured": {"class": "MLP", "split": "meta_valid"},
}


MOMENTUM = finding(
    "momentum",
    {
        "momenta": [0.0, 0.5, 0.9, 0.95],
        "lengths": [1, 1000],
        "ends": np.zeros([2, 4]),
        "losses": [[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, -3.0, 0.0]],
        "shown": [0.5],
        "trajectories": [[-1.2, 0.5, 0.0]],
    },
    {"learning_rate": 0.01, "start": -1.2},
)
RATES = finding(
    "learning_rate",
    {
        "learning_rates": [0.1, 0.2, 0.4],
        "losses": [[3.0, 1.0], [3.0, 1.5], [3.0, 0.5]],
        "projections": np.arange(18.0).reshape(3, 3, 2),
        "separations": [1.0, 1.0],
        "travelled": [1.0, 1.0, 1.0],
    },
    notice="Not the full set.",
)
SLICE = finding(
    "gradient_slice",
    {
        "offsets": [-1.0, 0.0, 1.0],
        "lengths": [5, 20],
        "directions": [[1.0]],
        "losses": [[1.0, 2.0], [3.0, np.inf], [5.0, 6.0]],
        "norm": 12.5,
    },
    OF,
)


def plane(losses):
    return finding(
        "plane",
        {"offsets": [-1.0, 0.0, 1.0], "lengths": [20], "losses": losses},
        OF,
    )


def bias(window, name=None):
    count = 1000 // window
    return finding(
        "truncation_bias",
        {
            "learning_rates": [0.001, 0.002, 0.003],
            "meta_losses": [2.0, 1.0],
            "window_gradients": np.full(count, 1.0 / count),
        },
        {"window": window, "horizon": 1000, "update": "window"},
        name or f"truncation_bias_{window}",
    )


def test_momenta_are_drawn_against_losses():
    figure = draw_momentum(MOMENTUM)
    line, times, ends, last = figure.axes
    assert labels(figure) == ["momentum 0.5", "1 step", "1,000 steps"]
    np.testing.assert_array_equal(
        times.lines[0].get_xydata(), [[0, -1.2], [1, 0.5], [2, 0.0]]
    )
    for drawn, losses in zip(
        ends.lines, MOMENTUM.arrays["losses"], strict=True
    ):
        np.testing.assert_array_equal(drawn.get_xdata(), [0, 0.5, 0.9, 0.95])
        np.testing.assert_array_equal(drawn.get_ydata(), losses)
    np.testing.assert_array_equal(last.lines[1].get_xdata(), [0.9, 0.95])
    np.testing.assert_array_equal(last.lines[1].get_ydata(), [-3.0, 0.0])
    # l at the landscape's line, here at its left end.
    w, height = line.lines[0].get_xydata()[0]
    assert height == pytest.approx((w - 4) * (w - 3) * w**2)
    assert "Learning rate 0.01, from w = -1.2." in text_of(figure)


def test_every_learning_rate_has_its_path_and_its_end():
    figure = draw_learning_rate(RATES)
    plane, late, losses = figure.axes
    paths = RATES.arrays["projections"]
    assert len(plane.lines) == len(late.lines) == 6
    np.testing.assert_array_equal(plane.lines[1].get_xydata(), paths[1])
    np.testing.assert_array_equal(late.lines[1].get_xydata(), paths[1, 1:])
    np.testing.assert_array_equal(plane.lines[3].get_xydata(), [paths[0, -1]])
    np.testing.assert_array_equal(
        losses.collections[0].get_offsets(), [[0.1, 1], [0.2, 1.5], [0.4, 0.5]]
    )
    assert labels(figure) == ["learning rate 0.1000", "learning rate 0.4000"]
    assert "Not the full set." in text_of(figure)


def test_a_slice_has_a_line_per_length_with_gaps():
    figure = draw_gradient_slice(SLICE)
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1, 3, 5])
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [2, np.nan, 6])
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), [-1, 0, 1])
    assert axes.get_title() == "DMLSTM on MLP, meta_valid"
    assert "At 0 the slope of the longest is 12.5." in text_of(figure)
    assert labels(figure) == ["5 steps", "20 steps"]


def test_a_plane_is_coloured_by_its_losses():
    losses = np.arange(1.0, 10.0).reshape(3, 3, 1)
    losses[0, 2] = np.nan
    figure = draw_plane(plane(losses))
    (mesh,) = figure.axes[0].collections
    drawn = mesh.get_array()
    np.testing.assert_array_equal(drawn.mask, np.isnan(losses[..., 0]))
    np.testing.assert_array_equal(drawn[1], [4.0, 5.0, 6.0])
    assert figure.axes[0].get_title() == "DMLSTM on MLP, meta_valid, 20 steps"
    assert not isinstance(mesh.norm, LogNorm)


@pytest.mark.parametrize(
    ("low", "logarithmic"), [(0.01, True), (0.5, False), (-1.0, False)]
)
def test_a_planes_colours_are_logarithmic_where_losses_span_a_decade(
    low, logarithmic
):
    losses = np.full((3, 3, 1), 1.0)
    losses[0, 0] = low
    (mesh,) = draw_plane(plane(losses)).axes[0].collections
    assert isinstance(mesh.norm, LogNorm) == logarithmic


def test_a_plane_without_a_finite_loss_is_empty():
    figure = draw_plane(plane(np.full((3, 3, 1), np.nan)))
    assert figure.axes[0].collections[0].get_array().mask.all()


def test_windows_are_drawn_in_their_order_with_gradients_per_inner_step():
    figure = draw_truncation_bias([bias(1000), bias(1)])
    assert labels(figure) == ["window of 1 step", "window of 1,000 steps"]
    rates, losses, slopes = figure.axes
    assert rates.get_yscale() == "log"
    np.testing.assert_array_equal(
        rates.lines[0].get_xydata(), [[0, 0.001], [1, 0.002], [2, 0.003]]
    )
    np.testing.assert_array_equal(
        losses.lines[1].get_xydata(), [[1, 2.0], [2, 1.0]]
    )
    # 1,000 windows in 100 bins of 10 steps; one window in one bin.
    np.testing.assert_allclose(
        slopes.lines[0].get_xdata(), np.arange(5, 1000, 10)
    )
    np.testing.assert_allclose(slopes.lines[0].get_ydata(), np.full(100, 1e-3))
    np.testing.assert_allclose(slopes.lines[1].get_xydata(), [[500, 1e-3]])


def test_studies_of_one_window_go_by_their_names():
    figure = draw_truncation_bias([bias(10, "b"), bias(10, "a")])
    assert labels(figure) == ["a", "b"]


def test_windows_share_a_picture_and_others_have_their_own():
    names = draw_findings(
        [MOMENTUM, training("a"), bias(1), training("b"), bias(10), SLICE]
    )
    assert list(names) == [
        "momentum",
        "gradient_slice",
        "truncation_bias",
        "outer_training",
    ]
    assert draw_findings([]) == {}


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="Received: kind='odd' of 'mine'"):
        draw_findings([finding("odd", {}, name="mine")])


def test_pictures_are_written_as_png_and_svg(tmp_path):
    (path,) = save_findings(tmp_path, [MOMENTUM])
    assert path == tmp_path / "studies" / "momentum.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "<svg" in path.with_suffix(".svg").read_text()
