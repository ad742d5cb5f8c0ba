"""Order (instance type, nodes) for a workload by cost and by time.

What a ranking gets: the workload, the type and count of each candidate, list prices, and the runs
that are known (rows with minutes in ``known``, or candidates whose ``minutes`` cell is filled).
What it never reads: the cost column, or minutes of a candidate that isn't declared known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median

from cost.catalog.model import Offer
from cost.catalog.store import load_offers
from cost.money import to_cents
from cost.sizing.hardware import find_device
from cost.sizing.tables import Row, as_rows
from cost.sizing.target import RUN_NOISE, Law, Minutes, predict_minutes
from infra.core.errors import BadInput, Problem

_HALF_90 = 1.645
_HOME_REGIONS = ("us-east-1", "us-central1", "eastus")


@dataclass(frozen=True)
class Ranked:
    """One candidate with its prediction; ranks start at 1 and are None without an answer.

    ``usd_per_hour`` is for all nodes together at list price.
    """

    workload: str
    instance_type: str
    nodes: int
    accelerators: int
    minutes: float | None
    low: float | None
    high: float | None
    usd_per_hour: Decimal | None
    usd: Decimal | None
    rank_by_cost: int | None
    rank_by_time: int | None
    note: str


def offer_of(instance_type: str, region: str = "") -> Offer | None:
    """The catalogue's offer of a type, in ``region`` or else where list prices are quoted."""
    found = [row for row in load_offers() if row.instance_type == instance_type]
    if region:
        return next((row for row in found if row.region == region), None)
    home = [row for row in found if row.region in _HOME_REGIONS and not row.derived]
    return next(iter(home or found), None)


def _usd_per_hour(row: Row, name: str, nodes: int, accelerators: int) -> Decimal | None:
    """All nodes for an hour: from the cell, from a price a chip in the name, from the catalogue."""
    if row.text("usd_per_hour"):
        return Decimal(row.text("usd_per_hour")) * nodes
    if chip := re.search(r"\$\s*(\d+(?:\.\d+)?)", name):
        return Decimal(chip.group(1)) * accelerators
    offer = offer_of(name, row.text("region"))
    if offer is not None:
        return offer.on_demand_usd_per_hour * nodes
    return None


def rank_candidates(
    candidates: Sequence[Row] | Sequence[Mapping[str, object]],
    known: Sequence[Row] | Sequence[Mapping[str, object]] = (),
    law: Law | None = None,
) -> list[Ranked]:
    """Every candidate in the order given, with its ranks inside its workload.

    Columns: ``workload``, ``instance_type`` (or ``cloud_instance_equivalent``), ``nodes``; where
    given ``accelerators`` (else from the catalogue), ``global_batch``, ``region``,
    ``usd_per_hour`` of one node, ``minutes`` of a run that is known. ``known`` has the columns of
    ``predict_minutes`` or of the candidates.
    """
    rows = [_row(row, "candidates") for row in candidates]
    asked = [_as_ask(row) for row in rows]
    runs = [_as_ask(_row(row, "known")) for row in known]
    runs += [row for row in asked if row["minutes"]]
    answers = [
        _as_measured(ask, runs) or answer
        for ask, answer in zip(asked, predict_minutes(runs, asked, law), strict=True)
    ]
    ranked = []
    for row, ask, answer in zip(rows, asked, answers, strict=True):
        nodes, accelerators = int(float(str(ask["nodes"]))), int(float(str(ask["n_accelerators"])))
        price = _usd_per_hour(row, str(ask["instance_type"]), nodes, accelerators)
        usd = None
        if price is not None and answer.minutes is not None:
            usd = to_cents(price * Decimal(repr(answer.minutes)) / 60)
        note = answer.note if price is not None else f"{answer.note}; no list price".lstrip("; ")
        ranked.append(
            Ranked(
                row.text("workload"), str(ask["instance_type"]), nodes, accelerators,
                answer.minutes, answer.low, answer.high, price, usd, None, None, note,
            )
        )  # fmt: skip
    return _with_ranks(ranked)


_SAME = ("workload", "accelerator", "n_accelerators", "nodes", "global_batch")


def _as_measured(ask: Mapping[str, object], runs: Sequence[Mapping[str, object]]) -> Minutes | None:
    """The median of the known runs of this very configuration; None when there is none."""
    wanted = [str(ask[name]).lower() for name in _SAME]
    same = [
        float(str(run["minutes"]))
        for run in runs
        if run["minutes"] and [str(run[name]).lower() for name in _SAME] == wanted
    ]
    if not same:
        return None
    middle = median(same)
    spread = 1 + _HALF_90 * RUN_NOISE
    return Minutes(middle, middle / spread, middle * spread, None, f"measured {len(same)} times")


def _with_ranks(rows: list[Ranked]) -> list[Ranked]:
    by_cost: dict[int, int] = {}
    by_time: dict[int, int] = {}
    for workload in {row.workload for row in rows}:
        own = [index for index, row in enumerate(rows) if row.workload == workload]
        priced = sorted((rows[i].usd, rows[i].minutes, i) for i in own if rows[i].usd is not None)
        timed = sorted((rows[i].minutes, i) for i in own if rows[i].minutes is not None)
        by_cost |= {place[-1]: rank for rank, place in enumerate(priced, start=1)}
        by_time |= {place[-1]: rank for rank, place in enumerate(timed, start=1)}
    return [
        replace(row, rank_by_cost=by_cost.get(index), rank_by_time=by_time.get(index))
        for index, row in enumerate(rows)
    ]


def _as_ask(row: Row) -> dict[str, object]:
    name = row.text("instance_type") or row.text("cloud_instance_equivalent")
    offer = offer_of(name, row.text("region")) if name else None
    accelerator = row.text("accelerator") or (offer.accelerator if offer else name)
    nodes = row.positive("nodes") or 1.0
    count = row.positive("n_accelerators") or row.positive("accelerators")
    if count is None and offer is not None and offer.accelerator_count:
        count = nodes * offer.accelerator_count
    if count is None:
        raise row.bad("accelerators", f"is empty, and the catalogue has no type {name!r}")
    try:
        device = find_device(accelerator)
    except BadInput as error:
        expected = "a type of the catalogue, or a known accelerator in the column accelerator"
        raise row.bad("instance_type", error.problems[0].message, expected) from error
    return {
        "workload": row.text("workload"),
        "instance_type": name or device.name,
        "accelerator": device.name,
        "n_accelerators": count,
        "nodes": nodes,
        "global_batch": row.text("global_batch"),
        "node_interconnect": row.text("node_interconnect"),
        "fabric_gb_s": row.text("fabric_gb_s") or _fabric_gb_s(offer),
        "minutes": row.text("minutes"),
    }


def _fabric_gb_s(offer: Offer | None) -> float | None:
    return offer.network_gbps / 8 if offer is not None and offer.network_gbps else None


def _row(row: Row | Mapping[str, object], name: str) -> Row:
    return row if isinstance(row, Row) else as_rows([row], name)[0]


def cheapest(rows: Sequence[Ranked]) -> Ranked:
    """The first choice by cost. BadInput when no candidate has a price and a time."""
    priced = [row for row in rows if row.rank_by_cost is not None]
    if not priced:
        raise BadInput(Problem("no candidate has both a list price and a predicted time"))
    return min(priced, key=lambda row: row.rank_by_cost or 0)
