"""Types that no cloud bills: the engine's own, this machine's, client-side helpers; and sites."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cost.catalog import Offer, find_accelerator, load_offers
from cost.estimate.bill import Bill, snake
from cost.estimate.registry import free, resolves

free("part of the engine", ["pulumi:pulumi:", "pulumi:providers:"])
free("runs on this machine", ["mlscale:local:", "pulumi-python:dynamic", "command:local:"])
free("made on the client", ["random:", "tls:", "time:", "null:", "docker-build:", "std:"])
free("configuration of a service that is billed by itself", ["kafka:", "grafana:", "github:"])

_OWN_CLOUDS = frozenset({"onprem", "local"})
UNPRICED = (
    "own hardware that no price table names: 0 USD here (mlscale cost import onprem, then "
    "MLSCALE_PRICE_TABLES)"
)


@resolves("mlscale:platform:Site")
def site(bill: Bill) -> None:
    """Own machines that a price table puts on the site; a cloud's site by what stands on it."""
    name = bill.resource.name
    declared = _declared(bill.stack.config, name)
    machines = [row for row in load_offers() if (row.provider, row.region) == ("onprem", name)]
    if not machines:
        own = declared.get("cloud") in _OWN_CLOUDS
        bill.free(UNPRICED if own else "a component: its children are priced")
        return
    bill.region = name
    there = {
        find_accelerator(kind).name: Decimal(count)
        for kind, count in (declared.get("accelerators") or {}).items()
    }
    for machine in machines:
        key = "nodes" if len(machines) == 1 else f"nodes_{snake(machine.instance_type)}"
        count, note = _count(machine, there)
        bill.own_machine(machine.instance_type, count, note, key)


def _count(machine: Offer, there: Mapping[str, Decimal]) -> tuple[Decimal, str]:
    """How many of a machine the stack's accelerators fill; one where it declares none of them."""
    if machine.accelerator in there and machine.accelerator_count:
        devices = there[machine.accelerator]
        count = devices / Decimal(machine.accelerator_count)
        return count, f"for {devices:,} {machine.accelerator}, in use all month"
    return Decimal(1), "assumed 1 machine, in use all month"


def _declared(config: Mapping[str, str], name: str) -> Mapping[str, Any]:
    """The site as the stack's configuration has it; empty where it can't be read."""
    try:
        found = json.loads(config.get("mlscale:platform", "{}"))["sites"][name]
    except (KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
