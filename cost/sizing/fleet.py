"""Several workloads at once under quotas, reservations and a budget, as one integer program.

Each workload takes exactly one of its options; accelerators in use may not exceed the quota of
their pool; what a reservation has paid for already costs nothing more, up to its size. Solved by
HiGHS through ``scipy.optimize.milp``, to optimality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from cost.money import to_cents
from infra.core.errors import BadInput, Problem, Refused


@dataclass(frozen=True)
class Option:
    """One way to run a workload: accelerators of a pool (``aws us-east-1 H100``), their list price
    for the whole run in USD, and the hours it takes. ``reserved_usd`` is what of the price an
    accelerator costs that a reservation covers: nothing, unless told."""

    pool: str
    accelerators: int
    usd: Decimal
    hours: float


@dataclass(frozen=True)
class FleetWorkload:
    """A workload with its options; ``deadline_hours`` 0 for none."""

    name: str
    options: Sequence[Option]
    deadline_hours: float = 0.0


@dataclass(frozen=True)
class FleetPlan:
    """The option of each workload by name, what is paid beyond reservations, the use of each
    pool, and accelerators of each pool that reservations covered."""

    chosen: Mapping[str, Option]
    usd: Decimal
    used: Mapping[str, int]
    reserved: Mapping[str, float]


def plan_fleet(
    workloads: Sequence[FleetWorkload],
    quotas: Mapping[str, int],
    *,
    reservations: Mapping[str, int] | None = None,
    budget_usd: float = 0.0,
    seconds: float = 10.0,
) -> FleetPlan:
    """The cheapest assignment. A pool without a quota has none to give.

    Refused when there is none, with the workloads that have no option in time or the pools that
    are asked for more than they have.
    """
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    names = [one.name for one in workloads]
    if len(set(names)) < len(names):
        raise BadInput(Problem("two workloads have the same name", expected="names that differ"))
    reserved = dict(reservations or {})
    entries = [
        (index, option)
        for index, one in enumerate(workloads)
        for option in one.options
        if not one.deadline_hours or option.hours <= one.deadline_hours
    ]
    _refuse_without_options(workloads, {index for index, _ in entries})
    pools = sorted({option.pool for _, option in entries})
    count, size = len(entries), len(entries) + len(entries)
    # x: which option; y: accelerators of the option that a reservation pays for.
    price = np.array([float(option.usd) for _, option in entries])
    need = np.array([option.accelerators for _, option in entries], dtype=np.float64)
    saved = price / np.maximum(need, 1)
    cost = np.concatenate([price, -saved])
    rows: list[tuple[Sequence[int], Sequence[float], float, float]] = []
    for index in range(len(workloads)):
        own = [i for i, (workload, _) in enumerate(entries) if workload == index]
        rows.append((own, [1.0] * len(own), 1.0, 1.0))
    for pool in pools:
        own = [i for i, (_, option) in enumerate(entries) if option.pool == pool]
        rows.append((own, [need[i] for i in own], 0.0, float(quotas.get(pool, 0))))
        rows.append(([count + i for i in own], [1.0] * len(own), 0.0, float(reserved.get(pool, 0))))
    for i in range(count):
        rows.append(([count + i, i], [1.0, -need[i]], -np.inf, 0.0))
    if budget_usd:
        rows.append((range(size), list(cost), -np.inf, budget_usd))
    indptr = np.cumsum([0, *(len(row[0]) for row in rows)])
    matrix = csr_array(
        (
            np.concatenate([np.asarray(row[1], dtype=np.float64) for row in rows]),
            np.concatenate([np.asarray(row[0], dtype=np.int64) for row in rows]),
            indptr,
        ),
        shape=(len(rows), size),
    )
    answer = milp(
        cost,
        integrality=np.concatenate([np.ones(count), np.zeros(count)]),
        bounds=Bounds(0, np.concatenate([np.ones(count), need])),
        constraints=LinearConstraint(matrix, [row[2] for row in rows], [row[3] for row in rows]),
        options={"time_limit": seconds, "mip_rel_gap": 1e-6},
    )
    if answer.x is None:
        raise Refused(_why_not(workloads, entries, quotas, budget_usd))
    picked = [i for i in range(count) if answer.x[i] > 0.5]
    return _as_plan(workloads, entries, picked, reserved)


def _refuse_without_options(workloads: Sequence[FleetWorkload], served: set[int]) -> None:
    problems = [
        Problem(
            f"{one.name} has no option within {one.deadline_hours:g} h",
            path=one.name,
            fix="allow more time, or more kinds of capacity",
        )
        for index, one in enumerate(workloads)
        if index not in served
    ]
    if problems:
        raise Refused(problems)


def _why_not(
    workloads: Sequence[FleetWorkload],
    entries: Sequence[tuple[int, Option]],
    quotas: Mapping[str, int],
    budget_usd: float,
) -> Problem:
    least = sum(
        min(option.accelerators for index, option in entries if index == place)
        for place in range(len(workloads))
    )
    text = f"no assignment keeps quotas{' and budget' if budget_usd else ''}"
    have = ", ".join(f"{pool} {count}" for pool, count in sorted(quotas.items())) or "none"
    return Problem(
        f"{text}: the {len(workloads)} workloads need {least} accelerators at the very least",
        expected=f"quotas of {have}",
        fix="raise a quota or the budget, or allow more time",
    )


def _as_plan(
    workloads: Sequence[FleetWorkload],
    entries: Sequence[tuple[int, Option]],
    picked: Sequence[int],
    reserved: Mapping[str, int],
) -> FleetPlan:
    """Prices in Decimal; a pool's reservation goes where an accelerator is dearest."""
    chosen = {workloads[entries[i][0]].name: entries[i][1] for i in picked}
    used: dict[str, int] = {}
    for option in chosen.values():
        used[option.pool] = used.get(option.pool, 0) + option.accelerators
    left = {pool: Decimal(count) for pool, count in reserved.items()}
    covered: dict[str, float] = {}
    usd = Decimal(0)
    dearest = sorted(
        chosen.values(), key=lambda one: one.usd / max(one.accelerators, 1), reverse=True
    )
    for option in dearest:
        free = min(left.get(option.pool, Decimal(0)), Decimal(option.accelerators))
        left[option.pool] = left.get(option.pool, Decimal(0)) - free
        covered[option.pool] = covered.get(option.pool, 0.0) + float(free)
        usd += option.usd * (1 - free / max(option.accelerators, 1))
    return FleetPlan(chosen, to_cents(usd), used, covered)
