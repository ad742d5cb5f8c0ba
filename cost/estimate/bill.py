"""The sheet on which a resolver writes the charges of one resource, and reads its inputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from cost import money
from cost.catalog import HOURS_PER_MONTH
from cost.estimate.model import Charge, Outcome, Priced, Resource
from cost.estimate.pricebook import Price, PriceBook
from cost.estimate.registry import normalise

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes for a value that it can't know before ``up``."""
_SECRET = "[secret]"  # noqa: S105  the engine's mark, not a secret
_SECRET_KEY = "4dabf18193072939515e22adb298388d"  # noqa: S105  marks a secret in an exported state

Number = int | Decimal


class CannotPrice(Exception):
    """A resolver can't go on: a value is unknown or makes no sense."""


def is_unknown(value: Any) -> bool:
    """Whether the engine doesn't know it yet, or won't say it."""
    if isinstance(value, dict):
        return _SECRET_KEY in value
    return isinstance(value, str) and (UNKNOWN in value or value == _SECRET)


def snake(name: str) -> str:
    """``machineType`` -> ``machine_type``: how the usage file spells an input."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Stack:
    """All resources of a preview, so that a node pool finds its cluster."""

    def __init__(self, resources: Sequence[Resource], config: Mapping[str, str]) -> None:
        self.resources = resources
        self.config = config
        self._by_urn = {resource.urn: resource for resource in resources}

    def by_urn(self, urn: str) -> Resource | None:
        """The resource of that URN."""
        return self._by_urn.get(urn)

    def of_type(self, token: str) -> list[Resource]:
        """All of a type."""
        return [item for item in self.resources if normalise(item.type) == token]

    def related(self, resource: Resource, token: str) -> Resource | None:
        """The resource of type ``token`` that this one depends on; else the only one there is."""
        for urn in (*resource.dependencies, resource.parent):
            other = self._by_urn.get(urn)
            if other is not None and normalise(other.type) == token:
                return other
        every = self.of_type(token)
        return every[0] if len(every) == 1 else None


class Bill:
    """Inputs are read through it, so that an unknown one becomes a refusal that names it.

    The usage file may give any input that is unknown, in snake case.
    """

    def __init__(self, resource: Resource, stack: Stack, book: PriceBook, region: str) -> None:
        self.resource = resource
        self.stack = stack
        self.book = book
        self.region = region
        self._charges: list[Charge] = []
        self._refusals: list[str] = []
        self._free = ""

    # --- reading -------------------------------------------------------------------------------

    def value(self, *path: str | int, default: Any = None) -> Any:
        """The input at that path, or ``default`` where it isn't set. CannotPrice when unknown."""
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        own = self.book.usage.quantity(self.resource, snake(name))
        if own is not None:
            return own
        found: Any = self.resource.inputs
        for part in path:
            if is_unknown(found):
                break
            if isinstance(part, int):
                found = found[part] if isinstance(found, list) and len(found) > part else None
            else:
                found = found.get(part) if isinstance(found, dict) else None
        if is_unknown(found):
            raise CannotPrice(
                f"{'.'.join(map(str, path))} isn't known before up; "
                f"give {snake(name)} for {self.resource.name} in the usage file"
            )
        return default if found is None else found

    def text(self, *path: str | int, default: str = "") -> str:
        """The input as text."""
        return str(self.value(*path, default=default))

    def number(self, *path: str | int, default: Number = 0) -> Decimal:
        """The input as a number >= 0."""
        value = self.value(*path, default=default)
        try:
            amount = money.parse(str(value))
        except Exception as error:
            raise CannotPrice(f"{'.'.join(map(str, path))} is {value!r}, no number") from error
        if amount < 0:
            raise CannotPrice(f"{'.'.join(map(str, path))} is {amount}")
        return amount

    def flag(self, *path: str | int) -> bool:
        """The input as a truth value; unset is false."""
        return bool(self.value(*path, default=False))

    def items(self, *path: str | int) -> list[dict[str, Any]]:
        """The input as a list of objects; one object counts as a list of one."""
        value = self.value(*path, default=[])
        listed = value if isinstance(value, list) else [value]
        return [item for item in listed if isinstance(item, dict)]

    def texts(self, *path: str | int, default: Sequence[str] = ()) -> list[str]:
        """The input as a list of texts; CannotPrice when one of them is unknown."""
        value = self.value(*path, default=list(default))
        if not isinstance(value, list):
            raise CannotPrice(f"{'.'.join(map(str, path))} is {value!r}, no list")
        if any(map(is_unknown, value)):
            raise CannotPrice(f"an entry of {'.'.join(map(str, path))} isn't known before up")
        return [str(item) for item in value]

    def count(self, *path: str | int) -> int:
        """How many entries a list has, whose values may be unknown; at least one."""
        value = self.value(*path, default=[])
        return max(len(value), 1) if isinstance(value, list) else 1

    # --- writing -------------------------------------------------------------------------------

    def free(self, reason: str) -> None:
        """Nothing is billed for this resource by itself."""
        self._free = reason

    def refuse(self, reason: str) -> None:
        """Something of this resource can't be priced; the charges so far stay, as a lower bound."""
        self._refusals.append(reason)

    def _add(
        self, name: str, quantity: Decimal, price: Price, *, usage: bool = False, note: str = ""
    ) -> None:
        notes = [text for text in (note, price.note) if text]
        self._charges.append(
            Charge(
                name=name,
                quantity=quantity,
                unit=price.unit,
                usd_per_unit=price.usd,
                source=price.source,
                as_of=price.as_of,
                price_region=price.region,
                sku=price.sku,
                usage=usage,
                note="; ".join(notes),
                stale=price.stale,
                derived=price.derived,
            )
        )

    def _price(self, key: str) -> Price | None:
        price = self.book.service(key, self.region)
        if price is None:
            self.refuse(
                f"no sourced price of {key} in {self.region or 'an unknown region'}; "
                f"give it under prices: in the usage file"
            )
        return price

    def monthly(self, name: str, key: str, quantity: Number, note: str = "") -> None:
        """``quantity`` units a month that the stack declares."""
        amount = Decimal(quantity)
        if amount and (price := self._price(key)):
            self._add(name, amount, price, note=note)

    def hourly(self, name: str, key: str, count: Number = 1, note: str = "") -> None:
        """``count`` of something that runs all month."""
        self.monthly(name, key, Decimal(count) * HOURS_PER_MONTH, note)

    def usage(self, name: str, key: str, usage_key: str, assumed: Number, what: str) -> None:
        """Units that depend on use: from the usage file, else ``assumed``, and said so."""
        own = self.book.usage.number(self.resource, usage_key)
        price = self._price(key)
        if price is None:
            return
        if own is None:
            note = f"assumed {Decimal(assumed):,} {what} ({usage_key} in the usage file)"
            self._add(name, Decimal(assumed), price, usage=True, note=note)
        else:
            self._add(name, own, price, usage=True, note=f"{own:,} {what} by the usage file")

    def machines(
        self, provider: str, types: Iterable[str], count: Number, spot: bool = False, note: str = ""
    ) -> None:
        """``count`` machines all month; of several types the dearest is assumed, and said so."""
        names = [name for name in types if name]
        own = self.book.usage.number(self.resource, "nodes")
        nodes = Decimal(count) if own is None else own
        if not names:
            self.refuse("no instance type is declared")
            return
        name, price = self.book.dearest(provider, self.region, names, spot)
        if price is None:
            self.refuse(
                f"no sourced price of {name} in {self.region or 'an unknown region'}; give "
                f"{provider}.machine.{name} under prices: in the usage file"
            )
            return
        notes = [note] if note else []
        if len(names) > 1:
            notes.append(f"the dearest of {', '.join(names)}")
        if own is not None:
            notes.append(f"{own:,} nodes by the usage file")
        elif not nodes:
            self.usage_nodes(name, price)
            return
        self._add(f"{'spot ' if spot else ''}{name} x {nodes:,}", nodes * HOURS_PER_MONTH, price,
                  usage=own is not None, note="; ".join(notes))  # fmt: skip

    def usage_nodes(self, name: str, price: Price) -> None:
        """A pool that starts at zero: its hours are use, and none are assumed."""
        note = "scales from zero: assumed 0 nodes (nodes in the usage file)"
        self._add(name, Decimal(0), price, usage=True, note=note)

    def own_machine(self, name: str, count: Decimal, why: str, usage_key: str) -> None:
        """``count`` of one's own machines all month, unless the usage file's ``usage_key`` says
        otherwise; ``why`` that many."""
        price = self.book.machine("onprem", self.region, name, spot=False)
        if price is None:
            self.refuse(f"no price of {name} on {self.region}")
            return
        given = self.book.usage.number(self.resource, usage_key)
        nodes = count if given is None else given
        note = f"{why} ({usage_key} in the usage file)"
        if given is not None:
            note = f"{given:,} nodes by the usage file"
        self._add(f"{name} x {nodes:,}", nodes * HOURS_PER_MONTH, price, usage=True, note=note)

    def result(self) -> Priced:
        """The outcome. A resource on which nothing was written is refused, never zero."""
        if not (self._charges or self._refusals or self._free):
            self.refuse("nothing on it could be priced")
        if self._refusals:
            outcome = Outcome.REFUSED
        elif not self._charges:
            outcome = Outcome.FREE
        elif any(charge.usage for charge in self._charges):
            outcome = Outcome.USAGE
        else:
            outcome = Outcome.PRICED
        reason = "; ".join(self._refusals) or (self._free if outcome is Outcome.FREE else "")
        return Priced(self.resource, outcome, self.region, tuple(self._charges), reason)
