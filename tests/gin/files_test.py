"""What holds for every configuration, and that none is missing."""

import gin
import pytest
from support.gin_files import FILES, ROOT, SCALE_FILES, named_bindings

from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.repaired import RepairedGradients
from l2o_tf.optimizers.rmsprop import RMSProp


def test_every_row_of_the_paper_has_its_file():
    assert FILES == [
        "dm.gin",
        "dm_aug.gin",
        "dm_base_mlp.gin",
        "dm_cl.gin",
        "dm_cl_il.gin",
        "dm_exploration.gin",
        "dm_il.gin",
        "dm_self_improving.gin",
        "rnnprop.gin",
        "rnnprop_base_mlp.gin",
        "rnnprop_cl.gin",
        "rnnprop_cl_il.gin",
        "rnnprop_il.gin",
        "rnnprop_lv.gin",
        "scale.gin",
        "scale_cl.gin",
        "scale_cl_il.gin",
        "scale_cl_il_released.gin",
        "scale_cl_released.gin",
        "scale_il.gin",
        "scale_il_released.gin",
        "scale_meta.gin",
        "scale_released.gin",
        "scale_self_improving.gin",
        "simple.gin",
        "simple_bias.gin",
        "simple_last_loss.gin",
        "simple_no_aggregate.gin",
        "simple_uniform_loss.gin",
    ]


@pytest.mark.parametrize("file", FILES)
def test_a_file_parses_builds_and_leaves_no_binding_unused(file, built):
    trainer = built(file)
    state = trainer.initial_state()
    size = trainer.cell.meta_layout.size
    assert state.meta.meta_params.shape == (size,)


@pytest.mark.parametrize(
    ("file", "binding"),
    [(file, b) for file in FILES for b in named_bindings(file)],
)
def test_every_other_reading_that_a_comment_names_is_another(
    file, binding, built
):
    built(file)
    before = gin.operative_config_str()
    gin.clear_config()
    built(file, binding)
    after = gin.operative_config_str()
    assert f"\n{binding}\n" in after
    assert f"\n{binding}\n" not in before


@pytest.mark.parametrize("file", FILES)
def test_a_file_says_where_it_comes_from_and_is_short(file):
    lines = (ROOT / "gin" / file).read_text().splitlines()
    assert lines[0].startswith("# ")
    assert "spec" in " ".join(lines[:4])
    assert len(lines) <= 30
    code = [line for line in lines if line and not line.startswith("#")]
    assert len(code) <= 16


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("seed", [0, 7])
def test_one_binding_seeds_the_weights_and_the_training(file, seed, built):
    trainer = built(file, f"seed = {seed}")
    assert trainer.seed == trainer.cell.seed == seed


@pytest.mark.parametrize("file", [f for f in FILES if f not in SCALE_FILES])
def test_the_meta_optimizer_is_tf1s_adam(file, built):
    adam = built(file).meta_optimizer
    assert isinstance(adam, Adam)
    rate = 1e-4 if file == "rnnprop_lv.gin" else 1e-3
    assert adam.learning_rate == rate
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.9, 0.999, 1e-8)


@pytest.mark.parametrize("file", SCALE_FILES)
def test_l2o_scales_meta_optimizer_is_tf1s_rmsprop_on_repaired_gradients(
    file, built
):
    repaired = built(file).meta_optimizer
    assert isinstance(repaired, RepairedGradients)
    assert repaired.bound == 1e4
    rmsprop = repaired.optimizer
    assert isinstance(rmsprop, RMSProp)
    assert (rmsprop.learning_rate, rmsprop.decay) == (1e-6, 0.9)
    assert (rmsprop.momentum, rmsprop.epsilon) == (0.0, 1e-20)
    assert rmsprop.initial_mean_square == 1.0
