"""Shares out what several teams or workloads use together, by rules, losing nothing.

Every rule takes the lines it matches out of the direct costs and gives their sum, to the last
digit (largest remainder), to targets by fixed shares, in proportion to direct cost, or by
accelerator-hours. What no weight can be found for stays where it was, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from cost.money import allocate, parse
from infra.core.errors import BadInput, Problem

METHODS: Final = ("fixed", "proportional", "accelerator_hours")
_QUANTUM: Final = Decimal("1e-12")


@dataclass(frozen=True)
class Line:
    """An amount with its dimensions (team, environment, workload, service, …)."""

    dimensions: Mapping[str, str]
    cost: Decimal
    accelerator_hours: Decimal = Decimal(0)


@dataclass(frozen=True)
class Rule:
    """Give the lines that ``match`` (an empty value matches what carries none) to ``to``'s values.

    ``by`` is one of :data:`METHODS`; ``shares`` are the weights of ``fixed``.
    """

    name: str
    match: Mapping[str, str]
    by: str = "proportional"
    to: str = "team"
    shares: Mapping[str, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.by not in METHODS:
            raise BadInput(
                Problem(f"no method {self.by!r}", path=self.name, expected=", ".join(METHODS))
            )
        if (self.by == "fixed") != bool(self.shares):
            raise BadInput(Problem("shares go with 'fixed', and only with it", path=self.name))
        if not self.match:
            raise BadInput(
                Problem("a rule that matches everything leaves nothing direct", path=self.name)
            )

    def matches(self, line: Line) -> bool:
        """Whether the line is shared under this rule."""
        return all(line.dimensions.get(key, "") == value for key, value in self.match.items())


@dataclass(frozen=True)
class Allocated:
    """What one target bears: its own lines and what each rule gave it."""

    target: str
    direct: Decimal
    shared: Mapping[str, Decimal]

    @property
    def total(self) -> Decimal:
        """Direct and shared together."""
        return self.direct + sum(self.shared.values(), Decimal(0))


@dataclass(frozen=True)
class Allocation:
    """All targets; ``notes`` say which rules found nothing to weigh by."""

    rows: tuple[Allocated, ...]
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> Decimal:
        """The sum, equal to that of the lines."""
        return sum((row.total for row in self.rows), Decimal(0))


def allocate_shared(lines: Sequence[Line], rules: Sequence[Rule], to: str = "team") -> Allocation:
    """Allocate to the values of ``to``. A line goes by the first rule that matches it.

    The sum of the result is the sum of the lines exactly.
    """
    rules = [rule for rule in rules if rule.to == to]
    pools: dict[str, Decimal] = {}
    direct: dict[str, Decimal] = {}
    weights: dict[str, dict[str, Decimal]] = {method: {} for method in METHODS}
    for line in lines:
        rule = next((rule for rule in rules if rule.matches(line)), None)
        if rule is not None:
            pools[rule.name] = pools.get(rule.name, Decimal(0)) + line.cost
            continue
        target = line.dimensions.get(to, "")
        direct[target] = direct.get(target, Decimal(0)) + line.cost
        if target:
            hours = weights["accelerator_hours"]
            hours[target] = hours.get(target, Decimal(0)) + line.accelerator_hours
    weights["proportional"] = {t: max(v, Decimal(0)) for t, v in direct.items() if t}
    shared: dict[str, dict[str, Decimal]] = {}
    notes: list[str] = []
    for rule in rules:
        if rule.name not in pools:
            continue
        by = dict(rule.shares) if rule.by == "fixed" else weights[rule.by]
        if not sum(by.values(), Decimal(0)):
            notes.append(f"{rule.name}: nothing to allocate by ({rule.by.replace('_', ' ')} is 0)")
            direct[""] = direct.get("", Decimal(0)) + pools[rule.name]
            continue
        for target, share in allocate(pools[rule.name], by, _QUANTUM).items():
            shared.setdefault(target, {})[rule.name] = share
    rows = [
        Allocated(target, direct.get(target, Decimal(0)), shared.get(target, {}))
        for target in {**direct, **shared}
    ]
    rows.sort(key=lambda row: (-row.total, row.target))
    return Allocation(tuple(rows), tuple(notes))


def load_rules(entries: Sequence[Rule | Mapping[str, Any]]) -> list[Rule]:
    """Rules from mappings with the fields of :class:`Rule`."""
    rules = []
    for entry in entries:
        if isinstance(entry, Rule):
            rules.append(entry)
            continue
        try:
            shares = {k: parse(v, "a share") for k, v in entry.get("shares", {}).items()}
            rules.append(Rule(**{**entry, "shares": shares}))
        except TypeError as error:
            raise BadInput(
                Problem(
                    f"an allocation rule can't be read ({error})", expected="name, match, by, to"
                )
            ) from error
    return rules
