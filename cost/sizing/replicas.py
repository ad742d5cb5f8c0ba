"""Replicas of an endpoint for what it promises, on each kind of machine, and what they cost.

A replica computes requests together, up to ``k`` at a time. It is taken as k servers whose service
lasts as long as the whole batch; since a request may arrive just after a batch has left, a whole
batch more is added to its latency. Both err on the safe side, which the discrete-event simulation
in the tests confirms for Poisson, diurnal and bursty arrivals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from cost.catalog.model import Offer, is_stale
from cost.catalog.store import load_offers
from cost.money import to_cents
from cost.sizing.hardware import Device, devices, find_device
from cost.sizing.queueing import servers_for
from cost.sizing.serving import ServedModel, decode
from infra.core.errors import BadInput, Problem, Refused

_HOURS_A_MONTH = Decimal(730)
_MIG_SLICES = ((1, 1), (2, 2), (3, 4), (4, 4), (7, 8))
"""(sevenths of the compute units, eighths of the memory) of A100, H100, H200, B200 profiles."""
_MIG_DEVICES = frozenset({"A100-40GB", "A100-80GB", "H100", "H100-NVL", "H200", "B200", "GH200"})
_REPLICA_AVAILABILITY = 0.995
"""Share of the time that one replica is there: node repairs, rollouts, restarts."""
_SPARE_UTILISATION = 0.7
"""What an autoscaler steers at, so that a new replica comes before the last is full."""
_LANGUAGE_EFFICIENCY = 0.75
"""Share of the decode roofline that servers reach under a latency limit (published server over
modelled rates lie between 0.7 and 1.2)."""


@dataclass(frozen=True)
class ServingWork:
    """What an endpoint promises, and what one request takes.

    ``requests_per_second`` is the peak that must hold, ``trough_fraction`` the quietest hour
    against it. ``p95_ms`` bounds the latency of 95 % of requests, ``p99_ms`` of 99 %.
    A batch of b requests takes ``fixed_ms + b * request_ms`` on the reference accelerator or, for
    ``cpu``, on one vCPU; for a language model those come from the roofline and ``model``, with
    ``output_tokens`` a request. ``service_variation`` is the coefficient of variation of service,
    ``arrival_variation`` of gaps between arrivals (1 Poisson, more for bursts within the peak).
    """

    requests_per_second: float
    p95_ms: float | None = None
    p99_ms: float | None = None
    availability: float = 0.999
    fixed_ms: float = 2.0
    request_ms: float = 1.0
    memory_gib: float = 1.0
    cpu: bool = False
    model: ServedModel | None = None
    max_batch: int = 64
    max_delay_ms: float = 2.0
    service_variation: float = 0.5
    arrival_variation: float = 1.0
    trough_fraction: float = 0.25
    spot: bool = False

    def __post_init__(self) -> None:
        wrong = [
            Problem(f"is {value!r}", path=name, expected="above zero")
            for name, value in (
                ("requests_per_second", self.requests_per_second),
                ("p95_ms", self.p95_ms if self.p95_ms is not None else 1.0),
                ("p99_ms", self.p99_ms if self.p99_ms is not None else 1.0),
                ("fixed_ms + request_ms", self.fixed_ms + self.request_ms),
                ("max_batch", self.max_batch),
            )
            if not value > 0
        ]
        if wrong:
            raise BadInput(wrong)


@dataclass(frozen=True)
class ServingChoice:
    """One way to keep the promise. ``replicas`` at the peak, spares for availability included;
    ``batch`` requests (or sequences) that a replica computes together in ``batch_ms``;
    ``accelerators`` a replica, ``slice`` its MIG profile or "". Costs are for the peak count."""

    provider: str
    region: str
    instance_type: str
    accelerator: str
    slice: str
    replicas: int
    least_replicas: int
    most_replicas: int
    instances: int
    batch: int
    batch_ms: float
    utilisation: float
    target_utilisation: float
    usd_per_hour: Decimal
    usd_per_month: Decimal
    usd_per_million_requests: Decimal
    usd_per_million_tokens: Decimal | None
    as_of: str
    stale_price: bool


@dataclass(frozen=True)
class ServingPlan:
    """The cheapest choice, the next ones by cost (one for each type), and why."""

    work: ServingWork
    choice: ServingChoice
    alternatives: tuple[ServingChoice, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ServiceTime:
    """Seconds of a batch of b: ``fixed + b * each``, at most ``most`` together. ``continuous``: a
    request joins those under way at their next token, and leaves when it is done."""

    fixed: float
    each: float
    most: int
    continuous: bool = False

    def seconds(self, batch: int) -> float:
        """How long a batch takes."""
        return self.fixed + batch * self.each


@dataclass(frozen=True)
class Replicas:
    """Replicas that keep the promise, with the batch that needs fewest of them."""

    count: int
    batch: int
    batch_seconds: float
    utilisation: float


def replicas_for(work: ServingWork, service: ServiceTime) -> Replicas | None:
    """Least replicas over the batch sizes 1, 2, 4 ...; None when even an idle one is too slow.

    Delay, one batch under way and one's own may together not exceed the bound at the quantile of
    service times; what is left may be spent waiting, by half of the late fraction, while the other
    half is for slow services (union bound).
    """
    bounds = [
        (limit / 1000, late)
        for limit, late in ((work.p95_ms, 0.05), (work.p99_ms, 0.01))
        if limit is not None
    ]
    best: Replicas | None = None
    size = 1
    while size <= min(work.max_batch, service.most):
        found = _replicas_at(work, service, size, bounds)
        if found and (best is None or found.count < best.count):
            best = found
        size *= 2
    return best


def _replicas_at(
    work: ServingWork, service: ServiceTime, size: int, bounds: Sequence[tuple[float, float]]
) -> Replicas | None:
    mean = service.seconds(size)
    variability = (work.arrival_variation**2 + work.service_variation**2) / 2
    waits = size > 1 and not service.continuous
    delay = work.max_delay_ms / 1000 if waits else 0.0
    under_way = mean if waits else 0.0
    rate = work.requests_per_second
    need = max(math.ceil(rate * mean / (_FULLEST * size)), 1)
    for limit, late in bounds:
        slow = mean * (1 + work.service_variation * _quantile(late / 2))
        left = limit - delay - under_way - slow
        if left < 0:
            return None
        slots = servers_for(rate, mean, left, late / 2, max(variability, 0.5))
        need = max(need, math.ceil(slots / size))
    return Replicas(need, size, mean, rate * mean / (need * size))


_FULLEST = 0.95


def _quantile(late: float) -> float:
    """Deviations above the mean that ``late`` of services exceed, for a gamma distribution or
    thinner tails: the exponential's, -ln(late) - 1, which bounds those of variation up to 1."""
    return -math.log(late) - 1


def spares(replicas: int, availability: float) -> int:
    """Replicas on top so that ``replicas`` of them are there ``availability`` of the time.

    Failures are independent with the availability of one replica (0.995); at least one spare is
    kept above 99.9 %.
    """
    extra = 1 if availability > 0.999 else 0
    while _enough(replicas + extra, replicas) < availability:
        extra += 1
    return extra


def _enough(total: int, needed: int) -> float:
    """Chance that at most ``total - needed`` are down; in logarithms, as thousands overflow."""
    up = _REPLICA_AVAILABILITY
    return math.fsum(
        math.exp(
            math.lgamma(total + 1) - math.lgamma(down + 1) - math.lgamma(total - down + 1)
            + down * math.log(1 - up) + (total - down) * math.log(up)
        )
        for down in range(total - needed + 1)
    )  # fmt: skip


def service_time(
    work: ServingWork, device: Device | None, sevenths: int = 7, vcpus: int = 0
) -> tuple[ServiceTime, int] | None:
    """(time of a batch, accelerators a replica) on a device or on ``vcpus``; None when it doesn't
    fit. A MIG slice computes at its share of the units."""
    if device is None:
        cores = max(vcpus, 1)
        at_once = min(cores, work.max_batch)
        return ServiceTime(
            work.fixed_ms / 1000, work.request_ms / 1000 / at_once, work.max_batch
        ), 0
    share = sevenths / 7
    if work.model is not None and work.model.language:
        return _language_time(work.model, device, work.max_batch)
    eighths = dict(_MIG_SLICES)[sevenths]
    if work.memory_gib > device.memory_gib * eighths / 8 * 0.9:
        return None
    slower = _against_reference(device) / share
    return ServiceTime(work.fixed_ms / 1000, work.request_ms / 1000 * slower, work.max_batch), 1


def _language_time(model: ServedModel, device: Device, most: int) -> tuple[ServiceTime, int] | None:
    """A whole answer, token by token: every step reads the weights however few sequences there are,
    so one request alone takes far more than its share of a full batch."""
    full, alone = decode(model, device, most), decode(model, device, 1)
    if full is None or alone is None:
        return None
    steps = model.output_tokens / _LANGUAGE_EFFICIENCY
    further = full.sequences - 1
    each = (full.step_seconds - alone.step_seconds) / further if further else 0.0
    fixed = alone.step_seconds - each
    return ServiceTime(fixed * steps, each * steps, full.sequences, continuous=True), full.tensor


def _against_reference(device: Device) -> float:
    from cost.sizing.hardware import REFERENCE

    reference = devices()[REFERENCE]
    compute = reference.matmul_tflops / device.matmul_tflops
    return 0.8 * compute + 0.2 * reference.memory_gb_s / device.memory_gb_s


def plan_serving(work: ServingWork, offers: Sequence[Offer] | None = None) -> ServingPlan:
    """The cheapest way to keep the promise out of ``offers`` (the catalogue unless given).

    Refused when no machine on offer answers within the bound even when idle.
    """
    found: dict[tuple[str, str], ServingChoice] = {}
    for offer in load_offers() if offers is None else offers:
        for choice in _choices(work, offer):
            key = (choice.instance_type, choice.slice)
            if key not in found or choice.usd_per_hour < found[key].usd_per_hour:
                found[key] = choice
    if not found:
        raise Refused(
            Problem(
                "no machine on offer answers within the bound, even when idle",
                expected=f"p95 {work.p95_ms} ms, p99 {work.p99_ms} ms",
                fix="allow more time, a smaller model, or a faster accelerator",
            )
        )
    ranked = sorted(
        found.values(),
        key=lambda one: (one.usd_per_hour, one.instances, one.instance_type, one.region, one.slice),
    )
    return ServingPlan(work, ranked[0], tuple(ranked[1:6]), _reasons(work, ranked))


def _choices(work: ServingWork, offer: Offer) -> list[ServingChoice]:
    if not offer.accelerator:
        if not work.cpu or not offer.vcpus:
            return []
        found = service_time(work, None, vcpus=offer.vcpus)
        return [] if found is None else _choice(work, offer, None, 7, found[0], 1)
    if work.cpu or offer.accelerator_count < 1 or offer.accelerator_count % 1:
        return []
    device = find_device(offer.accelerator)
    slices = [7]
    if device.name in _MIG_DEVICES and not (work.model and work.model.language):
        slices = [sevenths for sevenths, _ in _MIG_SLICES]
    choices = []
    for sevenths in slices:
        found = service_time(work, device, sevenths)
        if found is None or found[1] > offer.accelerator_count:
            continue
        an_instance = int(offer.accelerator_count) // found[1] * (7 // sevenths)
        choices += _choice(work, offer, device, sevenths, found[0], an_instance)
    return choices


def _choice(
    work: ServingWork,
    offer: Offer,
    device: Device | None,
    sevenths: int,
    service: ServiceTime,
    an_instance: int,
) -> list[ServingChoice]:
    need = replicas_for(work, service)
    if need is None:
        return []
    replicas = need.count + spares(need.count, work.availability)
    instances = math.ceil(replicas / an_instance)
    quiet = replace(work, requests_per_second=work.requests_per_second * work.trough_fraction)
    least_need = replicas_for(quiet, service)
    least = min((least_need or need).count + spares(1, work.availability), replicas)
    price = offer.spot_usd_per_hour if work.spot else offer.on_demand_usd_per_hour
    if price is None:
        return []
    per_hour = price * instances
    per_million = per_hour * 1_000_000 / (Decimal(repr(work.requests_per_second)) * 3600)
    tokens = work.model.output_tokens if work.model and work.model.language else None
    eighths = dict(_MIG_SLICES)[sevenths]
    memory = device.memory_gib * eighths / 8 if device else 0
    return [
        ServingChoice(
            offer.provider, offer.region, offer.instance_type, device.name if device else "",
            f"{sevenths}g.{memory:.0f}gb" if sevenths < 7 else "",
            replicas, least, math.ceil(replicas * 1.25), instances, need.batch,
            need.batch_seconds * 1000, need.utilisation, min(_SPARE_UTILISATION, need.utilisation),
            per_hour, to_cents(per_hour * _HOURS_A_MONTH), to_cents(per_million),
            to_cents(per_million / Decimal(repr(tokens))) if tokens else None,
            offer.as_of.isoformat(), is_stale(offer),
        )
    ]  # fmt: skip


def _reasons(work: ServingWork, ranked: Sequence[ServingChoice]) -> tuple[str, ...]:
    best = ranked[0]
    where = f"{best.instance_type} ({best.provider} {best.region})"
    what = f"{best.accelerator} {best.slice}".strip() or "CPU"
    said = [
        f"{best.replicas} replicas on {best.instances} x {where}, {what}: {best.usd_per_hour} USD an "
        f"hour, {best.usd_per_million_requests} USD a million requests at the peak of "
        f"{work.requests_per_second:g} a second.",
        f"Each computes up to {best.batch} together in {best.batch_ms:.3g} ms and is "
        f"{best.utilisation:.0%} busy at the peak; {best.least_replicas} to {best.most_replicas} "
        f"replicas, steered at {best.target_utilisation:.0%}.",
    ]
    other = next((one for one in ranked[1:] if one.instance_type != best.instance_type), None)
    if other is not None:
        way = "Fewer, larger ones" if other.instances < best.instances else "Others"
        said.append(
            f"{way} ({other.instances} x {other.instance_type}) would cost {other.usd_per_hour} USD "
            "an hour."
        )
    if best.stale_price:
        said.append(f"The price is stale: it stands for {best.as_of}; check it before buying.")
    return tuple(said)
