"""``mlscale doctor``: what is there, what is missing, what mends it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli._output import emit

if TYPE_CHECKING:
    from rich.console import Console

    from scripts.tools import Finding


def command(
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
) -> None:
    """Print what is there, what is missing, and the command that mends it.

    Exits with 5 when something is missing.

    Example: mlscale doctor --json | jq '.engine.version'
    """
    from infra.core.errors import MissingTool
    from scripts.tools import TOOLS

    findings = {tool.name: tool.find() for tool in TOOLS}
    purposes = {tool.name: tool.purpose for tool in TOOLS}
    document = {name: asdict(finding) for name, finding in findings.items()}
    emit(document, as_json, lambda console: _table(console, findings, purposes))
    if not all(finding.usable for finding in findings.values()):
        raise typer.Exit(MissingTool.exit_code)


def _table(console: Console, findings: dict[str, Finding], purposes: dict[str, str]) -> None:
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    table = Table("tool", "version", "where", "state", box=None, pad_edge=False)
    for name, finding in findings.items():
        state = Text("ok ", "green") if finding.usable else Text(finding.missing or "", "red")
        state.append(finding.detail, "default")
        table.add_row(name, finding.version or "-", escape(finding.path or "-"), state)
    console.print(table)
    for name, finding in findings.items():
        if finding.fix:
            console.print(f"\n[bold]{name}[/] ({purposes[name]}): {escape(finding.fix)}")
