"""From a stack's name to a declaration that its sites have agreed to.

The same for ``pulumi up`` and for ``mlscale validate``: both give the same errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infra.core.errors import InvalidStack, MlscaleError, Problem
from infra.core.places import ROOT
from infra.sites.base import Site
from infra.sites.registry import require_packages, require_supported
from infra.spec import PlatformSpec, Source, load, parse, read


def declaration(stack: str) -> tuple[PlatformSpec, dict[str, type[Site]]]:
    """Inside a Pulumi program: the engine's configuration, with lines from the stack's file."""
    import pulumi

    data: Any = pulumi.Config().require_object("platform")
    try:
        source: Source | None = read(stack, ROOT)
    except InvalidStack:
        source = None  # configured without a file (--config-file, the automation API)
    return agreed(parse(data, source), source)


def from_file(stack: str, root: Path = ROOT) -> tuple[PlatformSpec, dict[str, type[Site]]]:
    """Without an engine: from ``stacks/Pulumi.<stack>.yaml``."""
    return agreed(load(stack, root), read(stack, root))


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
