"""What the processes and steps of a local site are called, and who would share a name."""

from __future__ import annotations

from collections.abc import Iterator

from infra.core.errors import Problem
from infra.spec import PlatformSpec

_OF_THE_SITE = ("broker", "metrics", "supervisor", "tracking", "units")


def units(platform: PlatformSpec, site: str) -> Iterator[tuple[str, str]]:
    """Each unit of ``site`` with the config path that it comes from."""
    for service in _OF_THE_SITE:
        yield f"{site}-{service}", f"platform.sites.{site}"
    for name, training in platform.training.items():
        if site in training.sites:
            for step in ("data", "job", "model"):
                yield f"{name}-{step}", f"platform.training.{name}"
    for name, endpoint in platform.endpoints.items():
        if site in endpoint.sites:
            yield name, f"platform.endpoints.{name}"
            if endpoint.streaming is not None:
                yield f"{name}-stream", f"platform.endpoints.{name}"
    for name, stream in platform.streams.items():
        if stream.site == site and stream.replay is not None:
            yield f"{name}-replay", f"platform.streams.{name}"


def shared_units(platform: PlatformSpec, site: str) -> list[Problem]:
    """A problem for each unit whose name another one has: they would replace each other."""
    owners: dict[str, str] = {}
    problems = []
    for unit, path in units(platform, site):
        first = owners.setdefault(unit, path)
        if first != path:
            message = f"its process `{unit}` would have the name of one of {first}"
            problems.append(Problem(message, path=path, fix="rename one of the two"))
    return problems
