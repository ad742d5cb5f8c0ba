"""Iceberg tables in a store's folder, through pyiceberg and its SQLite catalogue.

``<store>/catalog.db`` is the catalogue, ``<store>/warehouse`` the data; the namespace is
``mlscale``. Each write is one atomic commit. A write that carries a ``key`` happens once: the key
goes into the snapshot's properties, and a second write under it returns the first one's snapshot.
Several processes may write one table; a lost race is tried again on the newer state.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from infra.core.errors import BadInput, DamagedState, Problem
from workloads.data.files import explained_when_full, locked

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

NAMESPACE = "mlscale"
KEY_PROPERTY = "mlscale.key"
_CATALOG_WAIT_SECONDS = 60
_ATTEMPTS = 20
_FIRST_PAUSE_SECONDS = 0.02

Result = TypeVar("Result")


class TableStore:
    """The tables of one store. Opening makes the catalogue when it isn't there."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._catalog = _open_catalog(store)

    def names(self) -> list[str]:
        """The tables there are, without the namespace, sorted."""
        return sorted(name for _, name in self._catalog.list_tables(NAMESPACE))

    def open(self, name: str) -> Table:
        """The table ``name`` as it stands now; ``BadInput`` where there is none."""
        from pyiceberg.exceptions import NoSuchTableError, ValidationError

        try:
            table: Table = self._catalog.load_table((NAMESPACE, name))
            return table
        except NoSuchTableError as error:
            raise BadInput(
                Problem(
                    f"there is no table {NAMESPACE}.{name} in {self.store}",
                    expected=f"one of: {', '.join(self.names()) or 'none'}",
                    fix="ingest the data first",
                )
            ) from error
        except (OSError, ValueError, ValidationError) as error:
            raise DamagedState(
                Problem(
                    f"the metadata of {NAMESPACE}.{name} is unreadable: {error}",
                    file=str(self.store / "warehouse"),
                    fix="restore the store from a backup, or drop the table and ingest again",
                )
            ) from error

    def create(self, name: str, schema: pa.Schema) -> Table:
        """The table ``name``, made with ``schema`` unless it exists.

        Columns that an existing table lacks are added to it (as optional ones).
        """
        table: Table = self._retried(
            lambda: (
                self.open(name)
                if self._catalog.table_exists((NAMESPACE, name))
                else self._catalog.create_table_if_not_exists((NAMESPACE, name), schema=schema)
            )
        )
        missing = set(schema.names) - set(table.schema().as_arrow().names)
        if missing:
            self._retried(lambda: self._add_columns(name, schema))
            table = self.open(name)
        return table

    def append(
        self,
        name: str,
        rows: pa.Table,
        key: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> str:
        """Add ``rows`` to an existing table in one commit and return the snapshot's id."""
        return self._write(name, rows, key, properties or {}, replace=False)

    def overwrite(
        self,
        name: str,
        rows: pa.Table,
        key: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> str:
        """Make ``rows`` the table's whole content in one commit and return the snapshot's id.

        Where ``key`` names an older snapshot, that one becomes current again, nothing is written.
        """
        return self._write(name, rows, key, properties or {}, replace=True)

    def find(self, name: str, key: str) -> Snapshot | None:
        """The snapshot that was written under ``key``, or None."""
        return _find(self.open(name), key)

    def read(
        self,
        name: str,
        snapshot_id: str | None = None,
        row_filter: str | None = None,
        columns: tuple[str, ...] = ("*",),
    ) -> pa.Table:
        """The rows at ``snapshot_id`` (default: now). Their order is that of the written files."""
        table = self.open(name)
        if snapshot_id is None and table.current_snapshot() is None:
            return table.schema().as_arrow().empty_table()
        number = None if snapshot_id is None else self._snapshot(table, name, snapshot_id)
        options: dict[str, Any] = {"row_filter": row_filter} if row_filter else {}
        try:
            scan = table.scan(snapshot_id=number, selected_fields=columns, **options)
            return scan.to_arrow()
        except (OSError, ValueError) as error:
            raise DamagedState(
                Problem(
                    f"a data file of {NAMESPACE}.{name} is unreadable: {error}",
                    file=str(self.store / "warehouse"),
                    fix="restore the store from a backup, or ingest the data again",
                )
            ) from error

    def expire(self, name: str, keep_days: float) -> list[str]:
        """Forget snapshots older than ``keep_days``, but never the current one; their ids."""
        limit = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=keep_days)
        limit_ms = limit.timestamp() * 1000

        def once() -> list[str]:
            table = self.open(name)
            current = table.current_snapshot()
            old = [
                each.snapshot_id
                for each in table.snapshots()
                if each.timestamp_ms < limit_ms and current and each != current
            ]
            if old:
                table.maintenance.expire_snapshots().by_ids(old).commit()
            return [str(each) for each in old]

        return self._retried(once)

    def drop(self, name: str) -> None:
        """Remove the table from the catalogue; its files stay in the warehouse."""
        self.open(name)
        self._catalog.drop_table((NAMESPACE, name))

    def _write(
        self,
        name: str,
        rows: pa.Table,
        key: str | None,
        properties: Mapping[str, str],
        *,
        replace: bool,
    ) -> str:
        tagged = {**properties, **({KEY_PROPERTY: key} if key else {})}

        def once() -> str:
            table = self.open(name)
            found = _find(table, key) if key else None
            if found is not None:
                current = table.current_snapshot()
                if replace and current is not None and current.snapshot_id != found.snapshot_id:
                    table.manage_snapshots().set_current_snapshot(found.snapshot_id).commit()
                return str(found.snapshot_id)
            typed = _fitted(rows, table.schema().as_arrow())
            if replace and table.current_snapshot() is not None:
                table.overwrite(typed, snapshot_properties=tagged)
            else:
                table.append(typed, snapshot_properties=tagged)
            current = table.current_snapshot()
            if current is None:
                raise DamagedState(Problem(f"{NAMESPACE}.{name} has no snapshot after a commit"))
            return str(current.snapshot_id)

        # The lock makes "look for the key, then write" one step over all processes.
        with (
            explained_when_full(self.store / "warehouse", rows.nbytes),
            locked(self.store / "locks" / f"{name}.lock"),
        ):
            return self._retried(once)

    def _snapshot(self, table: Table, name: str, snapshot_id: str) -> int:
        number = int(snapshot_id) if snapshot_id.isdigit() else -1
        if table.snapshot_by_id(number) is None:
            known = [str(each.snapshot_id) for each in table.snapshots()]
            raise BadInput(
                Problem(
                    f"{NAMESPACE}.{name} has no snapshot {snapshot_id!r}",
                    expected=f"one of: {', '.join(known[-5:]) or 'none'}",
                    fix="ingest the data again, or name a snapshot that is there",
                )
            )
        return number

    def _add_columns(self, name: str, schema: pa.Schema) -> None:
        with self.open(name).update_schema() as update:
            update.union_by_name(schema)

    def _retried(self, action: Callable[[], Result]) -> Result:
        """``action``, again where another process committed first or holds the catalogue."""
        from pyiceberg.exceptions import CommitFailedException
        from sqlalchemy.exc import OperationalError

        for attempt in range(_ATTEMPTS):
            try:
                return action()
            except (CommitFailedException, OperationalError) as error:
                if "full" in str(error) or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(_FIRST_PAUSE_SECONDS * min(2**attempt, 32))
        raise AssertionError("unreachable")


def _find(table: Table, key: str) -> Snapshot | None:
    """The newest snapshot with this key; an overwrite's own deletion shares it and comes before."""
    for snapshot in sorted(
        table.snapshots(), key=lambda each: each.sequence_number or 0, reverse=True
    ):
        summary = snapshot.summary
        if summary is None or summary.additional_properties.get(KEY_PROPERTY) != key:
            continue
        if summary.operation.value != "delete":
            return snapshot
    return None


def _fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """``rows`` in the table's types and order of columns; columns that they lack are null."""
    import pyarrow as pa

    columns = [
        rows[field.name].cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _open_catalog(store: Path) -> Any:
    from pyiceberg.catalog.sql import SqlCatalog

    # It tells of each table that it skips in a union of schemas, and of empty overwrites.
    logging.getLogger("pyiceberg").setLevel(logging.ERROR)
    path = store.absolute() / "catalog.db"
    with explained_when_full(path):
        store.mkdir(parents=True, exist_ok=True)
    # Two first openers would both try to make the catalogue's own tables.
    with locked(store / "locks" / "catalog.lock"):
        _prepare(path)
        catalog = SqlCatalog(
            NAMESPACE,
            uri=f"sqlite:///{path}?timeout={_CATALOG_WAIT_SECONDS}",
            warehouse=(store.absolute() / "warehouse").as_uri(),
        )
        catalog.create_namespace_if_not_exists(NAMESPACE)
    return catalog


def _prepare(path: Path) -> None:
    """Write-ahead logging, so that readers never wait; a broken file is said to be one."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_CATALOG_WAIT_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        raise DamagedState(
            Problem(f"the catalogue can't be opened: {error}", file=str(path))
        ) from error
    except sqlite3.DatabaseError as error:
        raise DamagedState(
            Problem(
                f"the catalogue is unreadable: {error}",
                file=str(path),
                fix="restore the store from a backup, or remove it and ingest again",
            )
        ) from error
