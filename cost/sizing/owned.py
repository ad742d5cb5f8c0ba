"""Accelerators and machines of one's own: what a site has, what it costs, how far it reaches.

Prices come from the user's tables (``mlscale cost import onprem``, ``MLSCALE_PRICE_TABLES``), where
a machine stands on a site by its name. What no table prices costs nothing here, and the answer
says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from cost.catalog.model import Offer
from cost.catalog.store import TABLES_VARIABLE, load_offers
from cost.sizing.hardware import find_device
from cost.sizing.planner import TrainingPlan, TrainingWork
from cost.sizing.replicas import ServingPlan
from infra.core.errors import Problem, Refused

PROVIDER = "onprem"

UNPRICED = (
    "Own hardware counts as 0 USD an hour here: no price table names it (mlscale cost import "
    f"onprem --file machines.yaml --out own.csv, then {TABLES_VARIABLE}=own.csv)."
)


def own_offers(site: str, accelerators: Mapping[str, int]) -> list[Offer]:
    """Machines of the price tables that stand on ``site``, and the declared accelerators that no
    table prices, as nodes of the usual size. ``accelerators``: devices by type, as declared; a
    priced machine with an undeclared type isn't there."""
    declared = {find_device(name).name: count for name, count in accelerators.items()}
    priced = [
        one
        for one in load_offers()
        if (one.provider, one.region) == (PROVIDER, site)
        and (not one.accelerator or find_device(one.accelerator).name in declared)
    ]
    known = {find_device(one.accelerator).name for one in priced if one.accelerator}
    bare = [_bare(site, name, count) for name, count in declared.items() if name not in known]
    return priced + bare


def _bare(site: str, accelerator: str, count: int) -> Offer:
    device = find_device(accelerator)
    size = min(device.node_accelerators, count)
    return Offer(
        PROVIDER, site, f"{device.name}x{size}", device.name, None, None, device.name, float(size),
        device.memory_gib, Decimal(0), None, None, None, None, "declared in the stack",
        date.max, False,
    )  # fmt: skip


def by_type(
    offers: list[Offer], accelerators: Mapping[str, int], work: TrainingWork
) -> list[tuple[list[Offer], int]]:
    """(offers of one accelerator type, how many of them a training can have)."""
    return [
        (
            [one for one in offers if one.accelerator and find_device(one.accelerator) == device],
            min(count, work.max_accelerators),
        )
        for device, count in (
            (find_device(name), count) for name, count in sorted(accelerators.items())
        )
    ]


def refuse_beyond(plan: ServingPlan, offers: list[Offer], accelerators: Mapping[str, int]) -> None:
    """Refused when the chosen replicas need more accelerators than stand on the site."""
    choice = plan.choice
    if not choice.accelerator:
        return
    sizes = {one.instance_type: one.accelerator_count for one in offers}
    there = {find_device(name).name: count for name, count in accelerators.items()}
    needed = int(choice.instances * sizes[choice.instance_type])
    if needed > there[choice.accelerator]:
        raise Refused(
            Problem(
                f"the peak needs {needed} {choice.accelerator}, "
                f"{there[choice.accelerator]} are on {choice.region}",
                fix="share the endpoint with another site, or allow more time",
            )
        )


def price_note(plan: TrainingPlan | ServingPlan) -> tuple[str, ...]:
    """The sentence for hardware that no table prices; nothing for any other choice."""
    own = plan.choice.provider == PROVIDER and plan.choice.usd_per_hour == 0
    return (UNPRICED,) if own else ()
