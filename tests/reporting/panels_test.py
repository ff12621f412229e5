"""What a panel holds: data, limits, marks, worked by hand."""

import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from support.curves import make_curve

from l2o_tf.reporting.looks import looks
from l2o_tf.reporting.panels import SECONDS, Drawing, draw_panel

RUNS = np.array([[4.0, 2.0, 1.0, 1.0], [6.0, 4.0, 3.0, 2.0], [8.0, 9, 5, 9]])
SEEDS = [make_curve(row, seed=i) for i, row in enumerate(RUNS)]


def panel(curves, **drawing):
    axes = Figure().subplots()
    names = [c.optimizer for c in curves]
    drawing = {"window": 1, **drawing}
    draw_panel(axes, curves, looks(names), Drawing(**drawing))
    return axes


def edges(axes):
    """Return the lower and the upper edge of the only band."""
    (band,) = axes.collections
    vertices = band.get_paths()[0].vertices
    steps = np.unique(vertices[:, 0])
    rows = [vertices[vertices[:, 0] == step, 1] for step in steps]
    return [r.min() for r in rows], [r.max() for r in rows]


def test_the_line_is_the_mean_and_the_band_the_range():
    axes = panel(SEEDS)
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_allclose(line.get_ydata(), [6, 5, 3, 4])
    low, high = edges(axes)
    np.testing.assert_allclose(low, [4, 2, 1, 1])
    np.testing.assert_allclose(high, [8, 9, 5, 9])


def test_the_line_can_be_the_median():
    (line,) = panel(SEEDS, statistic="median").lines
    np.testing.assert_allclose(line.get_ydata(), [6, 4, 3, 2])


def test_line_and_band_can_be_of_logarithms():
    axes = panel(SEEDS, log_mean=True)
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_ydata(), np.prod(RUNS, 0) ** (1 / 3))
    low, high = edges(axes)
    np.testing.assert_allclose(low, RUNS.min(axis=0))
    np.testing.assert_allclose(high, RUNS.max(axis=0))
    logs = np.log(RUNS)
    mean, std = logs.mean(axis=0), logs.std(axis=0, ddof=1)
    low, high = edges(panel(SEEDS, log_mean=True, band="std"))
    np.testing.assert_allclose(low, np.exp(mean - std))
    np.testing.assert_allclose(high, np.exp(mean + std))


def test_logarithms_of_negative_losses_are_refused():
    curves = [make_curve([1.0, -2.0])]
    message = (
        "Received: log_mean=True, optimizer='dm', optimizee='mlp_orig', "
        "lowest=-2.0"
    )
    with pytest.raises(ValueError, match=message):
        panel(curves, log_mean=True)


def test_bands_are_quartiles_deviations_or_nothing():
    low, high = edges(panel(SEEDS, band="quartiles"))
    np.testing.assert_allclose(low, np.quantile(RUNS, 0.25, axis=0))
    np.testing.assert_allclose(high, np.quantile(RUNS, 0.75, axis=0))
    mean, std = RUNS.mean(axis=0), RUNS.std(axis=0, ddof=1)
    low, high = edges(panel(SEEDS, band="std"))
    np.testing.assert_allclose(low, mean - std)
    np.testing.assert_allclose(high, mean + std)
    assert not panel(SEEDS, band="none").collections
    assert not panel(SEEDS[:1]).collections


def test_a_smoothed_line_has_few_points_and_the_last():
    losses = np.arange(1.0, 101.0)
    (line,) = panel([make_curve(losses)], window=30).lines
    np.testing.assert_array_equal(line.get_xdata(), np.arange(30, 101, 10))
    # The mean of j - 29 ... j.
    np.testing.assert_allclose(line.get_ydata(), np.arange(30, 101, 10) - 14.5)


def test_the_axis_is_logarithmic_with_its_unit_and_ln_at_the_right():
    axes = panel(SEEDS, window=2)
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel() == "updates"
    assert axes.get_ylabel() == "loss on test, running mean over 2 updates"
    assert panel(SEEDS).get_ylabel() == "loss on test"
    (right,) = axes.child_axes
    assert right.get_ylabel() == "ln loss"
    labels = [float(t.get_text()) for t in right.get_yticklabels()]
    np.testing.assert_allclose(np.log(right.get_yticks()), labels, atol=1e-6)
    assert len(labels) >= 3
    low, high = axes.get_ylim()
    assert all(low <= tick <= high for tick in right.get_yticks())


def test_a_problem_without_data_is_named_so():
    assert panel([make_curve([2, 1], split="")]).get_ylabel() == (
        "loss on the problem"
    )


def test_the_horizontal_axis_ends_with_the_runs():
    assert panel(SEEDS).get_xlim() == (0, 4)


def test_negative_losses_get_a_linear_axis_without_ln():
    axes = panel([make_curve([1, -1, -2])])
    assert axes.get_yscale() == "linear"
    assert not axes.child_axes


def test_seconds_are_updates_times_the_time_of_one():
    drawing = {"against": "seconds", "seconds": {("dm", "mlp_orig"): 0.25}}
    axes = panel(SEEDS, **drawing)
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [0.25, 0.5, 0.75, 1])
    assert axes.get_xlabel() == SECONDS


def test_seconds_that_were_not_measured_are_refused():
    with pytest.raises(ValueError, match="Received: optimizer='dm', opt"):
        panel(SEEDS, against="seconds")


def test_a_diverged_run_is_drawn_up_to_its_end_and_is_not_in_the_mean():
    lost = make_curve([5.0, 3.0, np.nan, np.nan], seed=3)
    line, single, cross = panel([*SEEDS, lost]).lines
    np.testing.assert_allclose(line.get_ydata(), [6, 5, 3, 4])
    np.testing.assert_array_equal(single.get_xdata(), [1, 2])
    np.testing.assert_array_equal(single.get_ydata(), [5, 3])
    assert cross.get_marker() == "x"
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (2, 3)


def test_runs_that_all_diverged_are_drawn_one_by_one():
    curves = [
        make_curve([5.0, 3.0, np.inf], seed=0),
        make_curve([4.0, np.nan, np.nan], seed=1),
    ]
    axes = panel(curves)
    ends = [x for x in axes.lines if x.get_marker() == "x"]
    assert [(x.get_xdata()[0], x.get_ydata()[0]) for x in ends] == [
        (2, 3),
        (1, 4),
    ]
    assert len(axes.lines) == 4
    assert not axes.collections


def test_a_run_lost_within_the_window_ends_at_the_mean_of_what_there_was():
    lost = make_curve([2.0, 4.0, np.nan, 1.0])
    (cross,) = panel([lost], window=3).lines
    assert cross.get_marker() == "x"
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (2, 3)


def test_an_end_out_of_the_picture_is_marked_at_its_upper_edge():
    exploded = make_curve([2.0, 1e9, np.nan], seed=0)
    never = make_curve([np.nan, np.nan, np.nan], seed=1)
    whole = make_curve([2.0, 1.0, 1.0], optimizer="adam")
    axes = panel([whole, exploded, never])
    crosses = [x for x in axes.lines if x.get_marker() == "x"]
    for cross, step in zip(crosses, (2, 1), strict=True):
        assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (step, 1.0)
        assert cross.get_transform() == axes.get_xaxis_transform()
    # A thousand times the highest first loss.
    assert axes.get_ylim()[1] == 2000.0


def test_nothing_finite_at_all_is_drawn_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = panel([make_curve([np.nan, np.nan])])
        axes.figure.canvas.draw()
    assert len(axes.lines) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", 0),
        ("statistic", "mode"),
        ("band", "all"),
        ("against", "hours"),
    ],
)
def test_bad_ways_of_drawing_are_refused(name, value):
    with pytest.raises(ValueError, match=f"Received: {name}={value!r}"):
        Drawing(**{name: value})
