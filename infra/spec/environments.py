"""What follows from a stack's environment: defaults, and how strict its policies are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from infra.spec.units import plain_copy

Environment = Literal["dev", "staging", "prod"]
ENVIRONMENTS: tuple[Environment, ...] = get_args(Environment)


@dataclass(frozen=True)
class Defaults:
    """Values of one environment; what a stack says itself always wins."""

    when_over: str
    zones: int
    protect: bool
    replicas: int
    bake_minutes: float
    approvals: int
    scrape_seconds: float
    retention_days: int
    policies: Literal["advisory", "mandatory"]


DEFAULTS: Mapping[str, Defaults] = {
    "dev": Defaults("warn", 2, False, 1, 1, 0, 5, 7, "advisory"),
    "staging": Defaults("warn", 2, False, 1, 5, 0, 15, 14, "mandatory"),
    "prod": Defaults("refuse", 3, True, 2, 20, 1, 15, 30, "mandatory"),
}

# Where each default goes: the way to the mapping that has the field (`*`: each entry), and the
# field. `zones` has a condition, which `filled` knows.
PLACES: Mapping[str, tuple[str, ...]] = {
    "when_over": ("budget",),
    "zones": ("sites", "*"),
    "protect": ("stores", "*"),
    "replicas": ("endpoints", "*"),
    "bake_minutes": ("endpoints", "*", "release"),
    "approvals": ("endpoints", "*", "release"),
    "scrape_seconds": ("monitoring",),
    "retention_days": ("monitoring",),
}
# Filled in even where the declaration doesn't open them.
_ALWAYS_THERE = ("monitoring", "release")


def filled(data: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a declaration with the defaults of its environment; odd shapes stay as they are."""
    copy: dict[str, Any] = plain_copy(data)
    environment = copy.get("environment")
    defaults = DEFAULTS.get(environment) if isinstance(environment, str) else None
    if defaults is not None:
        for field, way in PLACES.items():
            for holder in _holders(copy, way):
                if field != "zones" or holder.get("cloud") in ("aws", "gcp", "azure"):
                    holder.setdefault(field, getattr(defaults, field))
    return copy


def _holders(data: dict[str, Any], way: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if not way:
        yield data
        return
    if way[0] == "*":
        found = list(data.values())
    else:
        if way[0] in _ALWAYS_THERE:
            data.setdefault(way[0], {})
        found = [data.get(way[0])]
    for entry in found:
        if isinstance(entry, dict):
            yield from _holders(entry, way[1:])
