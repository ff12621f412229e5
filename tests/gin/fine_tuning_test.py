"""Fine-tuning as its files say it, number by number, and as a command."""

import csv

import gin
import numpy as np
import pytest
from support.gin_files import FINE_TUNING_FILES, FIRST, ROOT, named_bindings
from support.train_command import train_command

from l2o_tf import config
from l2o_tf.datasets.synthetic import synthetic_images
from l2o_tf.estimators.tbptt import TruncatedBackpropagation
from l2o_tf.evaluation.tuning import Tuned
from l2o_tf.interop.pretrained import load
from l2o_tf.learned.learnable_sgd import LearnableSGD
from l2o_tf.learned.rnnprop import RNNprop
from l2o_tf.learned.simple import SimpleOptimizer
from l2o_tf.learned.weights import save_weights
from l2o_tf.optimizees import collection
from l2o_tf.optimizees.keras_model import KerasModel
from l2o_tf.optimizees.lenet import LeNet
from l2o_tf.optimizers.adam import Adam
from l2o_tf.optimizers.sgd import SGD
from l2o_tf.techniques.fine_tuning import HalvedLoss
from l2o_tf.train import train
from l2o_tf.unroll.meta_losses import SumOfLosses, WeightedDifference

SIMPLE = [name for name in FINE_TUNING_FILES if name.startswith("simple")]


def stored(path, cell):
    """Store a cell's weights; return the binding that names them."""
    save_weights(path, cell, cell.meta_params(), {})
    return f"weights = {str(path)!r}"


@pytest.fixture
def weights(tmp_path):
    return stored(tmp_path / "simple.npz", SimpleOptimizer(seed=3))


@pytest.fixture
def built(monkeypatch):
    """Return a function that builds what a file and bindings describe."""
    images = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}

    def fake(name):
        return synthetic_images(0, *images[name], num_train=60)

    monkeypatch.setattr(collection, "load_images", fake)

    def build(file, *parameters):
        config.load([f"gin/{file}"], parameters)
        trainer = config.build(train)
        config.check_all_used()
        return trainer

    return build


def test_the_papers_two_tasks_have_files_and_any_other_has_one():
    assert FINE_TUNING_FILES == [
        "finetune.gin",
        "simple_finetune_inception_cifar.gin",
        "simple_finetune_lenet_cifar.gin",
    ]


# Inception takes long to build; what it shares is in the same parts.
@pytest.mark.parametrize("file", ["finetune.gin", SIMPLE[1]])
def test_five_repetitions_halve_the_loss_or_stop_at_a_thousand_batches(
    file, built, weights
):
    trainer = built(file, weights)
    assert trainer.num_episodes == trainer.validation_period == 5
    assert trainer.validation_runs == trainer.max_failed_episodes == 1
    ending = trainer.ending
    assert isinstance(ending, HalvedLoss)
    assert (ending.ratio, ending.otherwise) == (0.5, "stop")
    assert ending.average_batches == 20
    assert trainer.schedule.horizon(FIRST) == 1_000
    assert trainer.estimator.unroll_length == 20
    adam = trainer.meta_optimizer
    assert isinstance(adam, Adam)
    assert adam.learning_rate == 1e-4
    assert trainer.optimizee is trainer.validation_optimizee
    assert trainer.optimizee.split == "train[5%]"
    assert trainer.optimizee.data.images.shape[0] == 3  # one of each class


@pytest.mark.parametrize("file", SIMPLE)
def test_a_papers_file_starts_from_the_weights_it_names(file, built, weights):
    small = ["inception_cifar.width = 0.02"] if "inception" in file else []
    trainer = built(file, weights, *small)
    assert isinstance(trainer.cell, SimpleOptimizer)
    expected = SimpleOptimizer(seed=3).meta_params()
    np.testing.assert_array_equal(trainer.cell.meta_params(), expected)
    state = trainer.initial_state()
    np.testing.assert_array_equal(state.meta.meta_params, expected)
    assert isinstance(trainer.estimator.meta_loss, WeightedDifference)
    kind = KerasModel if "inception" in file else LeNet
    assert isinstance(trainer.optimizee, kind)
    assert trainer.optimizee.batch_size == 128
    assert trainer.optimizee.split == "train[5%]"


def test_any_trained_optimizer_meets_any_named_optimizee(built):
    trainer = built("finetune.gin")
    assert isinstance(trainer.cell, RNNprop)
    np.testing.assert_array_equal(
        trainer.cell.meta_params(), load("rnnprop_cl_il").meta_params()
    )
    assert isinstance(trainer.optimizee, LeNet)
    assert isinstance(trainer.estimator, TruncatedBackpropagation)
    assert isinstance(trainer.estimator.meta_loss, SumOfLosses)


@pytest.mark.parametrize(
    ("file", "binding"),
    [
        (file, binding)
        for file in ("finetune.gin", SIMPLE[1])
        for binding in named_bindings(file)
    ],
)
def test_every_other_reading_that_a_comment_names_is_another(
    file, binding, built, weights
):
    name, _, value = binding.partition(" = ")
    own = [] if name == "weights" else [weights]
    built(file, binding, *own)
    line = f"\n{name} = {value.strip(chr(34))!r}\n"
    assert line in gin.operative_config_str()
    assert line not in (ROOT / "gin" / file).read_text()


@pytest.mark.parametrize("file", FINE_TUNING_FILES)
def test_a_file_says_where_it_comes_from_and_is_short(file):
    lines = (ROOT / "gin" / file).read_text().splitlines()
    assert lines[0].startswith("# ")
    assert "spec simple_optimizer.md 4" in " ".join(lines[:4])
    assert len(lines) <= 30


def test_sgd_and_adam_are_tuned_on_the_same_part():
    config.load(["gin/parts/evaluation/subsample_tuning.gin"])
    rates = (0.001, 0.01, 0.1, 1.0)
    for name, kind in (("sgd", SGD), ("adam", Adam)):
        with gin.config_scope(name):
            tuned = gin.get_configurable(Tuned)()
        assert tuned.split == "train[5%]"
        assert tuned.steps == 1_000
        assert all(isinstance(c.cell, kind) for c in tuned.candidates)
        found = tuple(c.cell.learning_rate for c in tuned.candidates)
        assert found == rates


FAST = [
    'optimizee = "simple"',
    "TruncatedBackpropagation.unroll_length = 2",
    "FixedHorizon.validation_horizon = 2",
]


def test_the_command_fine_tunes_and_leaves_weights_to_load(
    tmp_path, monkeypatch, capsys
):
    source = stored(tmp_path / "start.npz", LearnableSGD(0.02, name="eta"))
    command = train_command(monkeypatch, tmp_path)
    file = [str(ROOT / "gin" / "finetune.gin")]
    assert command(source, *FAST, gin_file=file) == 0
    run = tmp_path / "run"
    with open(run / "metrics" / "fine_tuning.csv") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["ended"] for row in rows] == 5 * ["halved"]
    assert int(rows[-1]["batches"]) < int(rows[0]["batches"])
    tuned = load(run)
    assert isinstance(tuned, LearnableSGD)
    assert tuned.meta_params()[0] > 0.02
    said = capsys.readouterr()
    assert "Repetition 5: halved after" in said.err
    assert "Done. The best weights:" in said.out


def test_the_command_stops_in_words_where_the_loss_does_not_halve(
    tmp_path, monkeypatch, capsys
):
    source = stored(tmp_path / "start.npz", LearnableSGD(1e-6, name="eta"))
    command = train_command(monkeypatch, tmp_path)
    file = [str(ROOT / "gin" / "finetune.gin")]
    cap = "FixedHorizon.horizon = 4"
    assert command(source, *FAST, cap, gin_file=file) == 1
    said = capsys.readouterr().err
    assert "NotHalvedError: Repetition 1 of fine-tuning ended after 4" in said
    summary = (tmp_path / "run" / "summary.json").read_text()
    assert '"status": "failed"' in summary
