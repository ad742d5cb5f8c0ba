"""The local sites of a stack, as they run on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.sites.local.supervision import Supervisor


def supervisors(stack: str) -> dict[str, Supervisor]:
    """Site to supervisor, for the stack's local sites that have ever run here."""
    from infra.core.places import PROJECT, ROOT
    from infra.sites.local.places import run_directory
    from infra.sites.local.supervision import Layout, Supervisor
    from infra.spec import load

    found = {}
    for name, site in load(stack, ROOT).sites.items():
        layout = Layout(run_directory(PROJECT, stack, name))
        if site.cloud == "local" and layout.directory.exists():
            found[name] = Supervisor(layout)
    return found


def take_leftovers_down(stack: str) -> None:
    """End what runs of ``stack`` although its state knows nothing of it.

    An engine that is killed between the start of a supervisor and writing that down leaves one.
    """
    from infra.core.errors import InvalidStack
    from infra.sites.local.provider.handler import Context
    from infra.sites.local.provider.handlers.supervisor import SupervisorHandler

    try:
        found = supervisors(stack)
    except InvalidStack:  # its file is gone or broken by now; the engine needed none to destroy it
        return
    for supervisor in found.values():
        SupervisorHandler().delete(str(supervisor.layout.directory), {}, Context())
