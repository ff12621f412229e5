"""Histograms, profiles and hyperparameters of a run, as TensorBoard has them.

A look at a run changes nothing of it.
"""

import csv
import functools
import pathlib

import numpy as np
import pytest
from support.event_files import (
    histograms,
    hparams_page,
    raw_values,
    read,
    scalars,
)
from support.training import ScriptedTrainer, small_trainer

from l2o_tf.meta_training.probe import MAGNITUDES, UPDATES
from l2o_tf.meta_training.run import Run
from l2o_tf.runtime.interrupts import GracefulStop
from l2o_tf.runtime.run_dir import RunDirectory
from l2o_tf.unroll.schedules import FixedHorizon

GATES = [
    f"gates/lstm_1/{gate}"
    for gate in ("input", "candidate", "forget", "output")
]


class StopAfter:
    """Ask for a stop once a run has made so many episodes."""

    def __init__(self, run, episodes):
        self._run, self._episodes = run, episodes

    @property
    def requested(self):
        return self._run.state.episode >= self._episodes


def in_process(path, trainer, episodes=None, **options):
    """Run to the end, or through so many episodes; return the last state."""
    with (
        RunDirectory(path, "a = 1\n") as directory,
        GracefulStop() as stop,
        Run(trainer, directory, {}, 2, quiet=True, **options) as run,
    ):
        return run.finish(StopAfter(run, episodes) if episodes else stop)


def new_trainer():
    return small_trainer(
        schedule=FixedHorizon(4), num_episodes=6, validation_runs=1
    )


# One for many runs, which saves their tracing: a trainer has no state.
fixed = functools.cache(new_trainer)


def tables(path, *names):
    return {
        name: (path / "metrics" / f"{name}.csv").read_bytes() for name in names
    }


def rows(path, name):
    text = (path / "metrics" / f"{name}.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def same_weights(path, other):
    """Whether all stored weights are equal, bit for bit."""
    files = sorted(p.name for p in (path / "best").iterdir())
    assert files == sorted(p.name for p in (other / "best").iterdir())
    for file in files:
        with (
            np.load(path / "best" / file) as a,
            np.load(other / "best" / file) as b,
        ):
            # Keras numbers the cells of one process, so not the metadata.
            names = [n for n in a.files if n != "__metadata__"]
            if any(a[n].tobytes() != b[n].tobytes() for n in names):
                return False
    return bool(files)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run that nobody looks at: its folder, and its last state."""
    path = tmp_path_factory.mktemp("plain") / "run"
    return path, in_process(path, new_trainer())


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory):
    """The same run with all looks."""
    path = tmp_path_factory.mktemp("looked_at") / "run"
    return path, in_process(
        path, new_trainer(), histogram_period=2, profile_episode=3
    )


def test_looks_change_no_bit_of_a_run(plain, looked_at):
    for state, other in zip(
        plain[1].to_arrays()[0].values(),
        looked_at[1].to_arrays()[0].values(),
        strict=True,
    ):
        assert state.tobytes() == other.tobytes()
    names = ("train", "validation")
    assert tables(plain[0], *names) == tables(looked_at[0], *names)
    assert same_weights(plain[0], looked_at[0])
    assert not (plain[0] / "metrics" / "histograms.csv").exists()
    assert not (plain[0] / "metrics" / "plugins").exists()


def test_histograms_are_of_every_nth_episode(looked_at):
    path, _ = looked_at
    found = rows(path, "histograms")
    tags = [UPDATES, MAGNITUDES, *GATES]
    assert sorted((int(row["episode"]), row["tag"]) for row in found) == sorted(
        (episode, tag) for episode in (2, 4, 6) for tag in tags
    )
    shown = histograms(path / "metrics")
    assert set(shown) == set(tags)
    for row in found:
        buckets = shown[row["tag"]][int(row["episode"])]
        counts = [int(row[f"count_{i}"]) for i in range(80)]
        # 100 steps of 6 coordinates, by 3 units where they are gates.
        expected = 100 * 6 * (3 if row["tag"] in GATES else 1)
        assert buckets[:, 2].sum() == sum(counts) == expected
        assert float(row["lower"]) <= buckets[0, 0]
        assert buckets[-1, 1] <= float(row["upper"])
    # The weights change, and so what they do.
    ends = {row["upper"] for row in found if row["tag"] == UPDATES}
    assert len(ends) == 3


def test_event_files_hold_the_histograms_as_tensors_of_their_plugin(looked_at):
    found = [
        (step, value)
        for step, value in raw_values(looked_at[0] / "metrics")
        if value.tag == UPDATES
    ]
    assert [step for step, _ in found] == [2, 4, 6]
    for _, value in found:
        assert value.WhichOneof("value") == "tensor"
        assert value.metadata.plugin_data.plugin_name == "histograms"
        assert [d.size for d in value.tensor.tensor_shape.dim][1] == 3


def test_the_profile_of_the_episode_lies_where_tensorboard_looks(looked_at):
    path, _ = looked_at
    (file,) = (path / "metrics").rglob("*.xplane.pb")
    parts = file.relative_to(path / "metrics").parts
    assert parts[:2] == ("plugins", "profile")
    assert file.stat().st_size > 1000


def test_scalars_are_those_of_the_tables_and_what_follows_from_them(looked_at):
    path, _ = looked_at
    shown = scalars(path / "metrics")
    numbers = list(range(1, 7))
    for tag in (
        "train/mean_meta_loss",
        "train/skipped_updates_total",
        "timing/inner_steps_per_second",
        "timing/meta_updates_per_second",
    ):
        assert [step for step, _ in shown[tag]] == numbers, tag
    losses = [np.float32(row["mean_meta_loss"]) for row in rows(path, "train")]
    assert [value for _, value in shown["train/mean_meta_loss"]] == losses
    # A window of 2 steps is a meta-update.
    for (_, steps), (_, updates) in zip(
        shown["timing/inner_steps_per_second"],
        shown["timing/meta_updates_per_second"],
        strict=True,
    ):
        assert updates == pytest.approx(steps / 2, rel=1e-5)
    validated = [np.float32(r["mean_loss"]) for r in rows(path, "validation")]
    curve = shown["validation/stage_0/mean_loss"]
    assert [value for _, value in curve] == validated


def test_every_stage_has_its_own_validation_curve(tmp_path):
    losses = [5.0, 4.0, 4.5, 3.0, 2.0, 2.5, 1.0, 1.5]
    trainer = ScriptedTrainer(losses, validation_period=1)
    in_process(tmp_path / "run", trainer)
    shown = scalars(tmp_path / "run" / "metrics")
    curves = {
        tag: [value for _, value in points]
        for tag, points in shown.items()
        if tag.startswith("validation/stage_") and tag.endswith("mean_loss")
    }
    assert curves == {
        "validation/stage_0/mean_loss": [5.0, 4.0, 4.5],
        "validation/stage_1/mean_loss": [3.0, 2.0, 2.5],
        "validation/stage_2/mean_loss": [1.0, 1.5],
    }


@pytest.mark.parametrize(("first", "second"), [(0, 2), (2, 0), (2, 2)])
def test_a_resumed_run_may_have_other_looks(first, second, plain, tmp_path):
    path = tmp_path / "run"
    in_process(path, fixed(), episodes=3, histogram_period=first)
    in_process(path, fixed(), histogram_period=second)
    names = ("train", "validation")
    assert tables(path, *names) == tables(plain[0], *names)
    expected = ({2} if first else set()) | ({4, 6} if second else set())
    shown = histograms(path / "metrics")
    assert set(shown.get(UPDATES, {})) == expected


def test_rows_beyond_the_checkpoint_are_cut_also_without_the_look(
    looked_at, tmp_path, monkeypatch
):
    path = tmp_path / "run"

    class Killed(BaseException):
        pass

    def kill(*arguments):
        raise Killed

    with monkeypatch.context() as patch:
        # After the histograms of episode 2, before its checkpoint.
        patch.setattr(Run, "_checkpoint", kill)
        with pytest.raises(Killed):
            in_process(path, fixed(), histogram_period=2)
    assert len(rows(path, "histograms")) == 6
    in_process(path, fixed(), episodes=2)
    assert rows(path, "histograms") == []
    in_process(path, fixed(), histogram_period=2)
    assert [row["episode"] for row in rows(path, "histograms")] == [
        *6 * ["4"],
        *6 * ["6"],
    ]
    whole = rows(looked_at[0], "histograms")
    assert rows(path, "histograms") == whole[6:]


def test_hyperparameters_begin_a_session_and_its_end_tells_when(tmp_path):
    path = tmp_path / "run"
    with (
        RunDirectory(path, "a = 1\n") as directory,
        GracefulStop() as stop,
        Run(fixed(), directory, {}, quiet=True) as run,
    ):
        run.begin_session("Trainer.num_episodes = 6\nA.b = 0.5\n")
        run.finish(stop)
        run.end_session("done")
        begun = directory.paths.config.stat().st_mtime
        ended = directory.paths.checkpoints.stat().st_mtime
    experiment, (group,) = hparams_page(tmp_path)
    assert {info.name for info in experiment.hparam_infos} == {
        "Trainer.num_episodes",
        "A.b",
    }
    (session,) = group.sessions
    assert session.start_time_secs == begun
    assert session.end_time_secs == ended
    assert ended >= begun
    assert read(path / "metrics").Tags()["scalars"]


def test_an_episode_that_is_past_cannot_be_profiled(tmp_path):
    path = tmp_path / "run"
    in_process(path, fixed(), episodes=3)
    before = tables(path, "train")
    for past in (1, 3):
        with pytest.raises(ValueError, match="stands after 3 epi") as caught:
            in_process(path, fixed(), profile_episode=past)
        assert f"Received: profile_episode={past}" in str(caught.value)
        assert tables(path, "train") == before
    in_process(path, fixed(), profile_episode=4)
    assert len(list(path.rglob("*.xplane.pb"))) == 1


def test_a_run_that_is_done_cannot_be_profiled(plain):
    with pytest.raises(ValueError, match="the run ended after 6 episodes"):
        in_process(plain[0], fixed(), profile_episode=6)


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"histogram_period": -1}, "Received: histogram_period=-1"),
        ({"histogram_period": 1.5}, "Received: histogram_period=1.5"),
        ({"profile_episode": 0}, "Received: profile_episode=0"),
        ({"profile_episode": -2}, "Received: profile_episode=-2"),
        ({"profile_episode": 7}, "profile_episode=7, num_episodes=6"),
    ],
)
def test_looks_that_no_run_can_have_are_refused(options, received, tmp_path):
    with pytest.raises(ValueError, match=received):
        in_process(tmp_path / "run", fixed(), **options)
    assert not list(pathlib.Path(tmp_path).rglob("*.npz"))
