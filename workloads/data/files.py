"""Files that are either the old one or the whole new one, also after a crash or a full disk."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from infra.core.errors import MissingTool, Problem

_MIB = 1024 * 1024
_CHUNK_BYTES = 4 * _MIB


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A stream whose bytes become ``path`` at once when the block ends, and never in part.

    The bytes are on the disk before the name is. A full disk raises ``MissingTool`` that names
    the path and the space, and leaves the old file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}.")
    temporary = Path(name)
    try:
        with explained_when_full(path, temporary=temporary):
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def explained_when_full(
    path: Path, needed_bytes: int = _CHUNK_BYTES, temporary: Path | None = None
) -> Iterator[None]:
    """Turn "no space left" into one error that says where, how much is free, and what to do.

    ``needed_bytes`` is what ``path`` takes; where it isn't known, what ``temporary`` has counts.
    """
    try:
        yield
    except Exception as error:
        if not _speaks_of_space(error):
            raise
        written = temporary.stat().st_size if temporary and temporary.exists() else 0
        raise disk_full(path, needed_bytes + written) from error


def _speaks_of_space(error: BaseException) -> bool:
    """Whether a full disk began this; torch's writer, for one, hides it behind another error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def disk_full(path: Path, needed_bytes: int) -> MissingTool:
    """The error for a full disk; ``needed_bytes`` is what ``path`` takes at least."""
    free = shutil.disk_usage(existing_parent(path)).free
    return MissingTool(
        Problem(
            f"no space left to write {path}: {free / _MIB:.1f} MiB free",
            path=str(path),
            expected=f"at least {needed_bytes / _MIB:.1f} MiB free",
            fix=f"free space on the file system of {existing_parent(path)}, then run this again",
        )
    )


def existing_parent(path: Path) -> Path:
    """The nearest folder above ``path`` that exists."""
    return next(parent for parent in path.absolute().parents if parent.exists())


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for, then hold, an exclusive lock on ``path``; the kernel frees it when we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
