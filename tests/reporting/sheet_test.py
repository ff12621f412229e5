"""Where the words of a sheet stand."""

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from l2o_tf.reporting.looks import looks
from l2o_tf.reporting.sheet import Words, make_sheet, sample


def samples(count):
    return [
        sample(f"optimizer {n}", k)
        for n, k in looks(map(str, range(count))).items()
    ]


@pytest.mark.parametrize(
    ("panels", "rows", "columns"),
    [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 2), (5, 2, 3), (7, 3, 3)],
)
def test_panels_stand_in_rows_of_at_most_three(panels, rows, columns):
    figure, axes = make_sheet(panels, samples(2), Words())
    assert len(axes) == len(figure.axes) == panels
    grid = axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == (rows, columns)


@pytest.mark.parametrize(("panels", "lines"), [(1, 3), (3, 13), (7, 15)])
def test_words_legend_and_panels_do_not_overlap(panels, lines):
    words = Words(
        "A title",
        "what was measured " * 12,
        ["NOTICE " * 30],
        ["not measured: " + "L2O-DM on Conv-CIFAR; " * 20],
    )
    figure, axes = make_sheet(panels, samples(lines), words)
    for panel in axes:
        panel.set_title("optimizee")
        panel.set_xlabel("updates")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [t.get_window_extent(renderer) for t in figure.texts]
    (legend,) = figure.legends
    boxes = [*texts, legend.get_window_extent(renderer)]
    boxes += [panel.get_tightbbox(renderer) for panel in axes]
    assert len(texts) >= 4
    for a, b in itertools.combinations(boxes, 2):
        assert not a.padded(-1).overlaps(b.padded(-1))
    width, height = figure.bbox.width, figure.bbox.height
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height


def test_notices_are_red_and_notes_are_small():
    words = Words("title", "measured", ["NOTICE"], ["note"])
    figure, _ = make_sheet(1, samples(1), words)
    found = {t.get_text(): t for t in figure.texts}
    assert found["NOTICE"].get_color() == "firebrick"
    assert found["note"].get_fontsize() < found["title"].get_fontsize()
    heights = [found[w].get_position()[1] for w in found]
    assert heights == sorted(heights, reverse=True)
