"""Pictures of training runs show the tables' numbers."""

import numpy as np
from support.findings import labels, text_of, training

from l2o_tf.reporting.outer_training_figures import draw_outer_training

PAIRS = {
    "variance_updates": [10.0, 20.0],
    "score_variances": [-1.0, -1.5],
    "pathwise_variances": [-5.0, np.inf],
    "dropped_pairs": [0, 3],
}


def test_training_is_drawn_against_the_inner_steps_of_a_pair():
    figure = draw_outer_training([training("merged"), training("ES")])
    judged, trained = figure.axes
    assert labels(figure) == ["merged", "ES"]
    np.testing.assert_array_equal(
        judged.lines[0].get_xydata(), [[0, 2.5], [200, np.nan]]
    )
    np.testing.assert_array_equal(
        trained.lines[1].get_xydata(), [[200, 2.5], [300, 1.5]]
    )
    assert judged.get_ylabel() == "loss after 1,000 updates"
    assert trained.get_ylabel() == "meta-loss of episodes, running mean over 2"
    assert judged.get_xlabel() == trained.get_xlabel()
    assert judged.get_xlabel() == "inner steps of one pair"


def test_a_running_mean_is_no_longer_than_the_shortest_run():
    short = training("ES", losses=(4.0,))
    _, trained = draw_outer_training([training("merged"), short]).axes
    np.testing.assert_array_equal(trained.lines[1].get_xydata(), [[100, 4.0]])
    assert trained.lines[0].get_ydata().tolist() == [3.0, 2.0, 1.0]
    assert trained.get_ylabel() == "meta-loss of episodes"


def test_variances_are_drawn_by_meta_update_with_what_is_lost():
    merged = training("merged", **PAIRS)
    only = {**PAIRS, "score_variances": [np.nan, np.nan], "dropped_pairs": [0]}
    figure = draw_outer_training([merged, training("gradients", **only)])
    variances = figure.axes[0]
    assert labels(figure) == [
        "merged",
        "gradients",
        "score estimate",
        "pathwise estimate",
    ]
    score, pathwise, gradients = variances.lines
    np.testing.assert_array_equal(score.get_xydata(), [[10, -1.0], [20, -1.5]])
    for line in (pathwise, gradients):
        np.testing.assert_array_equal(
            line.get_xydata(), [[10, -5.0], [20, np.nan]]
        )
    assert score.get_linestyle() != pathwise.get_linestyle()
    assert score.get_color() == pathwise.get_color() != gradients.get_color()
    notes = " ".join(text_of(figure))
    assert "pairs left out of merged: 3" in notes
    for label in ("merged", "gradients"):
        lost = f"of {label} with a pathwise estimate that is not finite: 1"
        assert lost in notes
