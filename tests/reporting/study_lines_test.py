"""What the pictures of studies share."""

import numpy as np
from matplotlib.figure import Figure
from support.findings import finding

from l2o_tf.reporting.study_lines import (
    draw_line,
    label_axes,
    plain_looks,
    words_of,
)


def test_looks_differ_and_do_not_depend_on_the_names():
    looks = plain_looks(["a", "b", "c"])
    assert list(plain_looks(["x", "y", "z"]).values()) == list(looks.values())
    for one in zip(*looks.values(), strict=True):
        assert len(set(map(str, one))) == 3


def test_notices_stand_once_around_a_picture():
    findings = [finding("k", {}, notice=n) for n in ("a", None, "b", "a")]
    words = words_of(findings, "title", "a note")
    assert (words.title, words.notices) == ("title", ["a", "b"])
    assert words.notes == ["a note"]
    assert words_of(findings, "title").notes == []


def test_a_panel_has_its_line_and_labels():
    axes = Figure().subplots()
    (look,) = plain_looks(["a"]).values()
    draw_line(axes, [0, 1], [2, 3], look, 0.5)
    label_axes(axes, "t", "x", "y")
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[0, 2], [1, 3]])
    assert axes.lines[0].get_color() == look.colour
    assert axes.lines[0].get_linewidth() == 0.5
    assert axes.get_title() == "t"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
