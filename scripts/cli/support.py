"""``mlscale support``: which site can do what, from the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli._output import emit

if TYPE_CHECKING:
    from rich.console import Console

_SUBJECTS = ("store", "training", "endpoint", "monitoring")


def matrix() -> dict[str, dict[str, Any]]:
    """Capability to cloud to True, or the reason why not."""
    from infra.sites.capabilities import CAPABILITIES
    from infra.sites.registry import SITES, site_class

    classes = {cloud: site_class(cloud) for cloud in SITES}
    rows: dict[str, dict[str, Any]] = {
        subject: dict.fromkeys(classes, True) for subject in _SUBJECTS
    }
    for capability in CAPABILITIES:
        rows[capability.title] = {
            cloud: True if issubclass(cls, capability) else cls.reasons[capability]
            for cloud, cls in classes.items()
        }
    return rows


def as_markdown(rows: dict[str, dict[str, Any]]) -> str:
    """The matrix as the README shows it."""
    clouds = list(next(iter(rows.values())))
    lines = [f"| | {' | '.join(clouds)} |", f"|---|{'---|' * len(clouds)}"]
    for title, cells in rows.items():
        marks = ["yes" if cells[cloud] is True else f"no: {cells[cloud]}" for cloud in clouds]
        lines.append(f"| {title} | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"


def command(
    as_json: Annotated[bool, typer.Option("--json", help="The matrix as JSON.")] = False,
    markdown: Annotated[bool, typer.Option(help="As a Markdown table.")] = False,
) -> None:
    """Which site can do what, and why not, from the classes.

    Example: mlscale support --json | jq '.["TPU"]'
    """
    rows = matrix()
    if markdown:
        typer.echo(as_markdown(rows), nl=False)
        return
    emit(rows, as_json, lambda console: _table(console, rows))


def _table(console: Console, rows: dict[str, dict[str, Any]]) -> None:
    from rich.table import Table

    clouds = list(next(iter(rows.values())))
    table = Table("", *clouds, box=None, pad_edge=False)
    for title, cells in rows.items():
        marks = [
            "[green]yes[/]" if cells[cloud] is True else f"[dim]no: {cells[cloud]}[/]"
            for cloud in clouds
        ]
        table.add_row(title, *marks)
    console.print(table)
