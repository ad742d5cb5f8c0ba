"""Where predictions end: an Iceberg table that also holds how far its topic was read.

Rows and the Kafka offsets they came from are committed in one snapshot (the offsets in its summary,
as Apache Iceberg's Kafka Connect sink does it): after any crash either both are there or neither.
A commit checks that the table still holds the offsets that the batch started from, and is
conditional on the table's head: of two processors with the same events, the second is refused.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workloads.data.tables import TableStore

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table

_log = logging.getLogger("mlscale.stream")

OFFSETS_PREFIX = "mlscale.kafka.offsets."
DEAD_LETTER_SUFFIX = "_dead_letter"

_PROPERTIES = {
    # pyiceberg would retry a lost race by itself, without our check of the offsets.
    "commit.retry.num-retries": "0",
    # A commit every few seconds: keep the number of manifests and metadata files bounded.
    "commit.manifest-merge.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
}
_HISTORY_SNAPSHOTS = 100  # snapshots kept; older ones are expired, in bulk
_EXPIRE_EVERY_COMMITS = 25
_ATTEMPTS = 30
_PAUSE_SECONDS = 0.05


class SinkMovedError(Exception):
    """Another processor wrote these partitions: the batch must be dropped and read again."""


def prediction_schema() -> pa.Schema:
    """Columns of the predictions; ``offset`` is unique in its partition of its topic."""
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            ("event_id", pa.string()),
            ("label", pa.int64()),
            ("probability", pa.float64()),
            ("model_version", pa.string()),
            ("run_id", pa.string()),
            ("data_snapshot", pa.string()),
            ("topic", pa.string()),
            ("partition", pa.int32()),
            ("offset", pa.int64()),
            ("event_time", moment),
            ("predicted_at", moment),
        ]
    )


def dead_letter_schema() -> pa.Schema:
    """Columns of the events that can't be predicted, as they came, with the reason."""
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            ("event_id", pa.string()),
            ("reason", pa.string()),
            ("payload", pa.binary()),
            ("consumer_group", pa.string()),
            ("topic", pa.string()),
            ("topic_id", pa.string()),
            ("partition", pa.int32()),
            ("offset", pa.int64()),
            ("event_time", moment),
            ("seen_at", moment),
        ]
    )


class PredictionSink:
    """The table of one consumer group's predictions from one topic, and its dead letters.

    ``topic_id`` is Kafka's id of the topic: a topic that was deleted and made again starts over.
    Offsets are the next to read, by partition; None where the table has none.
    """

    def __init__(self, store: Path, table: str, group: str, topic: str, topic_id: str) -> None:
        self._tables = TableStore(store)
        self._table = table
        self._dead = table + DEAD_LETTER_SUFFIX
        self._group = group
        self.topic_id = topic_id
        self._commits = 0
        self._key = f"{OFFSETS_PREFIX}{group}/{topic}"
        for name, schema in ((table, prediction_schema()), (self._dead, dead_letter_schema())):
            self._tables.create(name, schema)
            self._retried(name, _prepare)

    def next_offsets(self) -> dict[int, int]:
        """The first offset of each partition that isn't in the table."""
        return self._parsed(_carried_offsets(self._tables.open(self._table)))

    def dead_offsets(self, partition: int, start: int | None) -> set[int]:
        """Offsets from ``start`` on that are dead letters already."""
        found = self._dead_rows(self._tables.open(self._dead), partition, start)
        return set(found["offset"].to_pylist())

    def commit(
        self, rows: pa.Table, starts: Mapping[int, int | None], ends: Mapping[int, int]
    ) -> None:
        """Add ``rows`` and move the offsets of their partitions from ``starts`` to ``ends``.

        Raises ``SinkMovedError`` when the table doesn't hold ``starts`` (nothing is written then).
        """
        from sqlalchemy.exc import OperationalError

        unknown = False  # did an attempt end without telling whether it landed?

        def once(table: Table) -> None:
            nonlocal unknown
            properties = _carried_offsets(table)
            offsets = self._parsed(properties)
            if unknown and all(offsets.get(partition) == end for partition, end in ends.items()):
                return  # it did
            for partition, start in starts.items():
                if offsets.get(partition) != start:
                    raise SinkMovedError(
                        f"partition {partition}: expected offset {start} in {self._table}, "
                        f"found {offsets.get(partition)}"
                    )
            properties[self._key] = self._rendered({**offsets, **ends})
            try:
                table.append(rows, snapshot_properties=properties)
            except OperationalError:
                unknown = True
                raise

        self._retried(self._table, once)
        self._commits += 1
        if self._commits % _EXPIRE_EVERY_COMMITS == 0:
            self._retried(self._table, _expire)

    def add_dead_letters(self, rows: pa.Table) -> None:
        """Keep events that can't be predicted; those that are there already are left out."""
        if not rows.num_rows:
            return
        import pyarrow as pa
        import pyarrow.compute as pc

        def once(table: Table) -> None:
            missing = rows
            for partition in set(rows["partition"].to_pylist()):
                mine = pc.equal(missing["partition"], partition)
                start = pc.min(rows.filter(pc.equal(rows["partition"], partition))["offset"])
                there = self._dead_rows(table, partition, start.as_py())["offset"]
                known = pc.is_in(missing["offset"], value_set=there.cast(pa.int64()))
                missing = missing.filter(pc.invert(pc.and_(mine, known)))
            if missing.num_rows:
                table.append(missing)

        self._retried(self._dead, once)

    def _dead_rows(self, table: Table, partition: int, start: int | None) -> pa.Table:
        mine = (
            f"consumer_group = '{self._group}' and topic_id = '{self.topic_id}' "
            f"and partition = {partition} and offset >= {start or 0}"
        )
        return table.scan(row_filter=mine, selected_fields=("offset",)).to_arrow()

    def _parsed(self, properties: Mapping[str, str]) -> dict[int, int]:
        value = json.loads(properties.get(self._key, "{}"))
        if value.get("topic_id") != self.topic_id:
            return {}
        return {int(partition): offset for partition, offset in value["next_offsets"].items()}

    def _rendered(self, offsets: Mapping[int, int]) -> str:
        ordered = {str(partition): offsets[partition] for partition in sorted(offsets)}
        return json.dumps({"topic_id": self.topic_id, "next_offsets": ordered})

    def _retried(self, name: str, action: Callable[[Table], None]) -> None:
        """``action`` on the table as it is now, again when another commit came first."""
        from pyiceberg.exceptions import CommitFailedException
        from sqlalchemy.exc import OperationalError

        for attempt in range(_ATTEMPTS):
            try:
                action(self._tables.open(name))
                return
            except (CommitFailedException, OperationalError) as error:
                if attempt == _ATTEMPTS - 1 or "full" in str(error):
                    raise
                time.sleep(_PAUSE_SECONDS)


def _carried_offsets(table: Table) -> dict[str, str]:
    """All offsets that the table holds, of every group and topic.

    Each of our commits carries them all on, so that the newest one tells; commits of others
    (maintenance, corrections by hand) in between carry nothing.
    """
    snapshot = table.current_snapshot()
    while snapshot is not None:
        summary: dict[str, Any] = snapshot.summary.additional_properties if snapshot.summary else {}
        found = {key: value for key, value in summary.items() if key.startswith(OFFSETS_PREFIX)}
        if found:
            return found
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return {}


def _prepare(table: Table) -> None:
    missing = {
        key: value for key, value in _PROPERTIES.items() if table.properties.get(key) != value
    }
    if missing:
        with table.transaction() as transaction:
            transaction.set_properties(missing)


def _expire(table: Table) -> None:
    """Forget old snapshots, and remove the lists of files that only they used.

    Rows are never removed: the table is only appended to, so newer snapshots hold all its files.
    """
    snapshots = sorted(table.snapshots(), key=lambda each: each.sequence_number or 0)
    if len(snapshots) < 2 * _HISTORY_SNAPSHOTS:
        return
    protected = {reference.snapshot_id for reference in table.metadata.refs.values()}
    old = [each for each in snapshots[:-_HISTORY_SNAPSHOTS] if each.snapshot_id not in protected]
    gone = {each.snapshot_id for each in old}
    lists = {each.manifest_list for each in old}
    manifests = {path for each in old for path in _manifests(table, each)}
    for each in snapshots:
        if each.snapshot_id not in gone:
            manifests.difference_update(_manifests(table, each))
    table.maintenance.expire_snapshots().by_ids(sorted(gone)).commit()
    for path in lists | manifests:
        try:
            table.io.delete(path)
        except OSError as error:
            _log.warning("an expired file of %s stays: %s", table.name(), error)


def _manifests(table: Table, snapshot: Any) -> set[str]:
    return {manifest.manifest_path for manifest in snapshot.manifests(table.io)}
