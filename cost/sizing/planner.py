"""The training planner: the whole space, its Pareto front, one choice and the reason for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cost.catalog.model import Offer, is_stale
from cost.catalog.store import load_offers
from cost.money import to_cents
from cost.sizing.space import (
    NODE_COUNTS,
    Layouts,
    TrainingWork,
    fastest_layouts,
    memory_gib,
    node_kind,
)
from cost.sizing.spot import (
    RESTART_SECONDS,
    SAVE_BYTES_PER_SECOND,
    checkpoint_interval_seconds,
    expected_seconds,
    monthly_interruption,
    node_hours_between_interruptions,
)
from cost.sizing.steptime import idle_passes
from cost.sizing.throughput import Model, shipped_model
from infra.core.errors import Problem, Refused

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

__all__ = ["TrainingChoice", "TrainingPlan", "TrainingWork", "plan_training"]

_CHECKPOINT_BYTES = 14.0
"""A parameter in a checkpoint: 2 of weights, 12 of optimizer state."""


@dataclass(frozen=True)
class TrainingChoice:
    """One way to do the work. Hours of wall clock with their 90 % interval (for spot with the
    interruptions that are to be expected), cost at the catalogue's prices in Decimal."""

    provider: str
    region: str
    instance_type: str
    accelerator: str
    nodes: int
    accelerators: int
    base_nodes: int
    tensor: int
    pipeline: int
    data: int
    zero: int
    micro_batch: int
    accumulation: int
    recompute: bool
    spot: bool
    step_seconds: float
    tokens_per_s: float
    memory_gib: float
    memory_share: float
    hours: float
    hours_low: float
    hours_high: float
    usd: Decimal
    usd_low: Decimal
    usd_high: Decimal
    usd_per_hour: Decimal
    checkpoint_seconds: float | None
    source: str
    as_of: str
    derived_price: bool
    stale_price: bool
    fabric_gb_s: float
    bubble_share: float

    @property
    def usd_per_accelerator_hour(self) -> Decimal:
        """List price of one accelerator for an hour."""
        return self.usd_per_hour / self.accelerators


@dataclass(frozen=True)
class TrainingPlan:
    """The answer. ``front`` ascends in hours and descends in cost; ``reasons`` are sentences with
    the numbers that decided; ``meets_deadline`` holds at the interval's upper end."""

    work: TrainingWork
    choice: TrainingChoice
    front: tuple[TrainingChoice, ...]
    meets_deadline: bool
    within_budget: bool
    reasons: tuple[str, ...]
    considered: int
    model_version: str


@dataclass(frozen=True)
class _Priced:
    """Layouts times offers and purchase; columns of equal length."""

    offer: NDArray[np.int64]
    layout: NDArray[np.int64]
    spot: NDArray[np.bool_]
    base_nodes: NDArray[np.int64]
    hours: Floats
    high: Floats
    usd: Floats


def plan_training(
    work: TrainingWork,
    offers: Sequence[Offer] | None = None,
    *,
    model: Model | None = None,
    counts: Sequence[int] = NODE_COUNTS,
) -> TrainingPlan:
    """The best capacity for ``work`` out of ``offers`` (the whole catalogue unless given).

    The cheapest that meets deadline and budget; without a deadline the cheapest. When nothing
    meets both, the one that misses by least, and the plan says so. Refused when the model fits on
    nothing that is on offer.
    """
    model = model or shipped_model()
    usable = [(offer, kind) for offer in _listed(offers) if (kind := node_kind(offer))]
    layouts = fastest_layouts(work, model, {kind for _, kind in usable}, counts)
    if not len(layouts.nodes):
        raise Refused(
            Problem(
                f"a model of {work.parameters:.3g} parameters at {work.sequence_length} tokens fits "
                "on nothing that is on offer",
                expected="an accelerator with more memory, or more of them",
                fix="raise max_accelerators, or shorten the sequence",
            )
        )
    priced = _price(work, layouts, [offer for offer, _ in usable], [kind for _, kind in usable])
    chosen, meets, within = _choose(work, priced)
    front = _front(priced)
    build = _Builder(work, layouts, [offer for offer, _ in usable], priced)
    choice = build.choice(chosen)
    choices = tuple(build.choice(index) for index in front)
    from cost.sizing.explain import reasons

    return TrainingPlan(
        work, choice, choices, meets, within,
        reasons(work, choice, choices, build.compared(chosen), meets, within),
        len(priced.hours), model.version,
    )  # fmt: skip


def _listed(offers: Sequence[Offer] | None) -> Sequence[Offer]:
    return load_offers() if offers is None else offers


def _price(
    work: TrainingWork, layouts: Layouts, offers: Sequence[Offer], kinds: Sequence[object]
) -> _Priced:
    by_kind: dict[object, list[int]] = {}
    for index, kind in enumerate(layouts.kinds):
        by_kind.setdefault(kind, []).append(index)
    pairs = [
        (number, index) for number, kind in enumerate(kinds) for index in by_kind.get(kind, ())
    ]
    offer, layout = (np.array(part, dtype=np.int64) for part in zip(*pairs, strict=True))
    demand = np.array([float(one.on_demand_usd_per_hour) for one in offers])
    spot_price = np.array(
        [float(one.spot_usd_per_hour) if one.spot_usd_per_hour else np.nan for one in offers]
    )
    monthly = np.array(
        [monthly_interruption(one.provider, one.region, one.instance_type) for one in offers]
    )
    nodes = layouts.nodes[layout]
    seconds = layouts.step_seconds[layout] * work.steps
    stretch = np.exp(layouts.deviation[layout])
    none = np.zeros(len(offer), dtype=np.int64)
    hours = seconds / 3600
    parts = [_Priced(offer, layout, none > 0, nodes, hours, hours * stretch,
                     demand[offer] * nodes * hours)]  # fmt: skip
    if work.spot:
        base = np.ceil(nodes * work.keep_base_fraction - 1e-9).astype(np.int64)
        taken = nodes - base
        wall = _spot_hours(work, seconds, nodes, taken, monthly[offer])
        high = _spot_hours(work, seconds * stretch, nodes, taken, monthly[offer])
        usd = (demand[offer] * base + spot_price[offer] * taken) * wall
        real = np.flatnonzero(np.isfinite(usd) & (taken > 0))
        parts.append(
            _Priced(offer[real], layout[real], none[real] == 0, base[real], wall[real],
                    high[real], usd[real])
        )  # fmt: skip
    return _Priced(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("offer", "layout", "spot", "base_nodes", "hours", "high", "usd")
        )
    )


def _spot_hours(
    work: TrainingWork, seconds: Floats, nodes: Counts, taken: Counts, monthly: Floats
) -> Floats:
    between = node_hours_between_interruptions(monthly) * 3600 / np.maximum(taken, 1)
    save = save_seconds(work.parameters, nodes)
    wall = expected_seconds(seconds, save, between, RESTART_SECONDS + save)
    return wall / 3600


def save_seconds(parameters: float, nodes: Counts | Floats) -> Floats:
    """Seconds of one checkpoint, each node writing its part."""
    return np.asarray(1 + _CHECKPOINT_BYTES * parameters / (nodes * SAVE_BYTES_PER_SECOND))


def _choose(work: TrainingWork, priced: _Priced) -> tuple[int, bool, bool]:
    """(index, deadline met at the interval's upper end, budget met)."""
    deadline = work.deadline_hours or np.inf
    budget = work.budget_usd or np.inf
    in_time, affordable = priced.high <= deadline, priced.usd <= budget
    order = np.lexsort((np.arange(len(priced.usd)), priced.hours, priced.usd))
    both = order[(in_time & affordable)[order]]
    if len(both):
        return int(both[0]), True, True
    timely = order[in_time[order]]
    if len(timely):
        return int(timely[0]), True, False
    late = np.where(affordable, priced.high, np.inf) if affordable.any() else priced.high
    least = int(np.lexsort((np.arange(len(late)), priced.usd, late))[0])
    return least, False, bool(affordable[least])


def _front(priced: _Priced) -> list[int]:
    """Indices that no other beats in both hours and cost, fastest first."""
    order = np.lexsort((np.arange(len(priced.usd)), priced.usd, priced.hours))
    usd = priced.usd[order]
    below = np.ones(len(order), dtype=bool)
    below[1:] = usd[1:] < np.minimum.accumulate(usd)[:-1]
    return [int(index) for index in order[below]]


class _Builder:
    """Rows of the arrays as choices, priced again in Decimal."""

    def __init__(
        self, work: TrainingWork, layouts: Layouts, offers: Sequence[Offer], priced: _Priced
    ) -> None:
        self.work, self.layouts, self.offers, self.priced = work, layouts, offers, priced
        self.memory = memory_gib(layouts.columns)
        idle = idle_passes(layouts.columns)
        self.bubble = idle / (idle + layouts.columns.accumulation)

    def choice(self, index: int) -> TrainingChoice:
        """The choice at one index of the priced arrays."""
        priced, columns = self.priced, self.layouts.columns
        offer, row = self.offers[priced.offer[index]], int(priced.layout[index])
        nodes, base = int(self.layouts.nodes[row]), int(priced.base_nodes[index])
        spot = bool(priced.spot[index])
        hours, high = float(priced.hours[index]), float(priced.high[index])
        low = hours * hours / high
        per_hour = offer.on_demand_usd_per_hour * (base if spot else nodes)
        if spot:
            per_hour += cast("Decimal", offer.spot_usd_per_hour) * (nodes - base)
        step = float(self.layouts.step_seconds[row])
        kind = self.layouts.kinds[row]
        return TrainingChoice(
            offer.provider, offer.region, offer.instance_type, kind.device, nodes,
            nodes * kind.accelerators, base if spot else nodes, int(columns.tensor[row]),
            int(columns.pipeline[row]), int(columns.data[row]), int(columns.zero[row]),
            int(columns.micro_batch[row]), int(columns.accumulation[row]),
            bool(columns.recompute[row]), spot, step, float(columns.tokens[row]) / step,
            float(self.memory[row]),
            float(self.memory[row] * 2**30 / columns.memory_bytes[row]),
            hours, low, high, _usd(per_hour, hours), _usd(per_hour, low), _usd(per_hour, high),
            per_hour, self._interval(index, nodes, nodes - base) if spot else None,
            offer.source, offer.as_of.isoformat(), offer.derived,
            is_stale(offer), kind.fabric_gb_s, float(self.bubble[row]),
        )  # fmt: skip

    def _interval(self, index: int, nodes: int, taken: int) -> float:
        offer = self.offers[self.priced.offer[index]]
        monthly = monthly_interruption(offer.provider, offer.region, offer.instance_type)
        between = node_hours_between_interruptions(monthly) * 3600 / taken
        save = save_seconds(self.work.parameters, np.array(float(nodes)))
        return float(checkpoint_interval_seconds(save, between))

    def compared(self, index: int) -> tuple[TrainingChoice, ...]:
        """The same accelerator, provider, region and purchase in other sizes of node and counts:
        what "larger machines or more of them" is decided against; cheapest first."""
        chosen = self.offers[self.priced.offer[index]]
        same = np.array(
            [
                (one.provider, one.region, one.accelerator)
                == (chosen.provider, chosen.region, chosen.accelerator)
                for one in self.offers
            ]
        )
        mask = same[self.priced.offer] & (self.priced.spot == self.priced.spot[index])
        rows = np.flatnonzero(mask)
        ordered = rows[np.lexsort((rows, self.priced.usd[rows]))]
        return tuple(self.choice(int(row)) for row in ordered[:_MOST_COMPARED])


_MOST_COMPARED = 60


def _usd(per_hour: Decimal, hours: float) -> Decimal:
    return to_cents(per_hour * Decimal(repr(hours)))
