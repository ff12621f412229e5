"""Blocks and paragraphs."""

from l2o_tf.reporting.prose import blocks, paragraph


def test_blocks_are_parted_by_one_empty_line_and_empty_ones_left_out():
    assert blocks("a\n", "", "b\n") == "a\n\nb\n"
    assert blocks() == ""


def test_a_paragraph_is_wrapped_between_words_only():
    text = paragraph("word-with-hyphens " * 10 + "x" * 90)
    lines = text.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert lines[-1] == "x" * 90
    assert lines[0].endswith("hyphens")
    assert text.endswith("x\n")
