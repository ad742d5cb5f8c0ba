"""Finding bills on disk, telling whose they are by their header, opening them for streaming.

Nothing here reads more than a file's first lines (or a Parquet footer): the bill itself is
streamed by DuckDB when it is aggregated.
"""

# ruff: noqa: S608  (names are this module's own; values go through _sql.literal)
from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.core.errors import BadInput, Problem

from ._sql import identifier, literal, path_literal

if TYPE_CHECKING:
    import duckdb

KINDS: Final = ("focus", "aws-cur", "gcp", "azure", "azure-amortized")
_SUFFIXES: Final = (".csv", ".csv.gz", ".parquet", ".json", ".jsonl", ".ndjson", ".json.gz")


@dataclass(frozen=True)
class Source:
    """One bill: a file, a folder of its parts, or a pattern, and its kind when not told by itself."""

    path: str | Path
    kind: str | None = None


@dataclass(frozen=True)
class Opened:
    """A bill's file, opened: SQL that reads it and the SQL expression of each of its columns.

    ``columns`` maps the column's simplified name (see :func:`simplify`) to an expression.
    ``json_column`` is set instead for JSON lines, where a field is a path into one value.
    """

    path: Path
    kind: str
    format: str
    relation: str
    columns: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    rejects: str | None = None

    @property
    def label(self) -> str:
        """The name that reports use: the file's own, without the machine's folders."""
        return self.path.name

    @property
    def comma(self) -> bool:
        """Whether numbers are written with a decimal comma."""
        return self.format == "csv;"


def simplify(header: str) -> str:
    """A header's comparable name: ``Abonnement-GUID (SubscriptionGuid)`` -> ``subscriptionguid``.

    Azure writes the same column in several cases, with spaces, and in localised exports as the
    translation with the invariant name in brackets.
    """
    bracketed = re.search(r"\(([A-Za-z0-9_/ ]+)\)\s*$", header)
    name = bracketed[1] if bracketed else header
    return re.sub(r"[^a-z0-9]", "", name.lower())


def expand(sources: Iterable[str | Path | Source]) -> list[Source]:
    """Every file that the sources name, in order; the same file twice is refused."""
    found: list[Source] = []
    seen: set[Path] = set()
    for given in sources:
        source = given if isinstance(given, Source) else Source(given)
        for path in _files(source):
            real = path.resolve()
            if real in seen:
                raise BadInput(
                    Problem(
                        "the same bill is given twice",
                        file=str(path),
                        fix="name each file once, or its folder alone",
                    )
                )
            seen.add(real)
            found.append(Source(path, source.kind))
    return found


def _files(source: Source) -> list[Path]:
    path = Path(source.path)
    if source.kind is not None and source.kind not in KINDS:
        raise BadInput(
            Problem(
                f"no bill of kind {source.kind!r} is known", path=str(path), expected=_or(KINDS)
            )
        )
    if path.is_file():
        return [path]
    pattern = path.name if any(sign in path.name for sign in "*?[") else None
    folder = path.parent if pattern else path
    candidates = folder.glob(pattern) if pattern else folder.rglob("*")
    files = sorted(p for p in candidates if p.is_file() and p.name.endswith(_SUFFIXES))
    if not files:
        raise BadInput(
            Problem(
                "no bill found here",
                file=str(path),
                expected="a file, a folder or a pattern of " + _or(_SUFFIXES),
            )
        )
    return files


def _or(names: Iterable[str]) -> str:
    *head, last = names
    return f"{', '.join(head)} or {last}"


def open_source(connection: duckdb.DuckDBPyConnection, source: Source, number: int) -> Opened:
    """Open one file; a damaged or foreign one is refused with one message."""
    path = Path(source.path)
    if path.stat().st_size == 0:
        raise BadInput(Problem("the file is empty", file=str(path), fix="export the bill again"))
    if path.name.endswith(".parquet"):
        return _open_parquet(connection, path, source.kind)
    if path.name.endswith((".csv", ".csv.gz")):
        return _open_csv(path, source.kind, number)
    return _open_json(connection, path, source.kind)


def _open_parquet(connection: duckdb.DuckDBPyConnection, path: Path, kind: str | None) -> Opened:
    relation = f"read_parquet({path_literal(path)})"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except Exception as error:  # the classes differ from damage to damage
        raise _damaged(path, error, "Parquet") from error
    names = [row[0] for row in described]
    types = {simplify(name): str(row[1]) for name, row in zip(names, described, strict=True)}
    columns = {simplify(name): identifier(name) for name in names}
    return Opened(path, kind or _detect(path, columns), "parquet", relation, columns, types)


def _damaged(path: Path, error: Exception, kind: str) -> BadInput:
    first = str(error).splitlines()[0][:200]
    return BadInput(
        Problem(
            f"the {kind} file is damaged or cut short ({first})",
            file=str(path),
            fix="fetch or export this file again",
        )
    )


def _open_csv(path: Path, kind: str | None, number: int) -> Opened:
    first = _first_line(path)
    delimiter = max(",;\t|", key=first.count)
    header = next(csv.reader([first], delimiter=delimiter))
    names = [f"c{i}" for i in range(len(header))]
    columns: dict[str, str] = {}
    for title, name in zip(header, names, strict=True):
        columns.setdefault(simplify(title), name)
    rejects = f"rejects_{number}"
    struct = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    relation = (
        f"read_csv({path_literal(path)}, auto_detect=false, header=true, delim={literal(delimiter)}, "
        f"quote='\"', escape='\"', allow_quoted_nulls=false, columns={{{struct}}}, store_rejects=true, "
        f"rejects_table='{rejects}', rejects_scan='{rejects}_scan', rejects_limit=10000)"
    )
    form = "csv;" if delimiter == ";" else "csv"
    return Opened(path, kind or _detect(path, columns), form, relation, columns, {}, rejects)


def _first_line(path: Path) -> str:
    try:
        if path.name.endswith(".gz"):
            with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
                line = file.readline()
        else:
            with path.open(encoding="utf-8-sig", newline="") as file:
                line = file.readline()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise _damaged(path, error, "CSV") from error
    return line.rstrip("\r\n")


def _open_json(connection: duckdb.DuckDBPyConnection, path: Path, kind: str | None) -> Opened:
    relation = f"read_json_objects({path_literal(path)}, format='auto')"
    try:
        row: Any = connection.execute(f"SELECT json_keys(json) FROM {relation} LIMIT 1").fetchone()
    except Exception as error:  # the classes differ from damage to damage
        raise _damaged(path, error, "JSON") from error
    names = list(row[0]) if row else []
    columns = {simplify(name): f"json->>{literal('$.' + identifier(name))}" for name in names}
    return Opened(path, kind or _detect(path, columns), "json", relation, columns)


def _detect(path: Path, columns: Mapping[str, str]) -> str:
    """Whose bill this is, by the names of its columns."""
    have = set(columns)
    if {"billedcost", "chargeperiodstart"} <= have:
        return "focus"
    if {"lineitemlineitemtype", "lineitemunblendedcost"} <= have:
        return "aws-cur"
    if {"cost", "usagestarttime"} <= have and any(name.startswith("sku") for name in have):
        return "gcp"
    if {"costinbillingcurrency", "pretaxcost", "cost"} & have and any(
        name.startswith("meter") for name in have
    ):
        return "azure-amortized" if "amortized" in path.name.lower() else "azure"
    raise BadInput(
        Problem(
            "these columns belong to no bill that is known",
            file=str(path),
            line=1,
            expected="an AWS CUR 2.0, a GCP BigQuery billing export, an Azure cost export or FOCUS",
            fix="export it in one of these, or name its kind: " + _or(KINDS),
        )
    )
