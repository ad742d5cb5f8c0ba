"""Checks a dataset against FOCUS 1.2, rule by rule.

``focus_rules.csv`` is the list: every MUST and MUST NOT of the specification's column
requirements, in our own words, under the id ``Column-NN`` (the NN-th sentence of that column's
normative requirements in FOCUS 1.2, 2025-05-30). A rule that one dataset can't show, because it
speaks of invoices, price lists or the provider's own knowledge, is listed as ``outside`` with the
reason. All others become SQL: one pass over the file for the rows, one query a rule that looks at
groups of rows.
"""

# ruff: noqa: S608  (names are this module's own; values go through _sql.literal)
from __future__ import annotations

import csv
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cost.actuals._sql import identifier, literal
from cost.actuals.columns import BY_NAME, DECIMAL_SQL
from cost.actuals.sources import Source, open_source

if TYPE_CHECKING:
    import duckdb

_EXAMPLE: Final = "raw_ChargePeriodStart, raw_BilledCost, raw_ServiceName"
_PLACEHOLDERS: Final = ("n/a", "na", "none", "null", "nil", "nan", "-", "not applicable", "tbd")
_NUMBER: Final = r"^-?[0-9]+(\.[0-9]+)?([eE]-?[0-9]+)?$"
_MOMENT: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
_ISO_4217: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN "
    "BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD "
    "FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY "
    "KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP "
    "MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR "
    "RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT "
    "TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW "
    "ZWG "
)


@dataclass(frozen=True)
class Rule:
    """One requirement: how it is checked, or why it can't be."""

    id: str
    column: str
    keyword: str
    check: str
    detail: str
    rule: str

    @property
    def applicable(self) -> bool:
        """Whether one dataset can show a breach."""
        return self.check != "outside"


@dataclass(frozen=True)
class Finding:
    """A rule that is broken, in how many rows (or groups), with one of them."""

    rule: Rule
    count: int
    example: str

    def __str__(self) -> str:
        return (
            f"{self.rule.id}: {self.rule.rule} ({self.count} broken; for instance {self.example})"
        )


@functools.cache
def rules() -> tuple[Rule, ...]:
    """The shipped list of requirements."""
    text = files(__package__).joinpath("focus_rules.csv").read_text(encoding="utf-8")
    return tuple(Rule(**row) for row in csv.DictReader(text.splitlines()))


@functools.cache
def subcategories() -> dict[str, tuple[str, ...]]:
    """Allowed service subcategories by category."""
    text = files(__package__).joinpath("focus_services.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["category"]: tuple(row["subcategories"].split(";")) for row in rows}


def check(
    path: str | Path,
    only: frozenset[str] | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> list[Finding]:
    """Every breach in a FOCUS file (CSV or Parquet), of the rules ``only`` names when given.

    BadInput when the file can't be read at all. A ``connection`` of :func:`connect` may be used
    for several files.
    """
    if connection is None:
        with connect() as own:
            return check(path, only, own)
    opened = open_source(connection, Source(path, "focus"), 0)
    names = _header(path, opened.format) if opened.format != "parquet" else None
    held = {column.lower(): column for column in BY_NAME}
    source = {
        held[key]: (expression, opened.types.get(key, "VARCHAR"))
        for key, expression in opened.columns.items()
        if key in held and (names is None or held[key] in names)
    }
    chosen = [rule for rule in rules() if only is None or rule.id in only]
    return _Checker(connection, opened.relation, source, chosen).findings()


def connect() -> duckdb.DuckDBPyConnection:
    """A database in memory, of at most 700 MB, that reads times as UTC."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET memory_limit = '700MB'")
    return connection


def _header(path: str | Path, form: str) -> frozenset[str]:
    from cost.actuals.sources import _first_line

    delimiter = ";" if form == "csv;" else ","
    return frozenset(next(csv.reader([_first_line(Path(path))], delimiter=delimiter)))


class _Checker:
    """Rules of one dataset; ``source`` maps a column's name to its SQL and physical type."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        relation: str,
        source: dict[str, tuple[str, str]],
        chosen: Sequence[Rule],
    ) -> None:
        self._rules = chosen
        self._connection = connection
        self._source = source
        named = " ".join([_EXAMPLE, *(f"{rule.column} {rule.detail}" for rule in chosen)])
        named = named.replace("PAIR", "ServiceCategory")
        names = [name for name in BY_NAME if name in named]
        listed = [f"{self._typed(name)} AS {name}" for name in names]
        listed += [f"{self._text(name)} AS raw_{name}" for name in names]
        connection.execute(
            f"CREATE OR REPLACE VIEW checked AS SELECT {', '.join(listed)} FROM {relation}"
        )

    def _typed(self, name: str) -> str:
        kind = BY_NAME[name].kind
        wanted = {"decimal": DECIMAL_SQL, "datetime": "TIMESTAMP"}.get(kind, "VARCHAR")
        expression, held = self._source.get(name, ("NULL", ""))
        if held.startswith("TIMESTAMP WITH"):
            expression = f"CAST({expression} AS TIMESTAMP)"
        if kind == "datetime" and held == "VARCHAR":
            return f"CAST(TRY_CAST({expression} AS TIMESTAMPTZ) AS TIMESTAMP)"
        return f"TRY_CAST({expression} AS {wanted})"

    def _text(self, name: str) -> str:
        expression, held = self._source.get(name, ("NULL", "VARCHAR"))
        if held.startswith("TIMESTAMP"):
            return f"strftime({expression}, '%Y-%m-%dT%H:%M:%SZ')"
        return f"CAST({expression} AS VARCHAR)"

    def findings(self) -> list[Finding]:
        """All breaches, in the order of the list."""
        broken = {**self._schema(), **self._rows(), **self._groups()}
        return [
            Finding(rule, *broken[rule.id]) for rule in self._rules if broken.get(rule.id, (0,))[0]
        ]

    def _schema(self) -> dict[str, tuple[int, str]]:
        missing = {
            rule.id: (1, f"no column {rule.column}")
            for rule in self._rules
            if rule.check == "present" and rule.column not in self._source
        }
        wrong = {
            rule.id: (1, f"the column is of type {self._source[rule.column][1]}")
            for rule in self._rules
            if rule.check == "type" and not self._type_fits(rule)
        }
        return {**missing, **wrong}

    def _type_fits(self, rule: Rule) -> bool:
        held = self._source.get(rule.column, ("", "VARCHAR"))[1]
        if held == "VARCHAR":  # text files: judged by each value, see _violation
            return True
        fits = {
            "string": ("VARCHAR",),
            "decimal": ("DECIMAL", "DOUBLE"),
            "datetime": ("TIMESTAMP",),
        }
        if held.startswith(fits[rule.detail]):
            return True
        # A column without a value has no type of its own, whatever the file calls it.
        found: Any = self._connection.execute(
            f"SELECT count(raw_{rule.column}) FROM checked"
        ).fetchone()
        return bool(found[0] == 0)

    def _rows(self) -> dict[str, tuple[int, str]]:
        chosen = [
            (rule, violation)
            for rule in self._rules
            if rule.column in self._source and (violation := _violation(rule)) is not None
        ]
        if not chosen:
            return {}
        counts = ", ".join(f"count(*) FILTER (WHERE {sql})" for _, sql in chosen)
        row: Any = self._connection.execute(f"SELECT {counts} FROM checked").fetchone()
        return {
            rule.id: (int(count), self._example(rule, sql))
            for (rule, sql), count in zip(chosen, row, strict=True)
            if count
        }

    def _example(self, rule: Rule, sql: str) -> str:
        row: Any = self._connection.execute(
            f"SELECT raw_{rule.column}, {_EXAMPLE} FROM checked WHERE {sql} LIMIT 1"
        ).fetchone()
        return f"{rule.column}={row[0]!r} on {row[1]}, {row[2]} for {row[3]}"

    def _groups(self) -> dict[str, tuple[int, str]]:
        found = {}
        for rule in self._rules:
            if rule.check != "group":
                continue
            keys, value = rule.detail.split(";")
            rows = self._connection.execute(
                f"SELECT {keys}, count(*) OVER () FROM checked WHERE {value} IS NOT NULL "
                f"AND ({keys}) IS NOT NULL GROUP BY {keys} HAVING count(DISTINCT {value}) > 1 LIMIT 1"
            ).fetchall()
            if rows:
                found[rule.id] = (int(rows[0][-1]), f"{keys} = {rows[0][:-1]}")
        return found


def _violation(rule: Rule) -> str | None:
    """SQL that is true on a row that breaks the rule; null for rules that aren't about rows."""
    raw, typed = f"raw_{rule.column}", rule.column
    no_number = f"{raw} IS NOT NULL AND NOT regexp_full_match({raw}, {literal(_NUMBER)})"
    unread = f"{raw} IS NOT NULL AND {typed} IS NULL"
    made = {
        "string": f"trim({raw}) = '' OR lower(trim({raw})) IN ({_listed(_PLACEHOLDERS)})",
        "numeric": no_number,
        "decimal": f"{raw} IS NOT NULL AND TRY_CAST({raw} AS DOUBLE) IS NULL",
        "moment": f"{raw} IS NOT NULL AND NOT regexp_full_match({raw}, {literal(_MOMENT)})",
        "currency": f"{raw} IS NOT NULL AND {raw} NOT IN ({_listed(_ISO_4217.split())})",
        "keyvalue": f"{raw} IS NOT NULL AND NOT {_flat(raw)}",
    }
    if rule.check in made:
        return made[rule.check]
    if rule.check == "sql":
        return _pairs() if rule.detail == "PAIR" else rule.detail
    if rule.check == "type" and rule.detail != "string":
        return unread
    if rule.check == "allowed":
        values: Iterable[str] = BY_NAME[rule.column].allowed
        if rule.column == "ServiceSubcategory":
            values = [sub for subs in subcategories().values() for sub in subs]
        return f"{raw} NOT IN ({_listed(values)})"
    return None


def _listed(values: Iterable[str]) -> str:
    return ", ".join(map(literal, values))


def _flat(raw: str) -> str:
    """Whether a text is a JSON object without nesting."""
    kind = f"json_type({raw}, '$.\"' || k || '\"')"
    nested = f"list_filter(json_keys({raw}), lambda k: {kind} IN ('OBJECT','ARRAY'))"
    return (
        f"CASE WHEN json_valid({raw}) THEN json_type({raw}) = 'OBJECT' AND len({nested}) = 0 "
        "ELSE false END"
    )


def _pairs() -> str:
    known = " OR ".join(
        f"(ServiceCategory = {literal(category)} AND ServiceSubcategory IN ({_listed(subs)}))"
        for category, subs in subcategories().items()
    )
    return f"ServiceSubcategory IS NOT NULL AND NOT ({known})"


def column_list(version: str = "1.2") -> list[str]:
    """Columns of FOCUS 1.2, or those that FOCUS 1.0 has too."""
    return [name for name, column in BY_NAME.items() if version == "1.2" or column.since_1_0]


def quoted(names: Iterable[str]) -> str:
    """Names as a SQL list."""
    return ", ".join(map(identifier, names))
