"""Readers of the shipped tables. Each table is read once in a process and kept."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import TypeVar

from cost.catalog.model import (
    Accelerator,
    Fabric,
    Interruption,
    Offer,
    ServicePrice,
)
from infra.core.errors import BadInput, DamagedState, Problem

TABLES_VARIABLE = "MLSCALE_PRICE_TABLES"
"""Names imported tables (separated as in PATH) whose rows override the shipped ones."""

DATA = Path(__file__).with_name("data")

_Row = TypeVar("_Row")


def _rows(name: str, make: Callable[[list[str]], _Row]) -> Iterator[_Row]:
    path = DATA / name
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            reader = csv.reader(handle)
            next(reader)
            for cells in reader:
                yield make(cells)
    except (OSError, ValueError, KeyError, InvalidOperation, StopIteration) as error:
        raise DamagedState(
            Problem(
                f"the shipped price table can't be read: {error!r}",
                file=str(path),
                fix="reinstall the package, or build it again with python -m cost.catalog.build",
            )
        ) from error


def _float(text: str) -> float | None:
    return float(text) if text else None


def _money(text: str) -> Decimal | None:
    return Decimal(text) if text else None


@cache
def load_sources() -> dict[str, tuple[str, date]]:
    """Source id -> (where the price was read, earliest day it stands for)."""
    return dict(
        _rows("sources.csv", lambda cells: (cells[0], (cells[2], date.fromisoformat(cells[1]))))
    )


@cache
def load_offers() -> tuple[Offer, ...]:
    """Every instance type and region on offer, ordered by provider, type and region."""
    sources = load_sources()
    types = dict(_rows("instance_types.csv", lambda cells: ((cells[0], cells[1]), cells)))
    shapes = {
        key: (
            cells[2],
            int(cells[3]) if cells[3] else None,
            _float(cells[4]),
            cells[5],
            float(cells[6] or 0),
            _float(cells[7]),
            _float(cells[8]),
        )
        for key, cells in types.items()
    }

    def make(cells: list[str]) -> Offer:
        provider, region, name, price, spot, spot_min, spot_max, source, derived = cells
        family, vcpus, memory, accelerator, count, accelerator_memory, network = shapes[
            provider, name
        ]
        title, as_of = sources[source]
        return Offer(
            provider, region, name, family, vcpus, memory, accelerator, count, accelerator_memory,
            Decimal(price), _money(spot), _money(spot_min), _money(spot_max), network, title,
            as_of, derived == "1",
        )  # fmt: skip

    offers = tuple(_rows("offers.csv", make))
    return _overlaid(offers, own_tables())


def own_tables() -> list[Path]:
    """The user's tables that ``MLSCALE_PRICE_TABLES`` names; later ones win."""
    names = os.environ.get(TABLES_VARIABLE, "")
    return [Path(name) for name in names.split(os.pathsep) if name]


def _overlaid(offers: tuple[Offer, ...], tables: list[Path]) -> tuple[Offer, ...]:
    """The shipped rows with those of the user's tables in the place of the same offer."""
    if not tables:
        return offers
    from cost.catalog.overlay import read_offers

    rows = {(row.provider, row.region, row.instance_type): row for row in offers}
    for table in tables:
        for row in read_offers(table):
            rows[row.provider, row.region, row.instance_type] = row
    return tuple(
        sorted(rows.values(), key=lambda row: (row.provider, row.instance_type, row.region))
    )


@cache
def load_services() -> tuple[ServicePrice, ...]:
    """Every unit price of a service."""
    sources = load_sources()

    def make(cells: list[str]) -> ServicePrice:
        provider, region, key, name, unit, price, source, derived = cells
        return ServicePrice(
            provider, region, key, name, unit, Decimal(price), *sources[source], derived == "1"
        )

    return tuple(_rows("services.csv", make))


@cache
def load_accelerators() -> tuple[Accelerator, ...]:
    """Data sheets; every ``Offer.accelerator`` is the ``name`` of one of them."""
    sources = load_sources()

    def make(cells: list[str]) -> Accelerator:
        return Accelerator(
            cells[0],
            tuple(filter(None, cells[1].split("|"))),
            cells[2],
            _float(cells[3]),
            _float(cells[4]),
            _float(cells[5]),
            _float(cells[6]),
            cells[7],
            _float(cells[8]),
            _float(cells[9]),
            _float(cells[10]),
            sources[cells[11]][0],
        )

    return tuple(_rows("accelerators.csv", make))


@cache
def load_fabrics() -> tuple[Fabric, ...]:
    """Networks between accelerator nodes."""
    sources = load_sources()
    return tuple(
        _rows(
            "fabrics.csv",
            lambda cells: Fabric(
                cells[0], cells[1], cells[2], float(cells[3]), sources[cells[4]][0]
            ),
        )
    )


@cache
def load_interruptions() -> tuple[Interruption, ...]:
    """Spot interruption buckets of the types on offer."""
    sources = load_sources()

    def make(cells: list[str]) -> Interruption:
        provider, region, name, low, high, savings, source = cells
        return Interruption(
            provider, region, name, float(low), _float(high), float(savings), *sources[source]
        )

    return tuple(_rows("interruptions.csv", make))


@cache
def _offer_index() -> dict[tuple[str, str, str], Offer]:
    return {(row.provider, row.region, row.instance_type): row for row in load_offers()}


def find_offer(provider: str, region: str, instance_type: str) -> Offer | None:
    """The offer of that exact type in that region, or None."""
    return _offer_index().get((provider, region, instance_type))


@cache
def _service_index() -> dict[tuple[str, str], ServicePrice]:
    return {(row.key, row.region): row for row in load_services()}


def find_service(key: str, region: str) -> ServicePrice | None:
    """The unit price in that region, or the provider's global one, or None. Never another's."""
    index = _service_index()
    return index.get((key, region)) or index.get((key, "global"))


@cache
def _accelerator_index() -> dict[str, Accelerator]:
    index: dict[str, Accelerator] = {}
    for row in load_accelerators():
        for spelling in (row.name, *row.aliases):
            index[spelling.lower()] = row
    return index


def find_accelerator(name: str) -> Accelerator:
    """The data sheet by name or alias, in any case. BadInput names what is known."""
    row = _accelerator_index().get(name.lower())
    if row is None:
        known = ", ".join(sorted(item.name for item in load_accelerators()))
        raise BadInput(Problem(f"unknown accelerator {name!r}", expected=f"one of {known}"))
    return row


def catalogue_date() -> date:
    """The newest day that any shipped price stands for."""
    return max(row.as_of for row in load_offers())


@cache
def catalogue_digest() -> str:
    """SHA-256 over all tables in use: what a capacity lock pins beside the date."""
    digest = hashlib.sha256()
    for path in [*sorted(DATA.glob("*.csv")), *own_tables()]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
