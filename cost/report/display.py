"""Amounts as people read them: cents that add up, signs, shares, months."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from cost.money import CENT, to_cents, total

_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
OTHERS: Final = "all others"


def cents(amounts: Sequence[Decimal]) -> list[Decimal]:
    """The amounts in cents, so rounded that they add up to their sum's cents (largest remainder).

    Each is less than a cent from its own value.
    """
    floors = [amount.quantize(CENT, ROUND_FLOOR) for amount in amounts]
    missing = int((to_cents(total(amounts)) - total(floors)) / CENT)
    order = sorted(range(len(amounts)), key=lambda i: floors[i] - amounts[i])
    for index in order[:missing]:
        floors[index] += CENT
    return floors


def money(amount: Decimal, currency: str, *, signed: bool = False) -> str:
    """``$1,234.50``, ``-€3.00``, ``+CHF 2.00``."""
    rounded = to_cents(amount)
    sign = "-" if rounded < 0 else "+" if signed and rounded > 0 else ""
    unit = _SYMBOLS.get(currency, f"{currency} ")
    return f"{sign}{unit}{abs(rounded):,.2f}".replace("-", "\N{MINUS SIGN}")


def percent(part: Decimal, whole: Decimal, *, signed: bool = False) -> str:
    """A share in whole per cent (one decimal below ten); a dash when there is no whole."""
    if not whole:
        return "–"
    value = float(part / whole * 100)
    digits = 1 if abs(value) < 10 else 0
    text = f"{value:+.{digits}f}%" if signed else f"{value:.{digits}f}%"
    return text.replace("-", "\N{MINUS SIGN}")


def month_name(day: date) -> str:
    """``October 2026``, whatever the machine's language."""
    names = "January February March April May June July August September October November December"
    return f"{names.split()[day.month - 1]} {day.year}"


def top(rows: Sequence[tuple[str, Decimal]], most: int) -> list[tuple[str, Decimal]]:
    """The first rows, and one for all others so that nothing is lost."""
    if len(rows) <= most:
        return list(rows)
    return [*rows[: most - 1], (OTHERS, total(amount for _, amount in rows[most - 1 :]))]
