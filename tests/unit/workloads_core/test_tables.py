"""Iceberg tables: written once a key, read as they were, by several processes, or refused."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pytest

from infra.core.errors import BadInput, DamagedState
from workloads.data.tables import KEY_PROPERTY, TableStore

SCHEMA = pa.schema([("id", pa.int64()), ("values", pa.list_(pa.float64()))])


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": list(ids), "values": [[float(each)] for each in ids]}, SCHEMA)


def ids_of(table: pa.Table) -> list[int]:
    return sorted(table["id"].to_pylist())


@pytest.fixture
def tables(tmp_path: Path) -> TableStore:
    store = TableStore(tmp_path)
    store.create("t", SCHEMA)
    return store


def test_append_and_read_as_it_was(tables: TableStore) -> None:
    assert tables.read("t").num_rows == 0
    first = tables.append("t", rows(1), properties={"by": "me"})
    second = tables.append("t", rows(2, 3))
    assert ids_of(tables.read("t", first)) == [1]
    assert ids_of(tables.read("t", second)) == ids_of(tables.read("t")) == [1, 2, 3]
    assert ids_of(tables.read("t", row_filter="id > 1", columns=("id",))) == [2, 3]
    summary = tables.open("t").snapshot_by_id(int(first)).summary
    assert summary["by"] == "me"


def test_a_key_is_written_once(tables: TableStore) -> None:
    first = tables.append("t", rows(1), key="a")
    assert tables.append("t", rows(1), key="a") == first
    assert tables.append("t", rows(2), key="b") != first
    assert ids_of(tables.read("t")) == [1, 2]
    found = tables.find("t", "a")
    assert found is not None
    assert found.summary[KEY_PROPERTY] == "a"
    assert tables.find("t", "c") is None


def test_overwrite_goes_back_to_what_was(tables: TableStore, tmp_path: Path) -> None:
    first = tables.overwrite("t", rows(1), key="one")
    second = tables.overwrite("t", rows(2), key="two")
    assert ids_of(tables.read("t")) == [2]
    files = set(tmp_path.rglob("*.parquet"))
    assert tables.overwrite("t", rows(1), key="one") == first
    assert ids_of(tables.read("t")) == [1]
    assert ids_of(tables.read("t", second)) == [2]
    assert set(tmp_path.rglob("*.parquet")) == files


def test_the_same_content_again_writes_no_file(tables: TableStore, tmp_path: Path) -> None:
    first = tables.overwrite("t", rows(1), key="one")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "warehouse").rglob("*")}
    tables.create("t", SCHEMA)
    assert TableStore(tmp_path).overwrite("t", rows(1), key="one") == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "warehouse").rglob("*")} == before


def test_a_new_column_joins_and_old_rows_lack_it(tables: TableStore) -> None:
    tables.append("t", rows(1))
    tables.create("t", SCHEMA.append(pa.field("note", pa.string())))
    tables.append("t", rows(2))
    assert tables.read("t").schema.names == ["id", "values", "note"]
    assert tables.read("t")["note"].null_count == 2


def test_expiry_keeps_the_current_snapshot(tables: TableStore) -> None:
    first = tables.append("t", rows(1))
    second = tables.append("t", rows(2))
    assert tables.expire("t", keep_days=1) == []
    assert tables.expire("t", keep_days=-1) == [first]
    assert ids_of(tables.read("t", second)) == [1, 2]
    with pytest.raises(BadInput, match=f"no snapshot '{first}'"):
        tables.read("t", first)
    assert tables.expire("t", keep_days=-1) == []


def test_what_is_not_there(tables: TableStore) -> None:
    with pytest.raises(BadInput, match=r"no table mlscale.u .*one of: t"):
        tables.open("u")
    with pytest.raises(BadInput, match="no snapshot 'x'"):
        tables.read("t", "x")
    tables.drop("t")
    assert tables.names() == []


def test_damaged_files_are_said_to_be(tables: TableStore, tmp_path: Path) -> None:
    tables.append("t", rows(1))
    for path in tmp_path.rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DamagedState, match=r"a data file of mlscale\.t is unreadable"):
        tables.read("t")
    for path in tmp_path.rglob("*.metadata.json"):
        path.write_text("{")
    with pytest.raises(DamagedState, match=r"metadata of mlscale\.t is unreadable"):
        tables.open("t")


def test_broken_catalogue(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(DamagedState, match="catalogue is unreadable"):
        TableStore(tmp_path)
    (tmp_path / "b" / "catalog.db").mkdir(parents=True)
    with pytest.raises(DamagedState, match="can't be opened"):
        TableStore(tmp_path / "b")


def _append_some(arguments: tuple[str, int]) -> list[str]:
    tables = TableStore(Path(arguments[0]))
    tables.create("t", SCHEMA)
    number = arguments[1]
    own = [tables.append("t", rows(100 * number + each)) for each in range(3)]
    return [*own, tables.append("t", rows(-1), key="common")]


def test_two_processes_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        made = list(pool.map(_append_some, [(str(tmp_path), 1), (str(tmp_path), 2)]))
    assert made[0][-1] == made[1][-1]
    assert ids_of(TableStore(tmp_path).read("t")) == [-1, 100, 101, 102, 200, 201, 202]
