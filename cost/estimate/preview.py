"""Read what the engine would make: ``pulumi preview --json --show-sames``, or a state's export.

The document has ``config`` (the stack's configuration) and ``steps``, each with ``op``, ``urn``,
``oldState`` and ``newState`` (``type``, ``custom``, ``inputs``, ``provider``, ``dependencies``).
An input that isn't known before ``up`` is the engine's placeholder; a secret is "[secret]".
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cost.estimate.model import Resource
from infra.core.errors import BadInput, EngineFailed, MissingTool, Problem

_GONE = frozenset({"delete", "delete-replaced", "discard", "discard-replaced", "read-discard"})
_NEW_ONLY = frozenset({"create", "create-replacement", "import", "import-replacement", "read"})


@dataclass(frozen=True)
class Preview:
    """The resources of a stack and the configuration that its default providers get."""

    stack: str
    resources: tuple[Resource, ...]
    config: Mapping[str, str]


def run(
    stack: str,
    cwd: Path | None = None,
    program: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """The JSON of ``pulumi preview`` of the stack; ``program`` is looked up on PATH unless given.

    MissingTool without the engine, EngineFailed with its own words when the preview fails.
    """
    program = program or shutil.which("pulumi")
    if program is None:
        raise MissingTool(
            Problem(
                "the Pulumi engine isn't on PATH",
                fix='mlscale setup && eval "$(mlscale env)", or give a file with --preview',
            )
        )
    command = [program, "preview", "--json", "--show-sames", "--non-interactive", "--stack", stack]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        words = _diagnostics(done.stdout) or done.stderr.strip() or done.stdout.strip()
        fix = (
            f"pulumi stack init {stack} (it makes no resource)"
            if "no stack named" in words
            else None
        )
        raise EngineFailed(Problem(f"preview failed: {words}", path=stack, fix=fix))
    return done.stdout


def _diagnostics(text: str) -> str:
    try:
        document = json.loads(text)
    except ValueError:
        return ""
    found = document.get("diagnostics") or [] if isinstance(document, dict) else []
    return "; ".join(
        str(item.get("message", "")).strip() for item in found if item.get("severity") == "error"
    )


def read(path: Path, deployed: bool = False) -> Preview:
    """A preview or an exported state from a file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(Problem(f"can't read the preview: {error}", file=str(path))) from error
    return parse(text, str(path), deployed)


def parse(text: str, origin: str = "preview", deployed: bool = False) -> Preview:
    """Resources as they will be, or with ``deployed`` as they are before the preview is applied.

    BadInput when it is no such document or the preview itself reports an error.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BadInput(
            Problem(
                f"not JSON: {error}",
                file=origin,
                expected="the output of pulumi preview --json --show-sames",
            )
        ) from error
    if not isinstance(document, dict):
        raise BadInput(Problem("not a preview", file=origin, expected="an object with steps"))
    if failed := _diagnostics(text):
        raise BadInput(Problem(f"the preview failed: {failed}", file=origin))
    if "deployment" in document:
        states = [(item, "same") for item in document["deployment"].get("resources") or []]
    elif isinstance(document.get("steps"), list):
        states = [_state(step, deployed) for step in document["steps"]]
    else:
        raise BadInput(
            Problem(
                "neither steps nor deployment in it",
                file=origin,
                expected="pulumi preview --json --show-sames, or pulumi stack export",
            )
        )
    found: dict[str, Resource] = {}
    for state, op in states:
        if state is not None:
            resource = _resource(state, op, origin)
            found[resource.urn] = resource
    config = {str(key): str(value) for key, value in (document.get("config") or {}).items()}
    urns = iter(found)
    parts = next(urns, "urn:pulumi:unknown::").split(":")
    return Preview(parts[2] if len(parts) > 2 else "unknown", tuple(found.values()), config)


def _state(step: Mapping[str, Any], deployed: bool) -> tuple[Mapping[str, Any] | None, str]:
    op = str(step.get("op", ""))
    if deployed:
        return (None if op in _NEW_ONLY else step.get("oldState") or step.get("newState")), op
    return (None if op in _GONE else step.get("newState")), op


def _resource(state: Mapping[str, Any], op: str, origin: str) -> Resource:
    try:
        urn, kind = str(state["urn"]), str(state["type"])
    except (KeyError, TypeError) as error:
        raise BadInput(Problem("a step has no urn or type", file=origin)) from error
    return Resource(
        urn=urn,
        type=kind,
        name=urn.rsplit("::", maxsplit=1)[-1],
        op=op,
        custom=bool(state.get("custom", True)),
        inputs=state.get("inputs") or {},
        provider=str(state.get("provider") or ""),
        parent=str(state.get("parent") or ""),
        dependencies=tuple(state.get("dependencies") or ()),
    )
