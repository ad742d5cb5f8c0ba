"""``mlscale logs``: the logs of a local stack's processes."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from infra.core.errors import BadInput, Problem

_POLL_SECONDS = 0.2


def command(
    stack: Annotated[str, typer.Argument(help="The stack's name.")] = "local",
    unit: Annotated[str | None, typer.Option(help="Only this unit.")] = None,
    lines: Annotated[int, typer.Option(min=0, help="So many lines of each log.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they grow.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show or follow the logs of a local stack's processes.

    Example: mlscale logs local --unit digits --follow
    """
    from scripts.cli._local import supervisors

    logs = [
        log
        for supervisor in supervisors(stack).values()
        for log in sorted(supervisor.layout.logs.glob("*.log"))
    ]
    chosen = [log for log in logs if unit is None or log.stem == unit]
    if unit is not None and not chosen:
        expected = ", ".join(log.stem for log in logs) or f"none: `mlscale up {stack}` starts them"
        raise BadInput(Problem(f"no unit `{unit}` in stack {stack}", expected=expected))
    positions = dict.fromkeys(chosen, 0)
    for log in chosen:
        for line in deque(_grown(log, positions, whole=follow), maxlen=lines):
            _say(log.stem, line, as_json)
    while follow:
        for log in chosen:
            for line in _grown(log, positions):
                _say(log.stem, line, as_json)
        time.sleep(_POLL_SECONDS)


def _grown(log: Path, positions: dict[Path, int], whole: bool = True) -> Iterator[str]:
    """Lines that came since, only ``whole`` ones or all; a rotated log is read from its start."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return
    start = positions[log] if size >= positions[log] else 0
    with log.open("rb") as stream:
        stream.seek(start)
        text = stream.read()
    if whole:
        text = text[: text.rfind(b"\n") + 1]
    positions[log] = start + len(text)
    yield from text.decode("utf-8", errors="replace").splitlines()


def _say(unit: str, line: str, as_json: bool) -> None:
    typer.echo(json.dumps({"unit": unit, "line": line}) if as_json else f"{unit}: {line}")
