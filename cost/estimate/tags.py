"""Who a resource is for, from its tags or labels, so that a plan compares with a bill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLACES = (
    ("tags",),
    ("labels",),
    ("resourceLabels",),
    ("userLabels",),
    ("nodeConfig", "labels"),
    ("metadata", "labels"),
)
_DIMENSIONS = ("team", "environment", "workload")


def tags_of(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Every tag or label that a resource declares, under the key as written."""
    found: dict[str, str] = {}
    for place in _PLACES:
        level: Any = inputs
        for part in place:
            level = level.get(part) if isinstance(level, Mapping) else None
        if isinstance(level, Mapping):
            found.update({str(key): str(value) for key, value in level.items()})
    return found


def owner_of(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Team, environment and workload where tagged (``team``, ``mlscale:team``, ``mlscale-team``)."""
    owner: dict[str, str] = {}
    for key, value in tags_of(inputs).items():
        name = key.lower().replace("mlscale:", "").replace("mlscale-", "").replace("mlscale_", "")
        name = name.rsplit("/", maxsplit=1)[-1]
        if name in _DIMENSIONS:
            owner[name] = value
    return owner
