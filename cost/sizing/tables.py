"""Reading and writing CSV tables, with an error that names the file, the line and the column."""

from __future__ import annotations

import csv
import io
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.core.errors import BadInput, Problem

DATA = Path(__file__).with_name("data")
"""Tables and constants that this package ships."""

_BEYOND = 1e18
"""No figure of these tables comes near it; products of such numbers still stay finite."""

_TRUE, _FALSE = {"true", "1", "yes", "y"}, {"false", "0", "no", "n", ""}


@dataclass(frozen=True)
class Row:
    """One line of a table: its cells by column, and where it stood (line 1 is the header)."""

    cells: Mapping[str, str]
    file: str
    line: int

    def text(self, column: str, default: str = "") -> str:
        """The cell without surrounding blanks; ``default`` where it is empty or missing."""
        return (self.cells.get(column) or "").strip() or default

    def number(self, column: str, default: float | None = None) -> float | None:
        """A finite number, or ``default`` for an empty cell. BadInput for anything else."""
        text = self.text(column)
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.bad(column, f"{text!r} is no number", "a finite number")
        if abs(value) > _BEYOND:
            raise self.bad(column, f"{text!r} is beyond all reason", f"at most {_BEYOND:g}")
        return value

    def positive(self, column: str, default: float | None = None) -> float | None:
        """A number above zero, or ``default`` for an empty cell."""
        value = self.number(column, default)
        if value is not None and value <= 0:
            raise self.bad(column, f"{value:g} is not positive", "a number above zero")
        return value

    def count(self, column: str) -> float:
        """A whole number above zero that has to be there."""
        value = self.required(column)
        if value % 1:
            raise self.bad(column, f"{value:g} is no count", "a whole number above zero")
        return value

    def required(self, column: str) -> float:
        """A number above zero that has to be there."""
        value = self.positive(column)
        if value is None:
            raise self.bad(column, "is empty", "a number above zero")
        return value

    def flag(self, column: str) -> bool:
        """True or false; an empty cell is false."""
        text = self.text(column).lower()
        if text not in _TRUE | _FALSE:
            raise self.bad(column, f"{text!r} is neither true nor false", "True or False")
        return text in _TRUE

    def bad(self, column: str, message: str, expected: str | None = None) -> BadInput:
        """The error for one cell of this row."""
        return BadInput(
            Problem(message, file=self.file, line=self.line, path=column, expected=expected)
        )


def read_table(source: Path | str, required: Sequence[str] = ()) -> list[Row]:
    """The rows of a CSV file with a header (UTF-8, a byte-order mark is skipped).

    BadInput when the file can't be read, a required column is missing, a column is named twice
    or a line has more cells than the header.
    """
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            Problem(f"can't be read: {error}", file=str(path), expected="a CSV file in UTF-8")
        ) from error
    return list(_parsed(text, str(path), required))


def _parsed(text: str, file: str, required: Sequence[str]) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text))
    header = [cell.strip() for cell in next(reader, [])]
    missing = [name for name in required if name not in header]
    if missing or not header:
        message = f"lacks the column {', '.join(missing)}" if header else "is empty"
        expected = ", ".join(required) or None
        raise BadInput(Problem(message, file=file, line=1, expected=expected))
    if len(set(header)) < len(header):
        raise BadInput(Problem("names a column twice", file=file, line=1))
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header):
            message = f"has {len(cells)} cells, the header {len(header)}"
            raise BadInput(Problem(message, file=file, line=reader.line_num))
        yield Row(dict(zip(header, cells, strict=False)), file, reader.line_num)


def as_rows(rows: Iterable[Mapping[str, object]], name: str = "rows") -> list[Row]:
    """Rows from plain mappings, so that functions take what a table would hold."""
    return [
        Row({key: "" if value is None else str(value) for key, value in row.items()}, name, line)
        for line, row in enumerate(rows, start=1)
    ]


def write_table(path: Path | str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file whole or not at all; None becomes an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    write_text(Path(path), buffer.getvalue())


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
