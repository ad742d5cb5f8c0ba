"""Builds the Typer application around the one verb that was asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Annotated

import typer

_ABOUT = """Describe an ML platform once; provision, train, serve, release and cost it anywhere.

Every verb takes --json and documents its examples under --help. Exit codes: docs/cli.md."""


def complete_or_run(
    verbs: Mapping[str, tuple[str, str]],
    asked: str | None,
    load: Callable[[str], ModuleType],
) -> None:
    """Run the command line; project errors become one clear message and their exit code.

    ``verbs`` maps names to (help, panel); only ``asked`` is loaded, the others stand in the help.
    """
    from infra.core.errors import MlscaleError

    app = typer.Typer(
        name="mlscale",
        help=_ABOUT,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name, (text, panel) in verbs.items():
        if name == asked:
            _register(app, name, load(name), text, panel)
        else:
            app.command(name, help=text, rich_help_panel=panel)(_not_asked)
    try:
        app()
    except BrokenPipeError:
        # Whoever read our output has enough (`| head`); the interpreter must not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except MlscaleError as error:
        from scripts.cli._output import print_error

        print_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)


def _register(app: typer.Typer, name: str, module: ModuleType, text: str, panel: str) -> None:
    group = getattr(module, "app", None)
    if group is not None:
        app.add_typer(group, name=name, help=text, rich_help_panel=panel)
    else:
        app.command(name, rich_help_panel=panel)(module.command)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"mlscale {version('mlscale')}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    pass


def _not_asked() -> None:
    """Stands in the help for a verb that this command line did not name."""
