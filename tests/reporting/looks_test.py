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


def test_the_optimizer_of_metz_differs_from_all_that_stand_beside_it():
    beside = ["metz", "adam", "rmsprop", "momentum", "decayed_adam"]
    found = looks(beside)
    for part in ("colour", "dashes"):
        others = {str(getattr(found[name], part)) for name in beside[1:]}
        assert str(getattr(found["metz"], part)) not in others
    assert looks(["metz"])["metz"] == found["metz"]
