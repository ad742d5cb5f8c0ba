"""``mlscale validate STACK``: every problem of a declaration at once, or what it declares."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.core.places import ROOT
from scripts.cli._output import console, emit

if TYPE_CHECKING:
    from rich.console import Console

    from infra.core.errors import MlscaleError
    from infra.spec import PlatformSpec

_COUNTED = ("sites", "links", "stores", "streams", "pipelines", "training", "endpoints")


def command(
    stack: Annotated[str, typer.Argument(help="Name of the stack: `local`, `aws-prod`, …")],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable, to stdout.")] = False,
    root: Annotated[
        Path, typer.Option(help="Root of the repository, where `stacks/` is.", file_okay=False)
    ] = ROOT,
) -> None:
    """Check a stack's declaration; every problem at once, each with its line and the way out.

    Nothing is touched and nothing is asked of any cloud. Exit code 3 when the declaration is
    wrong, 4 when it is sound but a site can't serve it.

    Example: mlscale validate local
    """
    from infra.core.errors import MlscaleError
    from infra.program import from_file

    try:
        spec, _ = from_file(stack, root)
    except MlscaleError as error:
        if as_json:
            raise
        _print_problems(error, console(stderr=True))
        raise typer.Exit(error.exit_code) from error
    summary = {"stack": stack, "valid": True, "declares": _summary(spec)}
    emit(summary, as_json, lambda out: _print_summary(stack, spec, out))


def _summary(spec: PlatformSpec) -> dict[str, Any]:
    counted = {subject: len(getattr(spec, subject)) for subject in _COUNTED}
    named = {"name": spec.name, "environment": spec.environment, "team": spec.owner.team}
    return {**named, "clouds": sorted({site.cloud for site in spec.sites.values()}), **counted}


def _print_summary(stack: str, spec: PlatformSpec, out: Console) -> None:
    from rich.markup import escape

    out.print(f"[bold green]valid[/]  {escape(stack)}: {spec.name}, {spec.environment}", end="")
    out.print(f", owned by {escape(spec.owner.team)}")
    for subject in _COUNTED:
        entries = getattr(spec, subject)
        names = [entry if isinstance(entry, str) else " - ".join(entry) for entry in entries]
        if names:
            out.print(f"  {subject:<10} {escape(', '.join(names))}")
    if spec.budget is not None:
        over = spec.budget.when_over
        out.print(f"  {'budget':<10} {spec.budget.monthly_usd:,} USD a month, over it: {over}")


def _print_problems(error: MlscaleError, out: Console) -> None:
    """Problems under their file; `file:line` stands whole, so that terminals can open it."""
    from rich.markup import escape

    for file, problems in groupby(error.problems, key=lambda problem: problem.file):
        if file is not None:
            out.print(f"[bold]{escape(file)}[/]")
        for problem in problems:
            where = ":".join(str(part) for part in (file, problem.line) if part is not None)
            head = "  ".join(escape(part) for part in (where, problem.path or "") if part)
            out.print(f"  [bold red]error[/]  [cyan]{head}[/]")
            out.print(f"         {escape(problem.message)}")
            for label, text in (("expected", problem.expected), ("fix", problem.fix)):
                if text:
                    out.print(f"         [dim]{label}:[/] {escape(text)}")
    count = len(error.problems)
    out.print(f"[bold red]{count} problem{'s' if count > 1 else ''}[/], nothing was touched")
