"""What holds for every configuration, and that none is missing."""

import gin
import pytest
from support.gin_files import FILES, ROOT, named_bindings


def test_every_row_of_the_paper_has_its_file():
    assert FILES == [
        "dm.gin",
        "dm_aug.gin",
        "dm_cl.gin",
        "dm_cl_il.gin",
        "dm_il.gin",
        "dm_self_improving.gin",
        "rnnprop.gin",
        "rnnprop_cl.gin",
        "rnnprop_cl_il.gin",
        "rnnprop_il.gin",
        "rnnprop_lv.gin",
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


@pytest.mark.parametrize("file", FILES)
def test_the_meta_optimizer_is_tf1s_adam(file, built):
    adam = built(file).meta_optimizer
    rate = 1e-4 if file == "rnnprop_lv.gin" else 1e-3
    assert adam.learning_rate == rate
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.9, 0.999, 1e-8)
