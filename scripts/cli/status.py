"""``mlscale status``: what runs in a local stack, where, and how it feels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.core.errors import BadInput, Problem
from scripts.cli._output import emit

if TYPE_CHECKING:
    from rich.console import Console

    from infra.sites.local.supervision import Supervisor


def command(
    stack: Annotated[str, typer.Argument(help="The stack's name.")] = "local",
    url: Annotated[str | None, typer.Option(help="Only the address of this unit.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The units as JSON.")] = False,
) -> None:
    """What runs in a local stack, where, and how it feels.

    Example: curl "$(mlscale status local --url digits)/v2/models/digits"
    """
    from scripts.cli._local import supervisors

    units = [unit for one in supervisors(stack).values() for unit in _units(one)]
    if url is not None:
        typer.echo(_address(units, url))
        return
    emit({"stack": stack, "units": units}, as_json, lambda console: _table(console, stack, units))


def _units(supervisor: Supervisor) -> list[dict[str, Any]]:
    from infra.sites.local.supervision.steps import has_finished

    states = {state.name: state for state in supervisor.states()}
    names = sorted(path.stem for path in supervisor.layout.units.glob("*.json"))
    units = []
    for name in names:
        unit, state = supervisor.unit(name), states.get(name)
        about = unit.about.get("outputs", {}) if unit else {}
        pid = state.pid if state else 0
        done = not pid and has_finished(supervisor.layout, name)
        units.append(
            {
                "unit": name,
                "status": "finished" if done else str(state.status) if state else "stopped",
                "pid": pid,
                "detail": state.detail if state else "the supervisor is not running",
                "url": about.get("url"),
                "log": str(supervisor.layout.log(name)),
            }
        )
    return units


def _address(units: list[dict[str, Any]], name: str) -> str:
    addresses = {unit["unit"]: str(unit["url"]) for unit in units if unit["url"]}
    if name not in addresses:
        expected = f"one of {', '.join(addresses)}" if addresses else "a stack that is up"
        raise BadInput(Problem(f"no unit `{name}` with an address", expected=expected))
    return addresses[name]


def _table(console: Console, stack: str, units: list[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    if not units:
        console.print(f"nothing of stack {stack} runs here; `mlscale up {stack}` starts it")
        return
    table = Table("unit", "status", "pid", "where", "detail", box=None, pad_edge=False)
    for unit in units:
        good = unit["status"] in ("running", "finished")
        status = f"[{'green' if good else 'red'}]{unit['status']}[/]"
        pid = str(unit["pid"] or "-")
        table.add_row(unit["unit"], status, pid, unit["url"] or "-", escape(unit["detail"]))
    console.print(table)
