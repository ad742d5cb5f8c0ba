"""Small builders of SQL text: quoting, casts that never throw, dates in several customs."""

from __future__ import annotations

from pathlib import Path

from .columns import DECIMAL_SQL


def literal(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def path_literal(path: Path) -> str:
    """A file's path as a SQL literal."""
    return literal(str(path))


def text_or_null(expression: str) -> str:
    """Text with the empty string (how CSV spells a missing value) as null."""
    return f"nullif(CAST({expression} AS VARCHAR), '')"


def decimal(expression: str, *, comma: bool = False) -> str:
    """A decimal, or null when unreadable; ``comma`` reads ``1.234,56``."""
    if comma:
        expression = f"replace(replace(CAST({expression} AS VARCHAR), '.', ''), ',', '.')"
    return f"TRY_CAST({expression} AS {DECIMAL_SQL})"


def moment(expression: str, *, day_first: bool = False) -> str:
    """A UTC timestamp, or null when unreadable.

    ISO 8601 with or without offset (without means UTC, as the clouds document), ``10/31/2026`` as
    the Azure exports write it (or ``31/10/2026`` when ``day_first``) and ``31.10.2026``. An
    offset is honoured, so that the hour that a clock change repeats is two different hours here.
    """
    text = f"CAST({expression} AS VARCHAR)"
    order = "'%d/%m/%Y', '%d/%m/%y'" if day_first else "'%m/%d/%Y', '%m/%d/%y'"
    return (
        f"CASE WHEN contains({text}, '/') THEN try_strptime({text}, [{order}]) "
        f"WHEN regexp_matches({text}, '^[0-9]{{1,2}}\\.[0-9]{{1,2}}\\.') "
        f"THEN try_strptime({text}, ['%d.%m.%Y', '%d.%m.%y']) "
        f"ELSE CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS TIMESTAMP) END"
    )


def month_start(expression: str) -> str:
    """First instant of the month that a timestamp lies in."""
    return f"date_trunc('month', {expression})"


def next_month(expression: str) -> str:
    """First instant of the following month."""
    return f"date_trunc('month', {expression}) + INTERVAL 1 MONTH"
