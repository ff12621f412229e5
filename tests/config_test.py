"""Strict gin: what is refused, and in which words."""

import pathlib

import gin
import pytest

from l2o_tf import config
from l2o_tf.datasets.embedded import load_mnist_subset
from l2o_tf.optimizees import collection
from l2o_tf.train import train

ROOT = pathlib.Path(__file__).resolve().parents[1]
QUADRATIC = str(ROOT / "tests" / "fixtures" / "quadratic.gin")


def build(files, parameters=()):
    text = config.load(files, parameters)
    trainer = config.build(train)
    config.check_all_used()
    return trainer, text


def test_no_file_is_refused():
    with pytest.raises(config.ConfigError, match="Received: no --gin_file"):
        config.load([])


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("gin/dm_cll.gin", "gin/dm_cl.gin"),
        ("gin/dm_agu.gin", "gin/dm_aug.gin"),
        ("dm_cl.gin", "gin/dm_cl.gin"),
        ("gin/dm.jin", "gin/dm.gin"),
    ],
)
def test_a_misspelt_file_is_refused_with_the_nearest_name(path, near):
    with pytest.raises(
        config.ConfigError, match=f"Received: --gin_file='{path}'"
    ) as caught:
        config.load([path])
    assert f"Did you mean '{near}'?" in str(caught.value)
    assert "gin/dm.gin, gin/dm_aug.gin, gin/dm_base_mlp.gin, " in str(
        caught.value
    )


@pytest.mark.parametrize("path", ["somewhere/else.txt", "gin"])
def test_a_path_without_a_file_is_refused_without_a_guess(path):
    with pytest.raises(config.ConfigError, match="no such gin file") as caught:
        config.load([path])
    assert path == "gin" or "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("binding", "says"),
    [
        ("Trainer.num_epochs = 10", "num_epochs"),
        ("Trainr.num_episodes = 10", "Trainr"),
        ("Trainer.schedule = @Curiculum()", "Curiculum"),
        ("Trainer.num_episodes = ten", "ten"),
        ("Trainer.num_episodes", "expected ':' or '='"),
        ("include 'gin/parts/nowhere.gin'", "gin/parts/nowhere.gin"),
        ("import l2o_tf.nowhere", "nowhere"),
    ],
)
def test_a_line_that_means_nothing_is_refused(binding, says):
    with pytest.raises(
        config.ConfigError, match="line that gin refuses"
    ) as caught:
        config.load([QUADRATIC], [binding])
    assert "Received: files=" in str(caught.value)
    assert says in str(caught.value).split("gin says:")[1]


@pytest.mark.parametrize(
    "unused",
    [
        "Curriculum.patience = 5",
        "other/Adam.learning_rate = 0.1",
        "valid/Quadratic.dim = 4",
        "sed = 3",
    ],
)
def test_a_binding_that_nothing_reads_is_refused(unused):
    with pytest.raises(config.ConfigError, match="used by nothing") as caught:
        build([QUADRATIC], [unused])
    name = unused.split(" =")[0]
    assert f"Received: {name}. Remove" in str(caught.value)


def test_an_inner_scope_uses_the_bindings_of_the_outer_ones():
    # The house's own bindings of meta/Adam stay in use in meta/fast.
    trainer, _ = build(
        [QUADRATIC],
        [
            "meta/Adam.beta_1 = 0.5",
            "Trainer.meta_optimizer = @meta/fast/Adam()",
        ],
    )
    assert trainer.meta_optimizer.beta_1 == 0.5


@pytest.mark.parametrize(
    ("bindings", "unused"),
    [
        # The house binds meta/Adam, which wins.
        (["Adam.beta_1 = 0.5"], "Adam.beta_1"),
        (
            [
                "Trainer.meta_optimizer = @meta/fast/Adam()",
                "meta/fast/Adam.learning_rate = 0.25",
            ],
            "meta/Adam.learning_rate",
        ),
    ],
)
def test_a_binding_that_a_narrower_scope_overrides_is_refused(bindings, unused):
    with pytest.raises(config.ConfigError, match="used by nothing") as caught:
        build([QUADRATIC], bindings)
    assert f"Received: {unused}. Remove" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "binding"),
    [
        ("dm.gin", "mlp_orig.split = 'test'"),
        ("dm_il.gin", "Adam.learning_rate = 0.5"),
        ("rnnprop_lv.gin", "RandomScaling.log_scale_bound = 2.0"),
    ],
)
def test_a_binding_without_the_files_scope_is_refused(
    file, binding, monkeypatch
):
    subset = load_mnist_subset()
    monkeypatch.setattr(collection, "load_images", lambda name: subset)
    config.load([f"gin/{file}"], [binding])
    config.build(train)
    name = binding.split(" =")[0]
    with pytest.raises(config.ConfigError, match="narrower scope") as caught:
        config.check_all_used()
    assert f"Received: {name}. Remove" in str(caught.value)


def test_a_missing_argument_is_named(tmp_path):
    file = tmp_path / "mine.gin"
    file.write_text("train.trainer = @Trainer()\nTrainer.num_episodes = 3\n")
    config.load([str(file)])
    with pytest.raises(config.ConfigError, match="missing") as caught:
        config.build(train)
    assert "Received: TypeError:" in str(caught.value)
    assert "'cell'" in str(caught.value)


def test_an_argument_of_a_wrong_type_is_named():
    with pytest.raises(config.ConfigError, match="DMLSTM") as caught:
        build([QUADRATIC], ["DMLSTM.units = 20"])
    assert "Received: TypeError:" in str(caught.value)


def test_a_class_without_parentheses_is_refused():
    with pytest.raises(ValueError, match="Received: schedule=") as caught:
        build([QUADRATIC], ["Trainer.schedule = @FixedHorizon"])
    assert "@Name()" in str(caught.value)


def test_a_configuration_without_a_trainer_names_the_root(tmp_path):
    file = tmp_path / "mine.gin"
    file.write_text("# nothing\n")
    config.load([str(file)])
    with pytest.raises(RuntimeError, match=r"\['trainer'\]"):
        config.build(train)


@pytest.mark.parametrize(
    ("binding", "received"),
    [
        ("Trainer.num_episodes = -3", "num_episodes=-3"),
        ("Quadratic.dim = 0", "dim=0"),
        ("DMLSTM.units = (20, -20)", "units=-20"),
        ("FixedHorizon.horizon = 5", "horizon=5, unroll_length=2"),
        ("meta/Adam.learning_rate = 1e999", "learning_rate=inf"),
        ("Trainer.seed = 'x'", "seed='x'"),
    ],
)
def test_a_bad_number_is_refused_with_the_objects_own_words(binding, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        build([QUADRATIC], [binding])


def test_parameters_win_over_files_and_later_files_over_earlier(tmp_path):
    later = tmp_path / "later.gin"
    later.write_text("Trainer.num_episodes = 7\nQuadratic.dim = 5\n")
    trainer, _ = build([QUADRATIC, str(later)], ["Quadratic.dim = 4"])
    assert trainer.num_episodes == 7
    assert trainer.optimizee.dim == 4


def test_a_file_and_its_includes_are_found_from_any_folder(
    tmp_path, monkeypatch
):
    file = tmp_path / "mine.gin"
    file.write_text("include 'gin/parts/techniques/curriculum.gin'\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    text = config.load([str(file)])
    assert "Curriculum.patience = 3" in text
    gin.clear_config()
    assert "Trainer.num_episodes = 5000" in config.load(["gin/dm.gin"])
    gin.clear_config()
    monkeypatch.chdir(tmp_path)
    assert config.load(["mine.gin"]) == text


def test_equal_bindings_give_equal_text(tmp_path):
    a, b = tmp_path / "a.gin", tmp_path / "b.gin"
    a.write_text("Quadratic.dim = 4\nQuadratic.batch_size = 2  # two\n")
    b.write_text("# other\nQuadratic.batch_size = 2\nQuadratic.dim=4\n")
    texts = []
    for file in (a, b):
        texts.append(config.load([str(file)]))
        gin.clear_config()
    assert texts[0] == texts[1]
    assert "Quadratic.dim = 4" in texts[0]


def test_a_run_is_named_after_its_last_file():
    assert config.name_of(["gin/dm.gin", "/x/mine.v2.gin"]) == "mine.v2"
