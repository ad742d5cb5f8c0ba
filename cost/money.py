"""Money as ``Decimal``: read it, round it once, share it out so that nothing is lost.

Amounts are computed unrounded, rounded once where they become a row (``to_row``) and only ever
added after that, so that every total equals the sum of what is under it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import (
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    InvalidOperation,
    localcontext,
)
from typing import TypeVar

from infra.core.errors import BadInput, Problem

ROW_QUANTUM = Decimal("1e-10")
"""Precision of a row: the finest that the clouds' own price lists use."""

CENT = Decimal("0.01")

_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""60 digits hold 10^40 USD to 1e-10 and a product of two amounts without loss."""

_Key = TypeVar("_Key", bound=Hashable)


def parse(value: str | int | Decimal, what: str = "amount") -> Decimal:
    """A finite amount. BadInput for floats, empty text, NaN, infinities and anything else.

    A float is refused since 0.1 + 0.2 isn't 0.3: convert it where its decimal text is known.
    """
    try:
        if isinstance(value, bool | float):
            raise InvalidOperation
        amount = Decimal(value.strip() if isinstance(value, str) else value)
    except (InvalidOperation, ValueError, TypeError):
        raise BadInput(
            Problem(f"{what} {value!r} is no amount", expected="a decimal number such as 12.34")
        ) from None
    if not amount.is_finite():
        raise BadInput(Problem(f"{what} is {amount}", expected="a finite decimal number"))
    return amount


def multiply(*factors: Decimal | int) -> Decimal:
    """The product, unrounded up to 60 digits."""
    product = Decimal(1)
    for factor in factors:
        product = _EXACT.multiply(product, Decimal(factor))
    return product


def to_row(amount: Decimal) -> Decimal:
    """The amount as a row holds it: half-even to 1e-10. Idempotent."""
    return amount.quantize(ROW_QUANTUM, context=_EXACT)


def to_cents(amount: Decimal) -> Decimal:
    """For display only: half away from zero to the cent, as the clouds' calculators and bills do."""
    return amount.quantize(CENT, ROUND_HALF_UP, _EXACT)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    with localcontext(_EXACT):
        return sum(amounts, Decimal(0))


def total_by(pairs: Iterable[tuple[_Key, Decimal]]) -> dict[_Key, Decimal]:
    """Exact sums by key, in order of first appearance."""
    sums: dict[_Key, Decimal] = {}
    with localcontext(_EXACT):
        for key, amount in pairs:
            sums[key] = sums.get(key, Decimal(0)) + amount
    return sums


def allocate(
    amount: Decimal, weights: Mapping[_Key, Decimal | int], quantum: Decimal = ROW_QUANTUM
) -> dict[_Key, Decimal]:
    """Shares of ``amount`` in proportion to ``weights`` that add up to it exactly.

    Largest remainder (Hamilton): each gets its floor in units of ``quantum``, the units left go
    to the greatest remainders, the earlier key first on a tie. What ``amount`` has below one
    quantum stays with the greatest weight. Negative amounts (credits) mirror positive ones.
    BadInput when a weight is negative or not finite, or all are zero.
    """
    shares = {key: Decimal(weight) for key, weight in weights.items()}
    if any(not share.is_finite() or share < 0 for share in shares.values()):
        raise BadInput(Problem("a weight is negative or not a number", expected="weights >= 0"))
    if not amount.is_finite() or quantum <= 0:
        raise BadInput(Problem(f"can't allocate {amount} in steps of {quantum}"))
    with localcontext(_EXACT):
        whole = sum(shares.values(), Decimal(0))
        if whole == 0:
            raise BadInput(
                Problem("nothing to allocate by: all weights are zero", expected="one weight > 0")
            )
        sign = -1 if amount < 0 else 1
        units = int((abs(amount) / quantum).to_integral_value(ROUND_FLOOR))
        ideal = {key: units * share / whole for key, share in shares.items()}
        parts = {key: int(value) for key, value in ideal.items()}
        order = sorted(shares, key=lambda key: parts[key] - ideal[key])
        for key in order[: units - sum(parts.values())]:
            parts[key] += 1
        out = {key: sign * part * quantum for key, part in parts.items()}
        out[max(shares, key=shares.__getitem__)] += amount - sign * units * quantum
    return out


def split(amount: Decimal, parts: int, quantum: Decimal = ROW_QUANTUM) -> list[Decimal]:
    """``parts`` shares as equal as ``quantum`` allows that add up to ``amount`` exactly."""
    if parts < 1:
        raise BadInput(Problem(f"can't split into {parts} parts", expected="at least 1"))
    return list(allocate(amount, dict.fromkeys(range(parts), 1), quantum).values())


@dataclass(frozen=True)
class Rates:
    """Exchange rates of one day: ``per_base[c]`` units of currency ``c`` buy one unit of ``base``.

    Currencies are ISO 4217 codes. Rates are given, never looked up; a missing one is BadInput.
    """

    per_base: Mapping[str, Decimal]
    as_of: date
    source: str
    base: str = "USD"

    def __post_init__(self) -> None:
        for code, rate in self.per_base.items():
            if not rate.is_finite() or rate <= 0:
                raise BadInput(Problem(f"the rate of {code} is {rate}", expected="a rate > 0"))

    def _rate(self, currency: str) -> Decimal:
        if currency == self.base:
            return Decimal(1)
        try:
            return self.per_base[currency]
        except KeyError:
            raise BadInput(
                Problem(
                    f"no exchange rate from {currency} to {self.base} for {self.as_of}",
                    expected=f"one of {', '.join(sorted({self.base, *self.per_base}))}",
                    fix=f"give a rate for {currency}, with its day and source",
                )
            ) from None

    def convert(self, amount: Decimal, currency: str, into: str | None = None) -> Decimal:
        """The amount in ``into`` (the base unless given), unrounded: round it at the row."""
        with localcontext(_EXACT):
            return amount * self._rate(into or self.base) / self._rate(currency)

    def convert_rows(
        self, amounts: Sequence[Decimal], currency: str, into: str | None = None
    ) -> list[Decimal]:
        """The rows converted and rounded so that they add up to the converted, rounded total.

        Each is at most one ``ROW_QUANTUM`` away from its own conversion.
        """
        exact = [self.convert(amount, currency, into) for amount in amounts]
        floors = [value.quantize(ROW_QUANTUM, ROUND_FLOOR, _EXACT) for value in exact]
        with localcontext(_EXACT):
            missing = to_row(total(exact)) - total(floors)
            steps = int(missing / ROW_QUANTUM)
            order = sorted(range(len(exact)), key=lambda index: floors[index] - exact[index])
            for index in order[:steps]:
                floors[index] += ROW_QUANTUM
        return floors
