"""FOCUS exports (AWS, Azure, GCP, or this project's own), taken as they are.

A FOCUS bill is the provider's statement: nothing is mended, only missing columns become null.
"""

from __future__ import annotations

from collections.abc import Mapping

from ._sql import decimal, moment, text_or_null
from .columns import COLUMNS, DECIMAL_SQL, Column
from .sources import Opened


def select(opened: Opened) -> Mapping[str, str]:
    """FOCUS column -> SQL expression over the file's own columns."""
    return {column.name: _expression(opened, column) for column in COLUMNS}


def _expression(opened: Opened, column: Column) -> str:
    key = column.name.lower()
    source = opened.columns.get(key)
    if source is None:
        return "NULL"
    held = opened.types.get(key, "VARCHAR")
    if column.kind == "decimal":
        return source if held == DECIMAL_SQL else decimal(source, comma=opened.comma)
    if column.kind == "datetime":
        return _moment(source, held)
    if held.startswith(("MAP", "STRUCT")):
        return f"CAST(to_json({source}) AS VARCHAR)"
    return source if held == "VARCHAR" and opened.format == "parquet" else text_or_null(source)


def _moment(source: str, held: str) -> str:
    if held == "TIMESTAMP":
        return source
    return f"CAST({source} AS TIMESTAMP)" if held.startswith("TIMESTAMP") else moment(source)
