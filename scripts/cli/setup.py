"""``mlscale setup``: build or fetch the tools that doctor misses."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.core.errors import BadInput, MissingTool, Problem
from scripts.cli._output import emit


def command(
    only: Annotated[list[str] | None, typer.Option(help="Just these tools.")] = None,
    repair: Annotated[bool, typer.Option(help="Put usable tools in place anew too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was done as JSON.")] = False,
) -> None:
    """Build or fetch the tools that doctor misses; kill it and run it again as you like.

    Exits with 5 when something is still missing that only you can put in place.

    Example: mlscale setup --only kafka
    """
    from scripts.tools import TOOLS
    from scripts.tools._show import shown

    names = {tool.name for tool in TOOLS}
    if unknown := set(only or ()) - names:
        expected = f"one of {', '.join(sorted(names))}"
        raise BadInput(Problem(f"no tool named {', '.join(sorted(unknown))}", expected=expected))
    done = {}
    for tool in TOOLS:
        if only and tool.name not in only:
            continue
        finding = tool.find()
        if tool.install and (repair or not finding.usable):
            with shown(tool.name) as progress:
                tool.install(progress)
            finding = tool.find()
        done[tool.name] = finding.missing or "ready"
        if not as_json:
            state = finding.missing or f"ready {finding.version or ''} {finding.detail}".rstrip()
            typer.echo(f"{tool.name}: {state}", err=True)
            if finding.fix:
                typer.echo(f"  fix: {finding.fix}", err=True)
    emit(done, as_json, lambda console: None)
    if any(state != "ready" for state in done.values()):
        raise typer.Exit(MissingTool.exit_code)
