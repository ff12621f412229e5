"""Blocks and paragraphs of a text in Markdown."""

from __future__ import annotations

import textwrap


def blocks(*texts: str) -> str:
    """Join blocks of text, each of whole lines, with empty lines between."""
    return "\n".join(filter(None, texts))


def paragraph(text: str) -> str:
    """Return prose in lines of at most 80 characters."""
    lines = textwrap.fill(
        text, 80, break_long_words=False, break_on_hyphens=False
    )
    return f"{lines}\n"
