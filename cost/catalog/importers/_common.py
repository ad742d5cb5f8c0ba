"""What the importers share: known shapes of machines, pages over HTTP with retries, amounts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING, Any

from cost.catalog.importers import Record
from cost.catalog.store import load_offers
from infra.core.errors import BadInput, Problem

if TYPE_CHECKING:
    import httpx

_RETRIES = 6
_RETRY_STATUS = frozenset({408, 429, 500, 502, 503, 504})


@cache
def shapes(provider: str) -> Mapping[str, Record]:
    """vCPU, memory and accelerators of every machine type that the catalogue knows."""
    return {
        row.instance_type: {
            "vcpus": "" if row.vcpus is None else str(row.vcpus),
            "memory_gib": "" if row.memory_gib is None else f"{row.memory_gib:g}",
            "accelerator": row.accelerator,
            "accelerator_count": f"{row.accelerator_count:g}",
            "accelerator_memory_gib": ""
            if row.accelerator_memory_gib is None
            else f"{row.accelerator_memory_gib:g}",
            "network_gbps": "" if row.network_gbps is None else f"{row.network_gbps:g}",
        }
        for row in load_offers()
        if row.provider == provider
    }


def amount(value: Any, where: str) -> Decimal:
    """A price of a page; BadInput names the page."""
    try:
        return Decimal(str(value))
    except InvalidOperation as error:
        raise malformed(where, f"{value!r} is no price") from error


def malformed(where: str, why: object) -> BadInput:
    """A page that isn't of the documented shape."""
    return BadInput(
        Problem(f"{where}: not the documented shape ({why})", fix="retry, or report the page")
    )


def pages(
    client: httpx.Client,
    url: str,
    following: Callable[[dict[str, Any]], str | None],
    progress: Callable[[int], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, document) of every page; ``following`` gives the next page's address, or None.

    Throttling and server errors are retried with growing pauses (or what Retry-After says).
    """
    number, address = 0, url
    while address:
        number += 1
        where = f"{client.base_url.host or address.split('/')[2]} page {number}"
        document = _get(client, address, where, pause)
        yield where, document
        progress(number)
        upcoming = following(document)
        if upcoming == address:
            raise malformed(where, "the next page is the same page")
        address = upcoming or ""


def _get(
    client: httpx.Client, address: str, where: str, pause: Callable[[float], None]
) -> dict[str, Any]:
    import httpx

    problem: object = ""
    for attempt in range(_RETRIES):
        try:
            answer = client.get(address)
        except httpx.TransportError as error:
            problem = error
            pause(min(2.0**attempt, 30))
            continue
        if answer.status_code in _RETRY_STATUS:
            problem = f"HTTP {answer.status_code}"
            waited = answer.headers.get("retry-after", "")
            pause(float(waited) if waited.isdigit() else min(2.0**attempt, 30))
            continue
        if answer.is_error:
            raise BadInput(Problem(f"{where}: HTTP {answer.status_code}: {answer.text[:200]}"))
        try:
            document = answer.json()
        except ValueError as error:
            raise malformed(where, f"not JSON: {error}") from error
        if not isinstance(document, dict):
            raise malformed(where, "not an object")
        return document
    raise BadInput(Problem(f"{where}: gave up after {_RETRIES} tries: {problem}"))
