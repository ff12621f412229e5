"""The HTML report: whole, self-contained, escaped."""

import html.parser

import pytest
from support.curves import ending_at

from l2o_tf.reporting import paper
from l2o_tf.reporting.deviations import DEVIATIONS
from l2o_tf.reporting.gallery import draw_all
from l2o_tf.reporting.panels import Drawing
from l2o_tf.reporting.report import (
    configuration_table,
    report,
    wall_clock_table,
)
from l2o_tf.reporting.tables import tuning_table

VOID = {"meta", "br", "hr", "img", "link", "input"}
FACTS = {
    "packages": {"tensorflow": "2.21.0", "numpy": "2.2"},
    "runtime": "graph",
    "device": "CPU",
    "notice": "NOT <THE FULL> MNIST",
}
TUNING = {
    "by": "final",
    "steps": 10_000,
    "seeds": [1000],
    "candidates": [{"name": "adam_0.01", "config": {}, "score": 0.25}],
    "chosen": 0,
    "at_edge": True,
}
CURVES = [
    *ending_at([-2.0, -3.0], "dm", **FACTS, config={"class": "DMLSTM<1>"}),
    *ending_at([-1.0, None], "adam", **FACTS, tuning=TUNING),
]


class Page(html.parser.HTMLParser):
    """Elements, texts and references of a page that is well nested."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.references = [], [], [], []
        self.tables, self.rows = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.references += [
            value
            for name, value in attrs
            if name in ("src", "href", "xlink:href", "data", "action")
        ]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "caption":
            self.tables.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        elif data.strip():
            self.texts.append(data)


@pytest.fixture(scope="module")
def text():
    return report(
        CURVES,
        draw_all(CURVES, Drawing(window=1), ["7"]),
        {"configs/<a>.gin": "Adam.learning_rate = 0.1 # < 1 & > 0"},
        {("adam", "mlp_orig"): 0.0025},
        "adam",
    )


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_refers_to_nothing_outside(text, page):
    assert all(reference.startswith("#") for reference in page.references)
    for word in ("<script", "<link", "<img", "@import", "url(http"):
        assert word not in text
    assert 'charset="utf-8"' in text


def test_pictures_are_inside_with_the_papers_claim(page):
    assert page.tags.count("svg") == 2
    figure = next(f for f in paper.FIGURES if f.number == "7")
    captions = [t for t in page.texts if figure.claim in t]
    assert captions == [f"Figure 7. {figure.title}. {figure.claim}"]


def test_tables_are_there(page):
    assert page.tables == [
        "What was measured",
        "Figure 7",
        "End values, natural logarithms",
        "ln of the end value minus that of adam",
        tuning_table(CURVES).title,
        "Milliseconds per update, measured alone (median)",
        "Optimizers",
        "Of the evaluation",
    ]
    assert ["mlp_orig", "adam", "2.50"] in page.rows
    assert [*DEVIATIONS[0]] in page.rows


def test_texts_of_others_are_escaped(text, page):
    assert "NOT <THE FULL> MNIST" in page.texts
    assert "configs/<a>.gin" in page.texts
    assert "Adam.learning_rate = 0.1 # < 1 & > 0" in page.texts
    assert ["dm", "mlp_orig", '{"class": "DMLSTM<1>"}'] in page.rows
    assert "<THE FULL>" not in text
    assert "<1>" not in text


def test_the_notice_is_marked(text):
    assert '<p class="notice">NOT &lt;THE FULL&gt; MNIST</p>' in text


def test_configurations_are_listed_once_each():
    curves = [
        *ending_at([0.0, 0.0], "sgd", config={"learning_rate": 0.1}),
        *ending_at([0.0], "sgd", optimizee="nas", config={"learning_rate": 1}),
        *ending_at([0.0], "sgd", optimizee="x", config={"learning_rate": 0.1}),
    ]
    assert configuration_table(curves).rows == [
        ("sgd", "mlp_orig, x", '{"learning_rate": 0.1}'),
        ("sgd", "nas", '{"learning_rate": 1}'),
    ]


def test_times_are_in_milliseconds_by_optimizee():
    table = wall_clock_table({("dm", "nas"): 0.5, ("sgd", "lenet"): 0.001})
    assert table.rows == [("lenet", "sgd", 1.0), ("nas", "dm", 500.0)]


def test_exploration_has_a_row_per_run():
    curves = [
        *ending_at([-2.0, -2.0], "dm_100@1000", steps=paper.STEPS),
        *ending_at([-1.0, -1.0], "dm_100@2000", steps=paper.STEPS),
    ]
    figures = draw_all(curves, Drawing(window=1), ["4"])
    page = Page(report(curves, figures))
    (row,) = (row for row in page.rows if "dm_100" in row)
    assert row == [
        "MLP-orig",
        "dm_100",
        "1000: -2.00; 2000: -1.00",
        "holds: -1.00 (-1.00 to -1.00), 2 of 2 seeds",
        "not measured",
    ]


def test_a_figure_of_simple_optimizers_paper_has_its_statements():
    curves = ending_at(
        [0.0], "simple", optimizee="base_mlp", split="train", steps=10
    )
    figures = draw_all(curves, Drawing(window=1), ["simple_3", "simple_A1"])
    page = Page(report(curves, figures))
    assert (
        "SimpleOptimizer, Figure 3. Without one of its parts."
    ) in page.texts
    assert page.tables.count("What the paper says, and what is here") == 1
    assert ["3", "With biases it is worse.", "not measured", ""] in page.rows
    assert page.texts.count("All curves.") == 1  # of the picture of all


def test_a_figure_of_metz_et_al_has_its_caption():
    curves = ending_at([-1.0], "metz", optimizee="metz_conv", split="train")
    text = report(curves, draw_all(curves, Drawing(window=1)))
    assert "Metz et al. 2019, Figure 6. Losses by updates." in text


def test_some_panels_alone_are_reported():
    figures = paper.figures_on(("mlp_orig",))
    drawn = draw_all(CURVES, Drawing(window=1), ["7"], figures)
    page = Page(report(CURVES, drawn, paper_figures=figures))
    assert any("MLP-orig" in row for row in page.rows)
    assert not any("Conv-MNIST" in row for row in page.rows)


def test_without_times_tuning_and_baseline_there_are_no_such_tables():
    page = Page(report(ending_at([0.0]), {}))
    assert page.tables == [
        "What was measured",
        "End values, natural logarithms",
        "Optimizers",
        "Of the evaluation",
    ]


def test_no_curves_are_refused():
    with pytest.raises(ValueError, match="Received: curves="):
        report([], {})


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ValueError, match="Received: baseline='lion'"):
        report(CURVES, {}, baseline="lion")
