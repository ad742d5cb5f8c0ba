"""Reading the files that data comes in; each way that a file can be bad is one clear error."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from infra.core.errors import BadInput, Problem

if TYPE_CHECKING:
    import polars as pl

_GZIP_MAGIC = b"\x1f\x8b"


def read_lines(path: Path) -> pl.Series:
    """The lines of a text file (UTF-8, plain or gzip), blank ones left out.

    Raises ``BadInput`` where the file is missing, empty, cut short, corrupt or not text.
    """
    import polars as pl

    raw = _bytes_of(path)
    if raw[:2] == _GZIP_MAGIC:
        try:
            raw = gzip.decompress(raw)
        except EOFError as error:
            raise _unreadable(path, "the gzip stream is cut short") from error
        except (OSError, zlib.error) as error:
            raise _unreadable(path, f"the gzip stream is corrupt: {error}") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _unreadable(path, "not UTF-8 text", line) from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise _unreadable(path, "the file has no rows")
    return pl.Series("line", lines, dtype=pl.String)


def read_parquet(path: Path) -> pl.DataFrame:
    """A parquet file's rows; raises as ``read_lines`` does."""
    import polars as pl

    _bytes_of(path)
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise _unreadable(path, f"cut short, corrupt, or not parquet: {reason}") from error
    if frame.is_empty():
        raise _unreadable(path, "the file has no rows")
    return frame


def _bytes_of(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise BadInput(
            Problem("there is no such source file", file=str(path), fix="name one that is there")
        ) from error
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    if not raw:
        raise _unreadable(path, "the file is empty")
    return raw


def _unreadable(path: Path, reason: str, line: int | None = None) -> BadInput:
    return BadInput(
        Problem(
            f"the source can't be read: {reason}",
            file=str(path),
            line=line,
            expected="a whole, readable data file",
            fix="fetch or export it again",
        )
    )
