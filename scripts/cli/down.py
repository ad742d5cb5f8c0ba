"""``mlscale down``: take a stack down through the real engine."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.cli._output import emit


def command(
    stack: Annotated[str, typer.Argument(help="The stack's name.")] = "local",
    as_json: Annotated[bool, typer.Option("--json", help="Say what was done as JSON.")] = False,
) -> None:
    """Take a stack down; a protected store stays where it is, and says so.

    A stack that was never up is down already. Exits with 3 when there is no such stack at all.

    Example: mlscale down local
    """
    from infra import spec
    from infra.core.places import ROOT
    from scripts.cli._engine import Engine
    from scripts.cli._local import take_leftovers_down

    engine = Engine(stack)
    if engine.prepare():
        engine.run("destroy", "--yes", quiet=as_json)
    else:
        spec.read(stack, ROOT)
    take_leftovers_down(stack)
    emit({"stack": stack, "state": "down"}, as_json, lambda console: None)
