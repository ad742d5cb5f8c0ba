"""Compares the bill with the plan: by workload, and as a bridge that adds up to the cent."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from cost.budget import read_json
from cost.money import Rates, parse, to_row, total
from infra.core.errors import BadInput, Problem

from .model import UNTAGGED, ReportLine, UnitCost, Variance

Key = tuple[str, str, str]
_AMOUNTS: Final = ("amount", "monthly", "BilledCost")


@dataclass(frozen=True)
class Planned:
    """One line of an estimate, in the report's currency."""

    team: str
    environment: str
    workload: str
    amount: Decimal

    @property
    def key(self) -> Key:
        """What it is compared by."""
        return self.team, self.environment, self.workload


def load_estimate(source: Any, currency: str, rates: Rates | None) -> list[Planned]:
    """An estimate's lines: a JSON file ``{"currency", "lines": [...]}``, a FOCUS CSV, or mappings.

    A line has ``amount`` (or ``monthly``, or ``BilledCost``) and team, environment and workload,
    also as a FOCUS row's Tags.
    """
    where, own = None, currency
    if isinstance(source, str | Path):
        where = str(source)
        source = _read(Path(source))
    if isinstance(source, Mapping):
        own = str(source.get("currency", currency))
        source = source.get("lines", [])
    return [_planned(line, where, own, currency, rates) for line in source]


def _read(path: Path) -> Any:
    if path.suffix == ".json":
        return read_json(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise BadInput(Problem(f"can't be read ({error.strerror})", file=str(path))) from error


def _planned(
    line: Mapping[str, Any], where: str | None, own: str, currency: str, rates: Rates | None
) -> Planned:
    given = next((line[name] for name in _AMOUNTS if line.get(name) not in {None, ""}), None)
    if given is None:
        raise BadInput(
            Problem(f"a line of the estimate has no amount: {dict(line)}", file=where,
                    expected=" or ".join(_AMOUNTS))
        )  # fmt: skip
    amount = parse(given, "the estimate's amount")
    held = str(line.get("BillingCurrency") or line.get("currency") or own)
    if held != currency:
        if rates is None:
            raise BadInput(
                Problem(f"the estimate is in {held} and there is no rate to {currency}", file=where,
                        fix=f"give a rate for {held}")
            )  # fmt: skip
        amount = rates.convert(amount, held, currency)
    tags = _tags(line)
    team, environment, workload = (
        str(line.get(key) or tags.get(key) or UNTAGGED)
        for key in ("team", "environment", "workload")
    )
    return Planned(team, environment, workload, amount)


def _tags(line: Mapping[str, Any]) -> Mapping[str, Any]:
    import json

    try:
        tags = json.loads(line.get("Tags") or "{}")
    except (TypeError, ValueError):
        return {}
    return tags if isinstance(tags, dict) else {}


def compare(
    planned: Sequence[Planned], lines: Sequence[ReportLine], to_come: Fraction = Fraction(0)
) -> tuple[list[Variance], list[tuple[str, Decimal]]]:
    """Variance by workload and the bridge from the estimate to the actual total.

    Bridge steps sum to actual less estimate exactly: the plan's share of the days ``to_come``
    (pro rata), more or less use of what was planned, use that was not planned, plans that weren't
    used, and credits, tax, purchases and adjustments.
    """
    expected: dict[Key, Decimal] = {}
    for plan in planned:
        expected[plan.key] = expected.get(plan.key, Decimal(0)) + plan.amount
    actual: dict[Key, Decimal] = {}
    used: dict[Key, Decimal] = {}
    other: dict[str, Decimal] = {}
    for line in lines:
        key = (line.team, line.environment, line.workload)
        actual[key] = actual.get(key, Decimal(0)) + line.cost
        if line.category == "Usage":
            used[key] = used.get(key, Decimal(0)) + line.cost
        else:
            other[line.category] = other.get(line.category, Decimal(0)) + line.cost
    rows = [
        Variance(*key, expected.get(key, Decimal(0)), actual.get(key, Decimal(0)),
                 _why(key, expected, used))
        for key in {**expected, **actual}
    ]  # fmt: skip
    rows.sort(key=lambda v: (-abs(v.difference), v.team, v.environment, v.workload))
    planned_keys = expected.keys() & used.keys()
    planned_use = total(expected[k] for k in planned_keys)
    later = to_row(planned_use * to_come.numerator / to_come.denominator)
    used_planned = total(used[k] for k in planned_keys)
    steps = [
        ("days to come, pro rata", -later),
        ("use against the plan", used_planned - (planned_use - later)),
        ("used without a plan", total(v for k, v in used.items() if k not in expected)),
        ("planned and not used", -total(v for k, v in expected.items() if k not in used)),
        *((f"{name.lower()}s" if name != "Tax" else "tax", v) for name, v in sorted(other.items())),
    ]
    return rows, [step for step in steps if step[1]] or [("no difference", Decimal(0))]


def _why(key: Key, expected: Mapping[Key, Decimal], used: Mapping[Key, Decimal]) -> str:
    if key not in expected:
        return "not in the estimate" if key in used else "credits, tax or adjustments only"
    if key not in used:
        return "planned, not used"
    return "used as planned" if used[key] == expected[key] else "usage differs"


def load_units(source: Any, lines: Sequence[ReportLine]) -> list[UnitCost]:
    """Unit costs from counts: a JSON or CSV file, or mappings of workload, unit and count."""
    if source is None:
        return []
    entries = _read(Path(source)) if isinstance(source, str | Path) else source
    costs: dict[str, Decimal] = {}
    for line in lines:
        costs[line.workload] = costs.get(line.workload, Decimal(0)) + line.cost
    found = []
    for entry in entries:
        try:
            workload, unit, count = entry["workload"], entry["unit"], entry["count"]
        except (KeyError, TypeError) as error:
            raise BadInput(
                Problem(f"a unit count can't be read: {entry}", expected="workload, unit, count")
            ) from error
        amount = parse(count, f"the count of {unit}")
        if amount < 0:
            raise BadInput(Problem(f"the count of {unit} is {amount}", path=workload))
        found.append(UnitCost(workload, unit, amount, costs.get(workload, Decimal(0))))
    return found
