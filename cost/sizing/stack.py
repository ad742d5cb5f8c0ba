"""Sizes everything that a stack declares and makes its capacity lock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cost.catalog.model import Offer
from cost.catalog.store import catalogue_date, catalogue_digest, load_offers
from cost.sizing.lock import Capacity, demand_digest
from cost.sizing.owned import PROVIDER, by_type, own_offers, price_note, refuse_beyond
from cost.sizing.planner import TrainingChoice, TrainingPlan, TrainingWork, plan_training
from cost.sizing.refit import (
    Refit,
    ServiceFit,
    read_what_ran,
    refit_service,
    refit_training,
)
from cost.sizing.replicas import ServingPlan, ServingWork, plan_serving
from cost.sizing.serving import ServedModel
from cost.sizing.shapes import transformer_shape
from cost.sizing.streams import size_airflow, size_stream
from cost.sizing.throughput import shipped_model
from infra.core.errors import MlscaleError, Problem, Refused

if TYPE_CHECKING:
    from infra.spec import Endpoint, PlatformSpec, Training

_LANGUAGE_RUNTIMES = frozenset({"vllm"})
_ACCELERATED_RUNTIMES = frozenset({"vllm", "triton"})
_ALTERNATIVES = 5
_SAMPLE_TOKENS = 1
_TASKS_A_RUN = 10
_TASK_MINUTES = 5.0


def size_stack(stack: str, spec: PlatformSpec, measured: Path | None = None) -> Capacity:
    """Capacity for each training, endpoint, stream and pipeline of ``spec``.

    ``measured``: a CSV table or Prometheus answer of what has run, see ``read_what_ran``.
    What can't be sized carries a reason instead of a choice; nothing is left out.
    """
    ran, served = read_what_ran(measured) if measured else ({}, {})
    return Capacity(
        stack=stack.rpartition("/")[2],
        demand_digest=demand_digest(spec),
        catalogue_date=catalogue_date().isoformat(),
        catalogue_digest=catalogue_digest(),
        model_version=shipped_model().version,
        training={
            name: _training(spec, one, ran.get(name, [])) for name, one in spec.training.items()
        },
        endpoints={
            name: _endpoint(spec, one, served.get(name, [])) for name, one in spec.endpoints.items()
        },
        streams={
            name: asdict(
                size_stream(one.mib_per_second, one.retention_hours, partitions=one.partitions)
            )
            for name, one in spec.streams.items()
            if spec.sites[one.site].cloud != "local"
        },
        pipelines=_pipelines(spec),
    )


def _nothing(reason: str) -> dict[str, Any]:
    return {"choice": None, "reasons": [reason]}


def offers_of(spec: PlatformSpec, site: str) -> list[Offer]:
    """What a site can provision: its region's offers, or the machines that stand there."""
    place = spec.sites[site]
    if place.cloud == "local":
        return []
    if place.cloud == "onprem":
        return own_offers(site, place.accelerators)
    return [
        one for one in load_offers() if (one.provider, one.region) == (place.cloud, place.region)
    ]


def _training(spec: PlatformSpec, one: Training, rows: Sequence[Any]) -> dict[str, Any]:
    if one.work is None or one.work.parameters is None or not (one.work.tokens or one.work.samples):
        return _nothing("no `work` with parameters and tokens is declared: nothing to size")
    refit = refit_training(rows) if rows else None
    work = as_work(one, refit)
    tried: list[str] = []
    best: TrainingPlan | None = None
    for site in one.sites:
        offers = offers_of(spec, site)
        if not offers:
            tried.append(f"{site}: nothing there that can be sized")
            continue
        try:
            plan = _plan_on(spec, site, work, offers)
        except Refused as error:
            tried.append(f"{site}: {error.problems[0].message}")
            continue
        if best is None or (plan.meets_deadline and not best.meets_deadline):
            best = plan
        if plan.meets_deadline:
            break
        tried.append(f"{site}: {plan.reasons[0]}")
    if best is None:
        return {"choice": None, "reasons": tried}
    return {
        "choice": choice_data(best.choice),
        "meets_deadline": best.meets_deadline,
        "reasons": [*best.reasons, *price_note(best), *(f"Not chosen, {text}" for text in tried)],
        "alternatives": [choice_data(other) for other in _spread(best)],
        "refit": asdict(refit) if refit else None,
    }


def _plan_on(
    spec: PlatformSpec, site: str, work: TrainingWork, offers: list[Offer]
) -> TrainingPlan:
    """The plan on one site; of one's own accelerators each type by itself, up to what is there."""
    place = spec.sites[site]
    if place.cloud != PROVIDER:
        return plan_training(work, offers)
    plans: list[TrainingPlan] = []
    refused: Refused | None = None
    for group, most in by_type(offers, place.accelerators, work):
        try:
            plans.append(plan_training(replace(work, max_accelerators=most), group))
        except Refused as error:
            refused = error
    if not plans:
        raise refused or Refused(Problem(f"{site} declares no accelerators"))
    if any(price_note(one) for one in plans):  # nothing to compare a price with: the faster one
        return min(plans, key=lambda one: (not one.meets_deadline, one.choice.hours_high))
    return min(plans, key=lambda one: (not one.meets_deadline, one.choice.usd))


def as_work(one: Training, refit: Refit | None = None) -> TrainingWork:
    """A declared training as the planner's input. Where work is counted in samples, a sample is
    taken as the sequence of as many tokens as its GFLOP (forward and backward) amount to at 6 a
    parameter and token; as one token when nothing is said of it."""
    work = one.work
    assert work is not None and work.parameters is not None
    sequence = work.sequence_length or (_SAMPLE_TOKENS if work.samples else 2048)
    if work.gflop_per_sample is not None:
        sequence = max(round(work.gflop_per_sample * 1e9 / (6 * work.parameters)), 1)
    return TrainingWork(
        parameters=float(work.parameters),
        tokens=float(work.tokens or (work.samples or 0) * sequence),
        sequence_length=sequence,
        global_batch=work.global_batch or 0,
        precision=work.precision,
        deadline_hours=one.deadline_hours or 0.0,
        spot=one.preemptible.allowed,
        keep_base_fraction=one.preemptible.keep_base_fraction,
        efficiency=refit.factor if refit else 1.0,
        efficiency_deviation=refit.deviation if refit else None,
    )


def _spread(plan: TrainingPlan) -> list[TrainingChoice]:
    """A few choices along the front, its ends among them."""
    others = [one for one in plan.front if one != plan.choice]
    if len(others) <= _ALTERNATIVES:
        return others
    step = (len(others) - 1) / (_ALTERNATIVES - 1)
    return [others[round(index * step)] for index in range(_ALTERNATIVES)]


def _endpoint(spec: PlatformSpec, one: Endpoint, rows: Sequence[Any]) -> dict[str, Any]:
    if one.slo.requests_per_second is None:
        return _nothing(f"no `slo.requests_per_second`: the declared {one.replicas} replicas stand")
    places = [site for site in one.sites if spec.sites[site].cloud != "local"]
    if not places:
        return _nothing("a local site: this machine is what there is")
    fit = refit_service(rows) if rows else None
    work = serving_work(spec, one, len(places), fit)
    found: dict[str, Any] = {}
    for site in places:
        try:
            offers = offers_of(spec, site)
            plan = plan_serving(work, offers)
            if spec.sites[site].cloud == PROVIDER:
                refuse_beyond(plan, offers, spec.sites[site].accelerators)
        except MlscaleError as error:
            found[site] = _nothing(error.problems[0].message)
            continue
        found[site] = _serving_data(plan, fit)
    return {"sites": found}


def serving_work(
    spec: PlatformSpec, one: Endpoint, sites: int, fit: ServiceFit | None
) -> ServingWork:
    """A declared endpoint as the planner's input; the peak is shared by its sites."""
    model = None
    if one.runtime in _LANGUAGE_RUNTIMES:
        model = _language_model(spec, one)
    assert one.slo.requests_per_second is not None
    work = ServingWork(
        requests_per_second=one.slo.requests_per_second / sites,
        p95_ms=one.slo.p95_ms,
        p99_ms=one.slo.p99_ms,
        availability=one.slo.availability or 0.99,
        cpu=one.runtime not in _ACCELERATED_RUNTIMES,
        model=model,
        max_batch=one.batching.max_rows,
        max_delay_ms=one.batching.max_delay_ms,
    )
    if fit is None:
        return work
    return replace(
        work, fixed_ms=fit.fixed_ms, request_ms=fit.request_ms, service_variation=fit.variation
    )


def _language_model(spec: PlatformSpec, one: Endpoint) -> ServedModel | None:
    """The model's size from the training that registers it."""
    for training in spec.training.values():
        named = training.registers is not None and training.registers.model == one.model_name
        if named and training.work is not None and training.work.parameters is not None:
            import numpy as np

            size = float(training.work.parameters)
            layers, width = transformer_shape(np.array([size]), np.array([2048.0]))
            heads = max(float(width[0]) / 128 / 4, 1.0)
            return ServedModel(
                one.model_name, "llm", size, float(layers[0]), float(width[0]), heads, 128.0
            )
    return None


def _serving_data(plan: ServingPlan, fit: ServiceFit | None) -> dict[str, Any]:
    assumed = (
        f"Service time measured over {fit.points} batches."
        if fit
        else f"Assumed: a batch takes {plan.work.fixed_ms:g} ms and {plan.work.request_ms:g} ms a "
        "row; give --measured once it has run."
    )
    if plan.work.model is not None and fit is None:
        assumed = "Service time from the decode roofline; give --measured once it has run."
    return {
        "choice": plain(asdict(plan.choice)),
        "reasons": [*plan.reasons, *price_note(plan), assumed],
        "alternatives": [plain(asdict(other)) for other in plan.alternatives],
        "refit": asdict(fit) if fit else None,
    }


def _pipelines(spec: PlatformSpec) -> dict[str, Any]:
    """Airflow is sized for each site as a whole: what starts together has to run together."""
    by_site: dict[str, int] = {}
    for one in spec.pipelines.values():
        if one.engine == "airflow":
            by_site[one.site] = by_site.get(one.site, 0) + 1
    return {
        f"airflow@{site}": {
            **asdict(size_airflow(count * _TASKS_A_RUN * 60 / _TASK_MINUTES, _TASK_MINUTES, count)),
            "reasons": [
                f"{count} pipelines that start at once, {_TASKS_A_RUN} tasks each of "
                f"{_TASK_MINUTES:g} minutes (assumed)"
            ],
        }
        for site, count in sorted(by_site.items())
    }


def choice_data(choice: TrainingChoice) -> dict[str, Any]:
    """A choice as plain data for YAML and JSON: money as text, four significant digits elsewhere."""
    return plain(asdict(choice))


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Decimals as text, floats to four significant digits, the rest as it is."""
    return {key: _plain(value) for key, value in data.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value


def as_json(capacity: Capacity) -> str:
    """The lock as JSON, for scripts."""
    return json.dumps(capacity.as_data(), indent=2, default=str)
