"""The published numbers against the table they were copied from."""

import math

import pytest

from l2o_tf.reporting import paper


def test_every_published_value_has_its_words():
    for optimizer, optimizee in paper.PUBLISHED:
        assert optimizer in paper.OPTIMIZERS
        assert optimizee in paper.OPTIMIZEES


@pytest.mark.parametrize(
    ("optimizer", "optimizee", "value"),
    [
        ("dm", "mlp_relu", 1.2),
        ("dm_aug", "mlp_orig", -3.2),
        ("dm_il", "cifar_conv", 0.70),
        ("dm_cl", "mnist_conv", 0.3),
        ("dm_cl_il", "mlp_orig", -11.0),
        ("rnnprop", "mlp_deeper", -4.0),
        ("rnnprop_cl_il", "cifar_conv", 0.0),
        ("scale", "mlp_relu", -3.0),
        ("scale_cl_il", "mnist_conv", -1.55),
        ("scale_meta", "mlp_deeper", -2.2),
        ("scale_self_improving", "mnist_conv", -0.87),
        ("scale_il", "mnist_conv", -1.55),
    ],
)
def test_published_values(optimizer, optimizee, value):
    assert paper.PUBLISHED[optimizer, optimizee] == value


def test_ten_optimizers_on_five_networks_and_two_of_figure_6():
    assert len(paper.PUBLISHED) == 10 * 5 + 2


def test_no_published_end_is_above_an_early_loss():
    # The runs start at ln(ln 10) = 0.83; the worst ends are L2O-DM's.
    for (optimizer, _), value in paper.PUBLISHED.items():
        above = value > math.log(math.log(10)) + 0.02
        assert not above or optimizer == "dm"


def test_reading_is_ten_times_finer_on_the_panel_with_a_finer_axis():
    assert paper.reading_error("cifar_conv") == 0.02
    assert paper.reading_error("mlp_orig") == 0.2


def test_figures_name_what_is_known_and_have_one_number_each():
    numbers = [figure.number for figure in paper.FIGURES]
    assert len(set(numbers)) == len(numbers)
    for figure in paper.FIGURES:
        assert set(figure.optimizers) <= set(paper.OPTIMIZERS)
        assert set(figure.optimizees) <= set(paper.OPTIMIZEES)
        assert figure.optimizees


def test_two_figures_are_ours():
    ours = [f for f in paper.FIGURES if f.ours]
    assert [f.number for f in ours] == ["A2", "A3"]
    assert ours[0].title == "Every optimizer on every optimizee"


def test_figures_on_some_optimizees_have_their_panels_alone():
    found = {f.number: f for f in paper.figures_on(("nas", "mlp_orig"))}
    panels = {number: figure.optimizees for number, figure in found.items()}
    assert panels == {
        "2": ("mlp_orig",),
        "3": ("mlp_orig",),
        "4": ("mlp_orig",),
        "5": ("mlp_orig",),
        "7": ("mlp_orig", "nas"),
        "A2": ("mlp_orig", "nas"),
        "A3": ("mlp_orig", "nas"),
    }
    assert found["7"].optimizers == paper.FIGURES[5].optimizers
    assert paper.figures_on(paper.OPTIMIZEES) == paper.FIGURES
    assert paper.figures_on(()) == ()


def test_every_published_value_is_in_a_figure():
    drawn = {
        (optimizer, optimizee)
        for figure in paper.FIGURES
        if not figure.ours
        for optimizer in figure.optimizers
        for optimizee in figure.optimizees
    }
    assert set(paper.PUBLISHED) <= drawn
