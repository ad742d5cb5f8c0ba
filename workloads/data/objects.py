"""A versioned, content-addressed object store in a folder.

``<root>/index.db`` (SQLite, write-ahead log) maps keys to versions; ``<root>/blobs/ab/abcd…``
holds each content once, named by its SHA-256. A blob is on the disk before the index names
it, so a process that dies at any moment leaves either the version or nothing. Any number of
processes may use one store at the same time.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from infra.core.errors import BadInput, DamagedState, Problem
from workloads.data.files import disk_full, explained_when_full, locked, sha256_of, sync_folder

_CHUNK_BYTES = 1024 * 1024
_LOCK_WAIT_SECONDS = 60
_STALE_TEMPORARY_SECONDS = 3600
_MAX_KEY_BYTES = 1024
_SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    version_id TEXT NOT NULL UNIQUE,
    sha256 TEXT,
    size_bytes INTEGER NOT NULL,
    created_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS versions_by_key ON versions (key, sequence);
CREATE INDEX IF NOT EXISTS versions_by_content ON versions (sha256);
"""


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object. A delete marker has no ``sha256`` and no content."""

    key: str
    version_id: str
    sha256: str | None
    size_bytes: int
    created_at: float

    @property
    def is_delete_marker(self) -> bool:
        return self.sha256 is None


class ObjectStore:
    """The store in ``root``; the folder is made when it isn't there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs"
        self._incoming = root / "incoming"
        with explained_when_full(root):
            for folder in (self._blobs, self._incoming):
                folder.mkdir(parents=True, exist_ok=True)
        # Two first openers may meet here, and SQLite doesn't wait for a change of journal mode.
        with locked(root / ".open.lock"), self._index() as index:
            index.execute("PRAGMA journal_mode=WAL")
            index.executescript(_SCHEMA)

    def put(self, key: str, content: bytes | Path) -> ObjectVersion:
        """Store ``content`` (bytes or a file) as the newest version of ``key`` and return it.

        The content that the key has already makes no new version. Raises ``BadInput`` for an
        illegal key and ``MissingTool`` where the disk is full.
        """
        _check_key(key)
        needed = content.stat().st_size if isinstance(content, Path) else len(content)
        handle, name = tempfile.mkstemp(dir=self._incoming, prefix=f"{os.getpid()}-")
        temporary = Path(name)
        try:
            with explained_when_full(self.root / key, needed):
                with os.fdopen(handle, "wb") as stream:
                    digest = _copy(content, stream)
                    stream.flush()
                    os.fsync(stream.fileno())
                with self._writing() as index:
                    self._place(temporary, digest)
                    current = self._newest(index, key)
                    if current is not None and current.sha256 == digest:
                        return current
                    return self._add(index, key, digest, needed)
        finally:
            temporary.unlink(missing_ok=True)

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """The content, checked against its hash. Raises as ``path`` does."""
        return self.path(key, version_id).read_bytes()

    def path(self, key: str, version_id: str | None = None) -> Path:
        """The immutable file that holds the content of the newest, or the given, version.

        Raises ``BadInput`` where there is none and ``DamagedState`` where its bytes changed.
        """
        version = self.version(key, version_id)
        if version.sha256 is None:
            raise BadInput(
                Problem(f"version {version.version_id} of {key!r} is a delete marker", path=key)
            )
        blob = self.blob_path(version.sha256)
        problem = self._damage(version.sha256, key)
        if problem is not None:
            raise DamagedState(problem)
        return blob

    def blob_path(self, sha256: str) -> Path:
        """Where the content of this hash lies, whether it is there or not."""
        return self._blobs / sha256[:2] / sha256

    def version(self, key: str, version_id: str | None = None) -> ObjectVersion:
        """The newest, or the given, version; ``BadInput`` where there is none or it is deleted."""
        versions = self.versions(key)
        if version_id is None:
            found = versions[0] if versions and not versions[0].is_delete_marker else None
        else:
            found = next((each for each in versions if each.version_id == version_id), None)
        if found is None:
            what = f"version {version_id} of {key!r}" if version_id else f"object {key!r}"
            known = ", ".join(each.version_id for each in versions) or "none"
            raise BadInput(
                Problem(f"there is no {what} in {self.root}", path=key, expected=f"one of: {known}")
            )
        return found

    def versions(self, key: str) -> list[ObjectVersion]:
        """Every version of ``key``, newest first, delete markers included."""
        with self._index() as index:
            rows = index.execute(
                "SELECT key, version_id, sha256, size_bytes, created_at FROM versions"
                " WHERE key = ? ORDER BY sequence DESC",
                (key,),
            )
            return [ObjectVersion(*row) for row in rows]

    def current(self, prefix: str = "") -> list[ObjectVersion]:
        """The newest version of each object whose key starts with ``prefix``, in key order."""
        with self._index() as index:
            rows = index.execute(
                "SELECT key, version_id, sha256, size_bytes, created_at FROM versions"
                " WHERE sequence IN (SELECT MAX(sequence) FROM versions GROUP BY key)"
                " AND sha256 IS NOT NULL AND substr(key, 1, length(?)) = ? ORDER BY key",
                (prefix, prefix),
            )
            return [ObjectVersion(*row) for row in rows]

    def delete(self, key: str) -> ObjectVersion:
        """Hide ``key`` behind a delete marker; its versions stay and can be restored."""
        self.version(key)
        with self._writing() as index:
            return self._add(index, key, None, 0)

    def restore(self, key: str, version_id: str) -> ObjectVersion:
        """Make an older version's content the newest again."""
        old = self.version(key, version_id)
        if old.sha256 is None:
            raise BadInput(Problem(f"version {version_id} of {key!r} is a delete marker", path=key))
        with self._writing() as index:
            return self._add(index, key, old.sha256, old.size_bytes)

    def prune(self, keep: int) -> int:
        """Keep the ``keep`` newest versions of each key, drop the rest, return the bytes freed.

        A key whose newest version is a delete marker goes altogether.
        """
        if keep < 1:
            raise BadInput(Problem(f"can't keep {keep} versions", expected="at least 1"))
        with self._writing() as index:
            index.execute(
                "DELETE FROM versions WHERE sequence IN (SELECT sequence FROM (SELECT sequence,"
                " ROW_NUMBER() OVER (PARTITION BY key ORDER BY sequence DESC) AS age"
                " FROM versions) WHERE age > ?) OR key IN (SELECT key FROM versions"
                " WHERE sequence IN (SELECT MAX(sequence) FROM versions GROUP BY key)"
                " AND sha256 IS NULL)",
                (keep,),
            )
        # Apart from the deletion above: blobs go only after no committed row names them.
        with self._writing() as index:
            return self._sweep(index)

    def verify(self) -> list[Problem]:
        """Every named content that is missing or whose bytes changed."""
        with self._index() as index:
            rows = index.execute(
                "SELECT sha256, MIN(key) FROM versions WHERE sha256 IS NOT NULL"
                " GROUP BY sha256 ORDER BY 2"
            ).fetchall()
        checked = (self._damage(digest, key) for digest, key in rows)
        return [problem for problem in checked if problem is not None]

    @contextmanager
    def _index(self) -> Iterator[sqlite3.Connection]:
        path = self.root / "index.db"
        connection = sqlite3.connect(path, timeout=_LOCK_WAIT_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=FULL")
            yield connection
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise disk_full(path, _CHUNK_BYTES) from error
            raise
        except sqlite3.DatabaseError as error:
            raise DamagedState(
                Problem(
                    f"the object store's index is unreadable: {error}",
                    file=str(path),
                    fix="restore index.db from a backup; the blobs beside it are intact",
                )
            ) from error
        finally:
            connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time, over all processes; all or nothing."""
        with self._index() as index:
            index.execute("BEGIN IMMEDIATE")
            try:
                yield index
            except BaseException:
                if index.in_transaction:
                    index.execute("ROLLBACK")
                raise
            index.execute("COMMIT")

    def _place(self, temporary: Path, digest: str) -> None:
        """Give the written bytes their name; a damaged blob of this name is replaced."""
        blob = self.blob_path(digest)
        blob.parent.mkdir(exist_ok=True)
        temporary.chmod(0o444)
        temporary.replace(blob)
        sync_folder(blob.parent)

    def _add(
        self, index: sqlite3.Connection, key: str, digest: str | None, size_bytes: int
    ) -> ObjectVersion:
        version = ObjectVersion(key, uuid.uuid4().hex, digest, size_bytes, time.time())
        index.execute(
            "INSERT INTO versions (key, version_id, sha256, size_bytes, created_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (key, version.version_id, digest, size_bytes, version.created_at),
        )
        return version

    @staticmethod
    def _newest(index: sqlite3.Connection, key: str) -> ObjectVersion | None:
        row = index.execute(
            "SELECT key, version_id, sha256, size_bytes, created_at FROM versions"
            " WHERE key = ? ORDER BY sequence DESC LIMIT 1",
            (key,),
        ).fetchone()
        return ObjectVersion(*row) if row else None

    def _sweep(self, index: sqlite3.Connection) -> int:
        """Remove blobs that no version names and what killed writers left; return the bytes."""
        named = {row[0] for row in index.execute("SELECT DISTINCT sha256 FROM versions")}
        freed = 0
        for blob in self._blobs.glob("??/*"):
            if blob.name not in named:
                freed += blob.stat().st_size
                blob.unlink()
        for leftover in self._incoming.iterdir():
            if _is_stale(leftover):
                freed += leftover.stat().st_size
                leftover.unlink()
        return freed

    def _damage(self, digest: str, key: str) -> Problem | None:
        blob = self.blob_path(digest)
        if blob.is_file() and sha256_of(blob) == digest:
            return None
        state = "has changed on the disk" if blob.is_file() else "is missing"
        return Problem(
            f"the content of {key!r} {state}",
            file=str(blob),
            path=key,
            expected=f"bytes with SHA-256 {digest}",
            fix="put the same content again, or restore another version",
        )


def _check_key(key: str) -> None:
    parts = key.split("/")
    legal = key and all(parts) and ".." not in parts and not re.search(r"[\x00-\x1f\x7f]", key)
    if not legal or len(key.encode("utf-8", "surrogatepass")) > _MAX_KEY_BYTES:
        raise BadInput(
            Problem(
                f"{key!r} is not a legal object key",
                expected=f"1 to {_MAX_KEY_BYTES} bytes without control characters, parts between"
                " `/` neither empty nor `..`",
            )
        )


def _copy(content: bytes | Path, stream: IO[bytes]) -> str:
    """Write ``content`` to ``stream`` and return the SHA-256 of what was written."""
    if isinstance(content, bytes):
        stream.write(content)
        return hashlib.sha256(content).hexdigest()
    digest = hashlib.sha256()
    with content.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            stream.write(chunk)
    return digest.hexdigest()


def _is_stale(leftover: Path) -> bool:
    """True for the temporary file of a writer that is gone."""
    owner = leftover.name.split("-", 1)[0]
    alive = Path("/proc", owner).exists()
    return not alive or time.time() - leftover.stat().st_mtime > _STALE_TEMPORARY_SECONDS
