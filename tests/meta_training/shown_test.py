"""What is derived from the rows of a run."""

from l2o_tf.meta_training.shown import RunView
from l2o_tf.runtime.histograms import COLUMNS, Histogram


def episode(number, skipped, meta_updates):
    return {
        "episode": str(number),
        "last_loss": "0.5",
        "skipped_updates": str(skipped),
        "meta_updates": str(meta_updates),
    }


def timing(number, seconds):
    return {"episode": str(number), "seconds": str(seconds)}


def test_skipped_updates_are_added_up_in_each_table():
    view = RunView()
    totals = [
        view(table, episode(number, skipped, 0))[
            f"{table}/skipped_updates_total"
        ]
        for number, (table, skipped) in enumerate(
            [("train", 2), ("imitation", 1), ("train", 0), ("train", 3)]
        )
    ]
    assert totals == [2, 1, 2, 5]


def test_the_columns_are_shown_too():
    shown = RunView()("train", episode(1, 0, 4))
    assert shown == {
        "train/last_loss": 0.5,
        "train/skipped_updates": 0.0,
        "train/meta_updates": 4.0,
        "train/skipped_updates_total": 0.0,
    }


def test_every_stage_has_a_validation_curve():
    row = {"validation": "7", "stage": "2", "mean_loss": "0.25", "best": "inf"}
    shown = RunView()("validation", row)
    assert shown["validation/stage_2/mean_loss"] == 0.25
    assert shown["validation/stage_2/best"] == float("inf")
    assert shown["validation/mean_loss"] == 0.25
    assert not any("stage_0" in tag for tag in shown)


def rates(view, rows):
    return [
        view(table, row).get("timing/meta_updates_per_second")
        for table, row in rows
    ]


def test_meta_updates_per_second_count_those_of_all_sources():
    rows = [
        ("train", episode(1, 0, 4)),
        ("timing", timing(1, 2.0)),
        ("imitation", episode(2, 1, 7)),
        ("timing", timing(2, 0.5)),
        ("train", episode(3, 4, 7)),
        ("timing", timing(3, 0.5)),
    ]
    live = rates(RunView(), rows)
    assert live == [None, 2.0, None, 6.0, None, 0.0]
    # As they come when the events are made anew: table by table.
    replayed = sorted(
        rows, key=lambda row: ("train", "imitation", "timing").index(row[0])
    )
    assert rates(RunView(), replayed) == [None, None, None, 2.0, 6.0, 0.0]


def test_a_time_without_its_episode_shows_no_meta_updates():
    shown = RunView()("timing", timing(5, 2.0))
    assert shown == {"timing/seconds": 2.0}


def test_a_row_of_histograms_is_shown_under_its_own_tag():
    counts = tuple(range(len(COLUMNS) - 4))
    histogram = Histogram(-1.0, 1.0, 2, counts)
    row = {"episode": "4"} | {
        name: str(value) for name, value in histogram.row("gates/a/b").items()
    }
    assert RunView()("histograms", row) == {"gates/a/b": histogram}
