"""The few elements of HTML that a report needs, everything escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from matplotlib.figure import Figure

from l2o_tf.reporting.figures import picture_bytes
from l2o_tf.reporting.tables import Table, shown

_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
# The names of groups are the same in every picture, and nothing uses them.
_GROUP = re.compile(r'<g id="[^"]*"')
_CODE = re.compile(r"`([^`]+)`")
_LONG_NUMBER = re.compile(r"\d+\.\d{3,}")


def text_html(text: str) -> str:
    """Return a text, what is between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", html.escape(text))


def element(tag: str, text: str) -> str:
    """Return an element with plain text in it."""
    return f"<{tag}>{html.escape(text)}</{tag}>\n"


def table_html(table: Table) -> str:
    """Return a table under its title."""
    head = "".join(f"<th>{text_html(c)}</th>" for c in table.columns)
    rows = "".join(f"<tr>{_cells(row)}</tr>\n" for row in table.rows)
    return (
        '<div class="table"><table>\n'
        f"<caption>{html.escape(table.title)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}</tbody>\n</table></div>\n"
    )


def _cells(row: Sequence[str | int | float]) -> str:
    return "".join(
        f"<td>{text_html(cell)}</td>"
        if isinstance(cell, str)
        else f'<td class="number">{shown(cell)}</td>'
        for cell in row
    )


def _rounded(match: re.Match[str]) -> str:
    return f"{float(match.group()):.2f}"


def svg_html(figure: Figure, name: str) -> str:
    """Return a figure as an inline SVG.

    Coordinates are rounded to hundredths of a point, a third of the bytes.

    Args:
        figure: the figure.
        name: of the figure, different for each one on a page.
    """
    text = picture_bytes(figure, "svg", salt=name, letters=True).decode("utf-8")
    text = _METADATA.sub("", text[text.index("<svg") :])
    return _LONG_NUMBER.sub(_rounded, _GROUP.sub("<g", text))
