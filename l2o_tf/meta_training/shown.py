"""What TensorBoard shows of a run's tables beside their own columns.

<train or imitation>/skipped_updates_total    added up from the beginning
validation/stage_<k>/mean_loss, .../best      a curve per stage
timing/meta_updates_per_second                those that were applied
updates/..., gates/...                        the histograms
"""

from __future__ import annotations

from collections.abc import Mapping

from l2o_tf.runtime.histograms import from_row
from l2o_tf.runtime.metrics import Shown, numbers


class RunView:
    """See every row of a run once, as `MetricsWriter` asks for it.

    The table "timing" has to come after those of the episodes.
    """

    def __init__(self) -> None:
        self._skipped = {"train": 0, "imitation": 0}
        self._meta_updates = {0: 0}  # by the number of the episode

    def __call__(self, table: str, row: Mapping[str, str]) -> Shown:
        """Return what is shown of a row, by tag."""
        if table == "histograms":
            return {row["tag"]: from_row(row)}
        return {**numbers(table, row), **self._derived(table, row)}

    def _derived(self, table: str, row: Mapping[str, str]) -> dict[str, float]:
        if table in self._skipped:
            self._skipped[table] += int(row["skipped_updates"])
            self._meta_updates[int(row["episode"])] = int(row["meta_updates"])
            total = float(self._skipped[table])
            return {f"{table}/skipped_updates_total": total}
        if table == "validation":
            stage = f"validation/stage_{row['stage']}"
            return {
                f"{stage}/{column}": float(row[column])
                for column in ("mean_loss", "best")
            }
        if table != "timing":
            return {}
        episode = int(row["episode"])
        # The one before is needed by no other. After a power cut one may be
        # missing, until the tables are rewound to the same episode.
        before = self._meta_updates.pop(episode - 1, None)
        after = self._meta_updates.get(episode)
        if before is None or after is None:
            return {}
        rate = (after - before) / float(row["seconds"])
        return {"timing/meta_updates_per_second": rate}
