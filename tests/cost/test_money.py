"""Totals are conserved under split, merge, allocation and currency."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost import money
from infra.core.errors import BadInput

AMOUNTS = st.decimals(
    min_value=Decimal("-1e12"), max_value=Decimal("1e12"), places=10, allow_nan=False
)
RATES = st.decimals(min_value=Decimal("0.001"), max_value=Decimal("20000"), places=6)
WEIGHTS = st.lists(st.decimals(min_value=0, max_value=Decimal("1e6"), places=4), min_size=1)
NINE_PLACES = Decimal("1e-9")


@given(AMOUNTS, st.integers(min_value=1, max_value=97))
def test_split_conserves_and_is_even(amount: Decimal, parts: int) -> None:
    shares = money.split(amount, parts)
    assert money.total(shares) == amount
    assert max(shares) - min(shares) <= money.ROW_QUANTUM


@given(AMOUNTS, WEIGHTS, st.sampled_from([money.ROW_QUANTUM, money.CENT]))
def test_allocation_conserves_and_is_proportional(
    amount: Decimal, weights: list[Decimal], quantum: Decimal
) -> None:
    if not any(weights):
        with pytest.raises(BadInput, match="all weights are zero"):
            money.allocate(amount, dict(enumerate(weights)))
        return
    shares = money.allocate(amount, dict(enumerate(weights)), quantum)
    assert money.total(shares.values()) == amount
    whole = money.total(weights)
    for index, weight in enumerate(weights):
        assert abs(shares[index] - money.multiply(amount, weight) / whole) <= 2 * quantum


@given(st.lists(st.tuples(st.sampled_from("abc"), AMOUNTS)))
def test_merge_conserves(pairs: list[tuple[str, Decimal]]) -> None:
    merged = money.total_by(pairs)
    assert money.total(merged.values()) == money.total(amount for _, amount in pairs)


@given(st.lists(AMOUNTS, min_size=1, max_size=50), RATES, RATES)
def test_conversion_conserves(amounts: list[Decimal], euro: Decimal, yen: Decimal) -> None:
    rates = money.Rates({"EUR": euro, "JPY": yen}, date(2026, 10, 1), "a bank's table")
    rows = rates.convert_rows(amounts, "EUR", "JPY")
    whole = rates.convert(money.total(amounts), "EUR", "JPY")
    assert money.total(rows) == money.to_row(whole)
    assert abs(money.total(rows) - whole) <= NINE_PLACES
    back = money.total(rates.convert(row, "JPY", "EUR") for row in rows)
    assert abs(back - money.total(amounts)) <= NINE_PLACES + money.ROW_QUANTUM * euro / yen


def test_a_row_is_rounded_once() -> None:
    once = money.to_row(Decimal("0.12345678905"))
    assert once == Decimal("0.1234567890")
    assert money.to_row(once) == once
    assert money.to_cents(Decimal("32.845")) == Decimal("32.85")
    assert money.to_cents(Decimal("-0.005")) == Decimal("-0.01")


def test_tie_goes_to_the_earlier_key() -> None:
    assert money.allocate(Decimal("0.03"), {"a": 1, "b": 1}, money.CENT) == {
        "a": Decimal("0.02"),
        "b": Decimal("0.01"),
    }


@pytest.mark.parametrize("bad", ["", "NaN", "inf", "1,5", "12 USD", 0.1, True, None])
def test_no_amount(bad: str) -> None:
    with pytest.raises(BadInput):
        money.parse(bad)


def test_amounts_are_read() -> None:
    assert money.parse(" 12.50 ") == money.parse(Decimal("12.5"))
    assert money.parse(3) == Decimal(3)


def test_missing_and_absurd_rates_are_refused() -> None:
    rates = money.Rates({"EUR": Decimal("0.9")}, date(2026, 10, 1), "a bank's table")
    assert rates.convert(Decimal(9), "EUR") == Decimal(10)
    with pytest.raises(BadInput, match="no exchange rate from CHF to USD for 2026-10-01"):
        rates.convert(Decimal(1), "CHF")
    with pytest.raises(BadInput, match="rate of EUR is 0"):
        money.Rates({"EUR": Decimal(0)}, date(2026, 10, 1), "x")


def test_what_cannot_be_allocated() -> None:
    with pytest.raises(BadInput, match="negative"):
        money.allocate(Decimal(1), {"a": -1})
    with pytest.raises(BadInput, match="steps of 0"):
        money.allocate(Decimal(1), {"a": 1}, Decimal(0))
    with pytest.raises(BadInput, match="0 parts"):
        money.split(Decimal(1), 0)
