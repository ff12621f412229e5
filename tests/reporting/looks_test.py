"""Lines that a reader without colours tells apart."""

from l2o_tf.reporting import paper
from l2o_tf.reporting.looks import looks


def test_fifteen_lines_differ_in_dashes_or_marker():
    found = looks(paper.OPTIMIZERS).values()
    assert len(found) == 15
    assert len({(str(look.dashes), look.marker) for look in found}) == 15
    assert len({str(look.colour) for look in found}) == 15


def test_an_optimizer_of_the_paper_looks_the_same_beside_any_other():
    alone = looks(["adam"])["adam"]
    assert looks(["mine", "sgd", "adam"])["adam"] == alone


def test_other_names_differ_from_the_papers_and_from_each_other():
    found = looks(["mine", "yours", *paper.OPTIMIZERS])
    assert len({(str(x.dashes), x.marker) for x in found.values()}) == 17
