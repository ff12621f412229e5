"""The second paper's figures name what is known, and choose their curves."""

import numpy as np
import pytest
from support.curves import make_curve

from l2o_tf.optimizees.collection import OPTIMIZEES
from l2o_tf.reporting import paper, simple_paper
from l2o_tf.reporting.simple_paper import FIGURES, TABLE_1, Panel, cut


def test_figures_name_what_is_known_and_have_one_name_each():
    names = [figure.name for figure in FIGURES]
    numbers = ("2", "3", "4", "5", "A1")
    assert names == [f"simple_{number}" for number in numbers]
    assert not set(names) & {figure.number for figure in paper.FIGURES}
    assert [f.name for f in FIGURES if f.ours] == ["simple_A1"]
    for figure in FIGURES:
        assert figure.name == f"simple_{figure.number}"
        for panel in figure.panels:
            assert set(panel.optimizers) <= set(simple_paper.OPTIMIZERS)
            assert panel.optimizee in simple_paper.OPTIMIZEES


def test_the_optimizees_are_the_packages_and_none_of_the_other_papers():
    assert set(simple_paper.OPTIMIZEES) <= set(OPTIMIZEES)
    assert not set(simple_paper.OPTIMIZEES) & set(paper.OPTIMIZEES)


def test_words_of_both_papers_agree():
    both = set(simple_paper.OPTIMIZERS) & set(paper.OPTIMIZERS)
    assert both == {"adam", "sgd"}
    for name in both:
        assert simple_paper.OPTIMIZERS[name] == paper.OPTIMIZERS[name]


def test_table_1_is_1_to_11_2_to_18_9():
    simple, dm, rnnprop = TABLE_1.values()
    assert (simple.weights, dm.weights, rnnprop.weights) == (132, 5301, 6801)
    assert round(dm.milliseconds / simple.milliseconds, 1) == 11.2
    assert round(rnnprop.milliseconds / simple.milliseconds, 1) == 18.9


def test_a_curve_is_cut_to_its_first_updates():
    curve = make_curve([4.0, 3.0, 2.0], seed=7)
    shorter = cut(curve, 2)
    np.testing.assert_array_equal(shorter.losses, [4.0, 3.0])
    assert (shorter.steps, shorter.seed) == (2, 7)
    assert cut(curve, None) is cut(curve, 3) is cut(curve, 9) is curve


def test_a_panel_takes_its_curves_in_its_order():
    panel = Panel("base_mlp", ("simple", "adam"), 2)

    def made(optimizer, optimizee="base_mlp", split="train"):
        return make_curve([3.0, 2.0, 1.0], 0, optimizer, optimizee, split)

    curves = [
        made("adam"),
        made("simple", split="test"),
        made("simple", optimizee="lenet_mnist"),
        made("sgd"),
        made("simple"),
    ]
    found = simple_paper.panel_curves(panel, curves)
    assert [(c.optimizer, c.steps) for c in found] == [
        ("simple", 2),
        ("adam", 2),
    ]
    assert all(map(simple_paper.is_of_paper, curves))
    assert not simple_paper.is_of_paper(made("simple", "mlp_orig"))


@pytest.mark.parametrize(
    ("updates", "title"),
    [(10_000, "Base MLP, 10,000 updates"), (None, "Base MLP")],
)
def test_a_panels_title(updates, title):
    assert simple_paper.panel_title(Panel("base_mlp", (), updates)) == title
