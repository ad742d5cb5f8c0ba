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

    Example: mlscale down local
    """
    from scripts.cli._engine import Engine

    engine = Engine(stack)
    engine.prepare()
    engine.run("destroy", "--yes", quiet=as_json)
    emit({"stack": stack, "state": "down"}, as_json, lambda console: None)
