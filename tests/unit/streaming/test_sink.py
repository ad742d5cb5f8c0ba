"""The table that holds rows and offsets together: conflicts, foreign commits, old snapshots."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from workloads.data.tables import TableStore
from workloads.streaming import sink as sinks
from workloads.streaming.sink import (
    PredictionSink,
    SinkMovedError,
    dead_letter_schema,
    prediction_schema,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _rows(*offsets: int, partition: int = 0) -> pa.Table:
    values: dict[str, Any] = {
        "event_id": [f"e{offset}" for offset in offsets],
        "label": list(offsets),
        "probability": [0.5] * len(offsets),
        "partition": [partition] * len(offsets),
        "offset": list(offsets),
        "event_time": [NOW] * len(offsets),
        "predicted_at": [NOW] * len(offsets),
    }
    for name in ("model_version", "run_id", "data_snapshot", "topic"):
        values[name] = ["x"] * len(offsets)
    return pa.table(values, schema=prediction_schema())


def _dead(*offsets: int, topic_id: str = "id", partition: int = 0) -> pa.Table:
    count = len(offsets)
    values: dict[str, Any] = {
        "event_id": [None] * count,
        "reason": ["because"] * count,
        "payload": [b"\xff"] * count,
        "consumer_group": ["g"] * count,
        "topic": ["t"] * count,
        "topic_id": [topic_id] * count,
        "partition": [partition] * count,
        "offset": list(offsets),
        "event_time": [None] * count,
        "seen_at": [NOW] * count,
    }
    return pa.table(values, schema=dead_letter_schema())


def _sink(store: Path, group: str = "g", topic: str = "t", topic_id: str = "id") -> PredictionSink:
    return PredictionSink(store, "p", group, topic, topic_id)


def _offsets(store: Path) -> list[int]:
    return sorted(TableStore(store).read("p")["offset"].to_pylist())


def test_rows_and_offsets_come_together(tmp_path: Path) -> None:
    sink = _sink(tmp_path)
    assert sink.next_offsets() == {}
    sink.commit(_rows(0, 1), {0: None}, {0: 2})
    sink.commit(_rows(5, partition=1), {1: None}, {1: 6})
    sink.commit(_rows(), {0: 2}, {0: 4})
    assert _sink(tmp_path).next_offsets() == {0: 4, 1: 6}
    assert _offsets(tmp_path) == [0, 1, 5]


def test_the_second_of_two_with_the_same_events_is_refused(tmp_path: Path) -> None:
    first, second = _sink(tmp_path), _sink(tmp_path)
    first.commit(_rows(0), {0: None}, {0: 1})
    for starts in ({0: None}, {0: 0}, {0: 2}):
        with pytest.raises(SinkMovedError, match="found 1"):
            second.commit(_rows(0), starts, {0: 3})
    assert _offsets(tmp_path) == [0]


def test_a_commit_in_between_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between check and commit another writer lands: the table's head decides, and we look again."""
    first, second = _sink(tmp_path), _sink(tmp_path)
    original = sinks._carried_offsets
    interlopers = [(_rows(7, partition=1), {1: None}, {1: 8}), (_rows(0), {0: None}, {0: 1})]

    def carried(table: Any) -> dict[str, str]:
        found = original(table)
        if interlopers:
            monkeypatch.setattr(sinks, "_carried_offsets", original)
            second.commit(*interlopers.pop(0))
            monkeypatch.setattr(sinks, "_carried_offsets", carried)
        return found

    monkeypatch.setattr(sinks, "_carried_offsets", carried)
    with pytest.raises(SinkMovedError):
        first.commit(_rows(0), {0: None}, {0: 1})
    first.commit(_rows(1), {0: 1}, {0: 2})
    assert first.next_offsets() == {0: 2, 1: 8}
    assert _offsets(tmp_path) == [0, 1, 7]


def test_an_unknown_outcome_that_landed_isnt_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy.exc import OperationalError

    sink = _sink(tmp_path)
    original = SqlCatalog.commit_table

    def lands_and_fails(*arguments: Any) -> Any:
        monkeypatch.setattr(SqlCatalog, "commit_table", original)
        original(*arguments)
        raise OperationalError("update", None, Exception("disk I/O error"))

    monkeypatch.setattr(SqlCatalog, "commit_table", lands_and_fails)
    sink.commit(_rows(0, 1), {0: None}, {0: 2})
    assert _offsets(tmp_path) == [0, 1]
    assert sink.next_offsets() == {0: 2}


def test_a_topic_made_again_starts_over_and_groups_are_apart(tmp_path: Path) -> None:
    _sink(tmp_path).commit(_rows(0), {0: None}, {0: 1})
    again = _sink(tmp_path, topic_id="new")
    assert again.next_offsets() == {}
    other = _sink(tmp_path, group="h")
    assert other.next_offsets() == {}
    other.commit(_rows(0), {0: None}, {0: 1})
    assert _sink(tmp_path).next_offsets() == {0: 1}
    again.commit(_rows(0), {0: None}, {0: 1})
    assert again.next_offsets() == {0: 1}
    assert _sink(tmp_path).next_offsets() == {}


def test_commits_of_others_carry_no_offsets_and_hide_none(tmp_path: Path) -> None:
    sink = _sink(tmp_path)
    sink.commit(_rows(0, 1), {0: None}, {0: 2})
    TableStore(tmp_path).open("p").delete("offset = 1")
    assert sink.next_offsets() == {0: 2}
    sink.commit(_rows(2), {0: 2}, {0: 3})
    assert _offsets(tmp_path) == [0, 2]


def test_old_snapshots_and_their_files_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "_HISTORY_SNAPSHOTS", 5)
    monkeypatch.setattr(sinks, "_EXPIRE_EVERY_COMMITS", 4)
    sink = _sink(tmp_path)
    start: int | None = None
    for offset in range(40):
        sink.commit(_rows(offset), {0: start}, {0: offset + 1})
        start = offset + 1
    table = TableStore(tmp_path).open("p")
    assert 5 <= len(table.snapshots()) < 14
    metadata = Path(table.location().removeprefix("file://")) / "metadata"
    assert len(list(metadata.glob("snap-*.avro"))) == len(table.snapshots())
    assert _offsets(tmp_path) == list(range(40))
    assert sink.next_offsets() == {0: 40}


def test_dead_letters_are_kept_once(tmp_path: Path) -> None:
    sink = _sink(tmp_path)
    sink.add_dead_letters(_dead())
    sink.add_dead_letters(_dead(3, 5))
    sink.add_dead_letters(_dead(5, 6))
    sink.add_dead_letters(_dead(5, partition=1))
    assert sink.dead_offsets(0, None) == {3, 5, 6}
    assert sink.dead_offsets(0, 5) == {5, 6}
    assert sink.dead_offsets(1, None) == {5}
    assert _sink(tmp_path, topic_id="new").dead_offsets(0, None) == set()
    assert TableStore(tmp_path).read("p_dead_letter").num_rows == 4
