"""The sweeps of the paper's figures, number by number, on the built objects."""

import gin
import pytest

from l2o_tf import config
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.evaluate import evaluate
from l2o_tf.evaluation.contenders import Fixed, window_bests
from l2o_tf.evaluation.tuning import Tuned
from l2o_tf.learned.dm import DMLSTM
from l2o_tf.learned.weights import save_weights
from l2o_tf.optimizees import collection
from l2o_tf.reporting import paper

RELEASED = [
    *("dm", "dm_aug", "dm_il", "dm_cl", "dm_cl_il"),
    *("rnnprop", "rnnprop_cl_il", "l2o_scale_cl_il"),
]
TRAINED = ["scale", "scale_meta", "scale_il", "scale_self_improving"]


def weights(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = DMLSTM(units=(2,), seed=1)
    save_weights(path, cell, cell.meta_params(), {})


@pytest.fixture
def build(monkeypatch):
    images = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}

    def fake(name):
        return synthetic_images(0, *images[name])

    monkeypatch.setattr(collection, "load_images", fake)

    def built(file, *parameters):
        config.load([f"gin/{file}"], parameters)
        sweep = config.build(evaluate)
        config.check_all_used()
        return sweep

    return built


@pytest.fixture
def released(tmp_path):
    for name in RELEASED:
        weights(tmp_path / f"{name}.npz")
    return f"weights = {str(tmp_path)!r}"


def test_the_papers_protocol(build, released):
    sweep = build("eval_paper.gin", released)
    for comparison in sweep.comparisons:
        assert comparison.steps == paper.STEPS == 10_000
        assert comparison.seeds == tuple(range(paper.SEEDS))
        assert comparison.split == "test"
        for optimizer in comparison.optimizers:
            if isinstance(optimizer, Tuned):
                assert (optimizer.steps, optimizer.by) == (10_000, "final")
                assert not set(optimizer.seeds) & set(comparison.seeds)


def test_every_released_optimizer_meets_every_problem_of_its_figures(
    build, released
):
    sweep = build("eval_paper.gin", released)
    asked = {
        (optimizer.name, optimizee)
        for comparison in sweep.comparisons
        for optimizer in comparison.optimizers
        for optimizee in comparison.optimizees
    }
    needed = {
        (optimizer, optimizee)
        for figure in paper.FIGURES
        if figure.number in ("2", "3", "5", "7")
        for optimizer in figure.optimizers
        for optimizee in figure.optimizees
        if optimizer not in TRAINED
    }
    assert needed <= asked
    mlps = sweep.comparisons[0]
    assert [o.name for o in mlps.optimizers if isinstance(o, Tuned)] == [
        *("adam", "rmsprop", "sgd", "momentum", "adagrad")
    ]


def test_the_perceptrons_alone_are_those_of_the_whole(build, released):
    whole = build("eval_paper.gin", released).comparisons[0]
    gin.clear_config()
    (alone,) = build("eval_mlps.gin", released).comparisons
    assert alone.optimizees == ("mlp_orig", "mlp_relu", "mlp_deeper")
    for name in ("optimizees", "seeds", "steps", "split"):
        assert getattr(alone, name) == getattr(whole, name)
    names = [[o.name for o in c.optimizers] for c in (alone, whole)]
    assert names[0] == names[1]
    assert len(names[0]) == 13


def test_one_macro_shortens_the_tuning_of_convolutions(build, released):
    sweep = build(
        "eval_paper.gin", released, "conv_tuning_steps = 50", "seeds = (0,)"
    )
    mlps, convs, large = sweep.comparisons
    for comparison, steps in ((mlps, 10_000), (convs, 50), (large, 50)):
        assert comparison.seeds == (0,)
        tuned = [o for o in comparison.optimizers if isinstance(o, Tuned)]
        assert len(tuned) >= 3
        assert {o.steps for o in tuned} == {steps}


def test_the_trained_l2o_scale(build, tmp_path):
    for name in TRAINED:
        weights(tmp_path / name / "best" / "weights.npz")
    sweep = build("eval_scale.gin", f"runs = {str(tmp_path)!r}")
    trained, figure_6 = sweep.comparisons
    assert [o.name for o in trained.optimizers] == TRAINED[:2]
    assert [o.name for o in figure_6.optimizers] == TRAINED[2:]
    assert figure_6.optimizees == ("mnist_conv",)
    assert trained.steps == 10_000
    assert trained.seeds == tuple(range(10))


def test_figure_4_takes_every_window_of_every_run(build, tmp_path):
    for episodes in (1000, 2000, 10000):
        weights(tmp_path / "dm_100" / "best" / f"episodes_{episodes}.npz")
    weights(tmp_path / "dm_200" / "best" / "episodes_1000.npz")
    runs = [str(tmp_path / "dm_100"), str(tmp_path / "dm_200")]
    sweep = build("eval_exploration.gin", f"window_bests.runs = {runs}")
    (comparison,) = sweep.comparisons
    assert all(isinstance(o, Fixed) for o in comparison.optimizers)
    assert [o.name for o in comparison.optimizers] == [
        "dm_100@1000",
        "dm_100@2000",
        "dm_100@10000",
        "dm_200@1000",
    ]
    assert comparison.seeds == tuple(range(20))


def test_a_run_without_windows_is_refused(tmp_path):
    weights(tmp_path / "best" / "weights.npz")
    with pytest.raises(ValueError, match="Received: runs with"):
        window_bests([str(tmp_path)])
    with pytest.raises(ValueError, match=r"Received: runs=\(\)"):
        window_bests([])
