"""What `python -m l2o_tf.train` shows in TensorBoard, read by its readers."""

import math
import shlex

import pytest
import tensorflow as tf
from support.event_files import (
    histograms,
    hparams_page,
    raw_values,
    scalars,
)
from support.train_command import train_command
from tensorboard.plugins.hparams import api_pb2

from l2o_tf import train
from l2o_tf.optimizees.quadratics import Quadratic
from l2o_tf.unroll.schedules import FixedHorizon, Verdict

# Of the fixture's 6 episodes.
SHORT = ("Trainer.num_episodes = 2", "Trainer.validation_period = 2")


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Return a function that runs the command in this process."""
    return train_command(monkeypatch, tmp_path)


def number(session, tag):
    (found,) = [
        metric.value
        for metric in session.metric_values
        if metric.name.tag == tag
    ]
    return found


def test_two_runs_can_be_compared_by_what_they_differ_in(call, tmp_path):
    rates = {"slow": 0.001, "fast": 0.25}
    for name, rate in rates.items():
        param = f"meta/Adam.learning_rate = {rate}"
        assert call(*SHORT, param, run_dir=tmp_path / "runs" / name) == 0
    experiment, groups = hparams_page(tmp_path / "runs")
    infos = {info.name: info for info in experiment.hparam_infos}
    assert [name for name, info in infos.items() if info.differs] == [
        "meta/Adam.learning_rate"
    ]
    assert infos["Trainer.num_episodes"].type == api_pb2.DATA_TYPE_FLOAT64
    assert infos["Trainer.jit_compile"].type == api_pb2.DATA_TYPE_BOOL
    assert infos["DMLSTM.preprocessing"].type == api_pb2.DATA_TYPE_STRING
    assert len(groups) == 2
    for group in groups:
        (session,) = group.sessions
        run = session.name.partition("/")[0]
        told = {k: v.number_value for k, v in group.hparams.items()}
        assert told["meta/Adam.learning_rate"] == rates[run]
        assert told["Trainer.num_episodes"] == 2
        assert session.status == api_pb2.STATUS_SUCCESS
        shown = scalars(tmp_path / "runs" / run / "metrics")
        for tag in (
            "validation/best",
            "validation/stage_0/best",
            "train/last_loss",
            "train/mean_meta_loss",
        ):
            assert number(session, tag) == shown[tag][-1][1], tag
    best = {
        group.sessions[0].name: number(group.sessions[0], "validation/best")
        for group in groups
    }
    assert len(set(best.values())) == 2


def test_looks_are_flags_and_do_not_change_the_run(call, tmp_path, capsys):
    assert call(run_dir=tmp_path / "plain") == 0
    looked = call(
        run_dir=tmp_path / "run", histogram_period=3, profile_episode=2
    )
    assert looked == 0, capsys.readouterr().err
    for table in ("train", "validation"):
        a, b = (
            (tmp_path / run / "metrics" / f"{table}.csv").read_bytes()
            for run in ("plain", "run")
        )
        assert a == b
    shown = histograms(tmp_path / "run" / "metrics")
    assert {tuple(steps) for steps in shown.values()} == {(3, 6)}
    assert "gates/lstm_1/forget" in shown
    assert len(list((tmp_path / "run").rglob("*.xplane.pb"))) == 1


# Of the sanitizer that TensorBoard brings along.
@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")
def test_configurations_are_shown_as_blocks_of_code(call, tmp_path):
    from tensorboard import plugin_util

    assert call(*SHORT) == 0
    texts = {
        value.tag: tf.make_ndarray(value.tensor).item().decode()
        for _, value in raw_values(tmp_path / "run" / "metrics")
        if value.metadata.plugin_data.plugin_name == "text"
    }
    assert set(texts) == {"config", "operative_config"}
    for tag, file in (
        ("config", "config.gin"),
        ("operative_config", "operative_config.gin"),
    ):
        stored = (tmp_path / "run" / file).read_text()
        assert stored.strip() in texts[tag]
        html = plugin_util.markdown_to_safe_html(texts[tag])
        assert html.startswith("<pre><code>")
        assert html.rstrip().endswith("</code></pre>")
        # Outside of a block of code this would be a heading.
        assert "\n# ====" in html
    default = "Trainer.max_failed_episodes = 20"
    assert default not in texts["config"]
    assert default in texts["operative_config"]


def sessions(folder):
    _, groups = hparams_page(folder)
    return [session for group in groups for session in group.sessions]


def test_a_run_that_was_done_before_is_shown_as_such_again(call, tmp_path):
    assert call(*SHORT) == 0
    (first,) = sessions(tmp_path)
    assert call(*SHORT) == 0
    (second,) = sessions(tmp_path)
    assert second.status == first.status == api_pb2.STATUS_SUCCESS
    assert second.start_time_secs == first.start_time_secs
    assert second.end_time_secs == first.end_time_secs
    assert first.end_time_secs >= first.start_time_secs


def test_a_failed_run_is_shown_as_such(call, monkeypatch, tmp_path):
    loss = Quadratic.loss
    monkeypatch.setattr(Quadratic, "loss", lambda *args: loss(*args) * math.nan)
    assert call("Trainer.max_failed_episodes = 1") == 1
    (session,) = sessions(tmp_path)
    assert session.status == api_pb2.STATUS_FAILURE


@pytest.mark.parametrize(
    ("flags", "received"),
    [
        ({"histogram_period": -1}, "Received: histogram_period=-1"),
        ({"profile_episode": 0}, "Received: profile_episode=0"),
        ({"profile_episode": 7}, "profile_episode=7, num_episodes=6"),
    ],
)
def test_looks_that_no_run_can_have_create_nothing(
    flags, received, call, capsys, tmp_path
):
    assert call(**flags) == 1
    assert received in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_episode_that_is_past_is_not_profiled_and_that_is_said(
    call, capsys, tmp_path
):
    assert call(*SHORT) == 0
    assert call(*SHORT, profile_episode=2) == 1
    said = capsys.readouterr().err
    assert "the run ended after 2 episodes" in said
    assert "Received: profile_episode=2. Take a later one" in said
    assert not list(tmp_path.rglob("*.xplane.pb"))


def test_training_that_ends_before_the_profile_says_so(
    call, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(
        FixedHorizon, "observe", lambda self, state, _: (state, Verdict.STOP)
    )
    assert call(profile_episode=5) == 0
    assert (
        "There is no profile: training ended after 3 episodes, before "
        "--profile_episode=5."
    ) in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.xplane.pb"))


@pytest.mark.parametrize("episodes", [0, 3, 4])
def test_the_command_that_continues_keeps_what_is_to_come(call, episodes):
    call(gin_file=("gin/nowhere.gin",), histogram_period=5, profile_episode=4)
    words = shlex.split(train._command("runs/x", episodes))
    assert "--histogram_period=5" in words
    assert ("--profile_episode=4" in words) is (episodes < 4)
