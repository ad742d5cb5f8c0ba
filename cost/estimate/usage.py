"""The usage file: quantities that a stack doesn't declare, and prices that no catalogue has.

usage:
  lake: {storage_gib: 5000}                 # by resource name, URN or type; the nearest wins
  aws:s3/bucket:Bucket: {storage_gib: 100}
prices:
  aws.amp.samples: {usd_per_unit: "0.90", unit: 10M samples, source: invoice, as_of: 2026-10-01}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from cost import money
from cost.estimate.model import Resource
from infra.core.errors import BadInput, Problem


@dataclass(frozen=True)
class OwnPrice:
    """A price that the user vouches for. ``region`` "" holds everywhere."""

    usd_per_unit: Decimal
    unit: str
    source: str
    as_of: date
    region: str = ""


@dataclass
class Usage:
    """What was read; remembers which entries were asked for, so that a typo is told."""

    quantities: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    prices: Mapping[str, OwnPrice] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def quantity(self, resource: Resource, key: str) -> Any | None:
        """The figure for ``key`` of that resource, or None."""
        for name in (resource.urn, resource.name, resource.type):
            entry = self.quantities.get(name)
            if entry is not None and key in entry:
                self._taken.add(f"{name}.{key}")
                return entry[key]
        return None

    def number(self, resource: Resource, key: str) -> Decimal | None:
        """The same as a number; BadInput when it is none or negative."""
        value = self.quantity(resource, key)
        if value is None:
            return None
        amount = money.parse(str(value), f"usage {resource.name}.{key}")
        if amount < 0:
            raise BadInput(Problem(f"usage {resource.name}.{key} is {amount}", expected=">= 0"))
        return amount

    def price(self, key: str, region: str) -> OwnPrice | None:
        """The user's own price for that key, if it holds in the region."""
        own = self.prices.get(key)
        return own if own and own.region in {"", region} else None

    def unused(self) -> tuple[str, ...]:
        """Entries that no resource asked for."""
        every = {f"{name}.{key}" for name, entry in self.quantities.items() for key in entry}
        return tuple(sorted(every - self._taken))


def read_usage(path: Path | None) -> Usage:
    """The usage file, or an empty one. BadInput names what is wrong in it."""
    if path is None:
        return Usage()
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise BadInput(Problem(f"can't read the usage file: {error}", file=str(path))) from error
    unknown = set(document) - {"usage", "prices"} if isinstance(document, dict) else {"its root"}
    if unknown:
        raise BadInput(
            Problem(
                f"unknown: {', '.join(map(str, sorted(unknown)))}",
                file=str(path),
                expected="usage and prices (docs/estimate.md)",
            )
        )
    quantities = document.get("usage") or {}
    for name, entry in quantities.items():
        if not isinstance(entry, dict):
            raise BadInput(Problem(f"usage of {name} is no mapping", file=str(path)))
    prices = {
        str(key): _own_price(str(key), entry, path)
        for key, entry in (document.get("prices") or {}).items()
    }
    return Usage(quantities, prices)


def _own_price(key: str, entry: Any, path: Path) -> OwnPrice:
    try:
        as_of = entry["as_of"]
        price = OwnPrice(
            money.parse(str(entry["usd_per_unit"]), f"price of {key}"),
            str(entry["unit"]),
            str(entry["source"]),
            as_of if isinstance(as_of, date) else date.fromisoformat(str(as_of)),
            str(entry.get("region", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            Problem(
                f"the price of {key} lacks or garbles {error}",
                file=str(path),
                expected="usd_per_unit, unit, source, as_of (and region)",
            )
        ) from error
    if price.usd_per_unit < 0:
        raise BadInput(Problem(f"the price of {key} is negative", file=str(path), expected=">= 0"))
    return price
