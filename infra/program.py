"""From a stack's name to a declaration that its sites have agreed to.

The same for ``pulumi up`` and for ``mlscale validate``: both give the same errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra import spec
from infra.core.errors import InvalidStack, MlscaleError, Problem
from infra.core.places import ROOT
from infra.sites.base import Site
from infra.sites.registry import require_packages, require_supported
from infra.spec import PlatformSpec, Source, load, parse


def declaration(stack: str) -> tuple[PlatformSpec, dict[str, type[Site]]]:
    """Inside a Pulumi program: the engine's configuration, with lines from the stack's file."""
    import pulumi

    data: Any = pulumi.Config().require_object("platform")
    try:
        source: Source | None = spec.read(stack, ROOT)
    except InvalidStack:
        source = None  # configured without a file (--config-file, the automation API)
    platform, classes = agreed(parse(data, source), source)
    require_fresh_capacity(platform, stack)
    return platform, classes


def from_file(stack: str, root: Path = ROOT) -> tuple[PlatformSpec, dict[str, type[Site]]]:
    """Without an engine: from ``stacks/Pulumi.<stack>.yaml``."""
    platform, classes = agreed(load(stack, root), spec.read(stack, root))
    require_fresh_capacity(platform, stack, root)
    return platform, classes


def require_fresh_capacity(platform: PlatformSpec, stack: str, root: Path = ROOT) -> None:
    """Refuse a capacity lock that was made for something else; a stack without one goes on.

    Raises ``StaleLock`` with the command that renews it.
    """
    from cost.sizing.lock import demand_digest, path_of, read

    if path_of(stack, root).is_file():
        read(stack, root, demand_digest(platform))


def agreed(
    platform: PlatformSpec, source: Source | None
) -> tuple[PlatformSpec, dict[str, type[Site]]]:
    """Ask every site and every package; what they refuse is said with its line."""
    try:
        require_packages(platform)
        return platform, require_supported(platform)
    except MlscaleError as error:
        raise type(error)([_located(problem, source) for problem in error.problems]) from None


def _located(problem: Problem, source: Source | None) -> Problem:
    if source is None or problem.path is None or problem.file is not None:
        return problem
    steps: tuple[str | int, ...] = tuple(
        int(step) if step.isdigit() else step for step in problem.path.split(".")[1:]
    )
    line = source.line(("config", "mlscale:platform", *steps))
    return Problem(**{**problem.as_json(), "file": source.file, "line": line})  # type: ignore[arg-type]
