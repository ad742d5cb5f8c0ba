"""What a change costs: two estimates side by side, resource by resource."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cost import money
from cost.estimate.model import Estimate, Outcome, Priced


@dataclass(frozen=True)
class Change:
    """One resource in A and in B; None where it isn't."""

    before: Priced | None
    after: Priced | None

    @property
    def _one(self) -> Priced:
        one = self.after or self.before
        assert one is not None
        return one

    @property
    def name(self) -> str:
        """The resource's name and short type."""
        return f"{self._one.resource.name} ({self._one.resource.type.rsplit(':', maxsplit=1)[-1]})"

    @property
    def kind(self) -> str:
        """added, removed, changed or same."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        same = self.before.usd_per_month == self.after.usd_per_month
        return "same" if same and self.before.outcome is self.after.outcome else "changed"

    @property
    def usd_before(self) -> Decimal:
        """USD a month in A."""
        return self.before.usd_per_month if self.before else Decimal(0)

    @property
    def usd_after(self) -> Decimal:
        """USD a month in B."""
        return self.after.usd_per_month if self.after else Decimal(0)

    @property
    def usd_delta(self) -> Decimal:
        """B less A."""
        return money.total((self.usd_after, self.usd_before.copy_negate()))

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self._one.resource.name,
            "type": self._one.resource.type,
            "change": self.kind,
            "usd_before": str(self.usd_before),
            "usd_after": str(self.usd_after),
            "usd_delta": str(self.usd_delta),
            "outcome_before": self.before.outcome.value if self.before else None,
            "outcome_after": self.after.outcome.value if self.after else None,
        }


@dataclass(frozen=True)
class Difference:
    """Every resource of both; the deltas add up to the difference of the totals."""

    a: Estimate
    b: Estimate
    changes: tuple[Change, ...]

    @property
    def usd_delta(self) -> Decimal:
        """Total of B less total of A."""
        return money.total(change.usd_delta for change in self.changes)

    @property
    def relevant(self) -> tuple[Change, ...]:
        """What isn't the same, dearest change first."""
        found = [change for change in self.changes if change.kind != "same"]
        return tuple(sorted(found, key=lambda change: (-abs(change.usd_delta), change.name)))

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "a": self.a.stack,
            "b": self.b.stack,
            "currency": "USD",
            "usd_before": str(self.a.usd_per_month),
            "usd_after": str(self.b.usd_per_month),
            "usd_delta": str(self.usd_delta),
            "refused_before": len(self.a.of(Outcome.REFUSED)),
            "refused_after": len(self.b.of(Outcome.REFUSED)),
            "changes": [change.as_json() for change in self.relevant],
        }


def diff(a: Estimate, b: Estimate) -> Difference:
    """Pair the resources by type, parent's type path and name, whatever their stacks are called."""
    before = {_identity(item): item for item in a.resources}
    after = {_identity(item): item for item in b.resources}
    keys = dict.fromkeys([*before, *after])
    return Difference(a, b, tuple(Change(before.get(key), after.get(key)) for key in keys))


def _identity(item: Priced) -> str:
    """The URN without its stack and project."""
    return item.resource.urn.split("::", maxsplit=2)[-1].replace(f"-{_stack(item)}", "")


def _stack(item: Priced) -> str:
    return item.resource.urn.split("::", maxsplit=1)[0].rsplit(":", maxsplit=1)[-1]
