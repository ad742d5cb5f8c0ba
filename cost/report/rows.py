"""Writes FOCUS rows: CSV, and Parquet with decimal128 columns through pyarrow, in one stream."""

# ruff: noqa: S608  (names are this module's own; values go through _sql.literal)
from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cost.actuals import COUNTED, Bills, Period
from cost.actuals._sql import literal
from cost.actuals.columns import COLUMNS, DECIMAL_SCALE, ESTIMATE_EXTRA, EXTRA, Column

from .focus import column_list, quoted

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 50_000


def counted_sql(period: Period | None = None) -> str:
    """The condition for a row to be in the report's total."""
    known = f"(x_Reason IS NULL OR starts_with(x_Reason, {literal(COUNTED)}))"
    if period is None:
        return known
    return f"{known} AND {in_period(period)}"


def in_period(period: Period) -> str:
    """The condition for a row to belong to the month's bill."""
    month = f"coalesce(BillingPeriodStart, ChargePeriodStart, TIMESTAMP '{period.start}')"
    return f"{month} >= TIMESTAMP '{period.start}' AND {month} < TIMESTAMP '{period.end}'"


def schema(columns: tuple[Column, ...]) -> pa.Schema:
    """The Arrow schema: decimal128(38,12), UTC timestamps, strings."""
    import pyarrow as pa

    types = {
        "decimal": pa.decimal128(38, DECIMAL_SCALE),
        "datetime": pa.timestamp("us", tz="UTC"),
        "string": pa.string(),
        "json": pa.string(),
    }
    return pa.schema([(column.name, types[column.kind]) for column in columns])


def write_rows(bills: Bills, period: Period, csv_path: Path, parquet_path: Path) -> int:
    """Every counted row of the month as CSV and Parquet; how many."""
    columns = (*COLUMNS, *EXTRA)
    selected = ", ".join(
        f"strftime({c.name}, '%Y-%m-%dT%H:%M:%SZ') AS {c.name}" if c.kind == "datetime" else c.name
        for c in columns
    )
    condition = counted_sql(period)
    bills.run(
        f"COPY (SELECT {selected} FROM {bills.view} WHERE {condition}) "
        f"TO {literal(str(csv_path))} (HEADER, DELIMITER ',')"
    )
    names = quoted(column.name for column in columns)
    relation = bills.connection.sql(f"SELECT {names} FROM {bills.view} WHERE {condition}")
    return _parquet(relation, columns, parquet_path)


def _parquet(relation: Any, columns: tuple[Column, ...], path: Path) -> int:
    import pyarrow.parquet as pq

    count = 0
    target = schema(columns)
    with pq.ParquetWriter(path, target, compression="zstd") as writer:
        for batch in relation.to_arrow_reader(_BATCH_ROWS):
            count += batch.num_rows
            writer.write_batch(batch.cast(target))
    return count


def write_estimate(rows: list[dict[str, Any]], csv_path: Path, parquet_path: Path) -> None:
    """Rows of an estimate in the FOCUS shape, with the columns that say it is one.

    A row gives what it knows by column name; BilledCost is the forecast for the period.
    """
    import pyarrow as pa
    import pyarrow.compute as clock
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    target = schema((*COLUMNS, *ESTIMATE_EXTRA))
    columns = [pa.array([row.get(field.name) for row in rows], type=field.type) for field in target]
    table = pa.Table.from_arrays(columns, schema=target)
    pq.write_table(table, str(parquet_path), compression="zstd")
    texts = [
        clock.strftime(column.cast(pa.timestamp("s", tz="UTC")), "%Y-%m-%dT%H:%M:%SZ")
        if pa.types.is_timestamp(field.type)
        else column.cast(pa.string())
        for column, field in zip(table.columns, target, strict=True)
    ]
    pc.write_csv(pa.Table.from_arrays(texts, names=target.names), str(csv_path))


# Column names that focus-validator 1.0.0 still looks for: its 1.0 rules were made from the draft.
_DRAFT_NAMES = {
    "InvoiceIssuer": "InvoiceIssuerName",
    "Provider": "ProviderName",
    "Publisher": "PublisherName",
    "ResourceID": "ResourceId",
    "ChargeType": "ChargeCategory",
}


def write_focus_1_0(source: Path, target: Path, *, draft_names: bool = False) -> None:
    """A FOCUS 1.2 CSV of this project with the columns of FOCUS 1.0 only, for older readers.

    ``draft_names`` repeats five columns under the names of the specification's draft, for
    focus-validator 1.0.0.
    """
    names = column_list("1.0")
    origin = dict.fromkeys(names) | (_DRAFT_NAMES if draft_names else {})
    with (
        source.open(newline="", encoding="utf-8") as read,
        target.open("w", newline="", encoding="utf-8") as write,
    ):
        writer = csv.writer(write, lineterminator="\n")
        writer.writerow(origin)
        for row in csv.DictReader(read):
            writer.writerow([row[old or name] for name, old in origin.items()])
