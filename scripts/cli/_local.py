"""The local sites of a stack, as they run on this machine."""

from __future__ import annotations

from infra.sites.local.places import run_directory
from infra.sites.local.supervision import Layout, Supervisor

PROJECT = "mlscale"


def supervisors(stack: str) -> dict[str, Supervisor]:
    """Site to supervisor, for the stack's local sites that have ever run here."""
    from infra.core.places import ROOT
    from infra.spec import load

    found = {}
    for name, site in load(stack, ROOT).sites.items():
        layout = Layout(run_directory(PROJECT, stack, name))
        if site.cloud == "local" and layout.directory.exists():
            found[name] = Supervisor(layout)
    return found
