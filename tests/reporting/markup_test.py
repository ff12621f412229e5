"""HTML of single elements."""

import re

from support.curves import make_curve

from l2o_tf.reporting.figures import draw
from l2o_tf.reporting.markup import element, svg_html, table_html, text_html
from l2o_tf.reporting.panels import Drawing
from l2o_tf.reporting.tables import Table


def test_texts_are_escaped():
    assert element("p", "a < b & `c`") == "<p>a &lt; b &amp; `c`</p>\n"
    assert text_html("`a<b` below") == "<code>a&lt;b</code> below"


def test_a_table_has_its_cells():
    table = Table("T & U", ("name", "`x`"), [("<dm>", -1.234), ("sgd", 2)])
    assert table_html(table) == (
        '<div class="table"><table>\n<caption>T &amp; U</caption>\n'
        "<thead><tr><th>name</th><th><code>x</code></th></tr></thead>\n"
        "<tbody>\n"
        '<tr><td>&lt;dm&gt;</td><td class="number">-1.23</td></tr>\n'
        '<tr><td>sgd</td><td class="number">2</td></tr>\n'
        "</tbody>\n</table></div>\n"
    )


def test_a_picture_is_inline_and_its_references_are_inside_it():
    figure = draw([make_curve([3.0, 2.0, 1.0])], Drawing(window=1))
    text = svg_html(figure, "one")
    assert text.startswith("<svg ")
    assert text.rstrip().endswith("</svg>")
    assert "<metadata>" not in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    used = re.findall(r'(?:href="#|url\(#)([^")]+)', text)
    assert used
    assert set(used) <= set(ids)
    assert not re.search(r"\d\.\d{3}", text)


def test_two_pictures_share_no_id():
    pages = [
        svg_html(draw([make_curve([3.0, 2.0])], Drawing(window=1)), name)
        for name in ("one", "two")
    ]
    first, second = (set(re.findall(r'\bid="([^"]+)"', p)) for p in pages)
    assert first
    assert not first & second
