"""What a stack demands of each site, as capabilities; and the refusals that follow.

Pure: knows the spec and the capability classes, no site and no engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from infra.core.errors import Problem
from infra.sites import capabilities as can
from infra.sites.capabilities import Capability
from infra.spec import Endpoint, Monitoring, PlatformSpec, Store, Training


class Demand(NamedTuple):
    """``path`` asks for ``capability``."""

    capability: type[Capability]
    path: tuple[str, ...]


_STRATEGIES: Mapping[str, type[Capability]] = {
    "canary": can.HasTrafficSplit,
    "blue-green": can.HasTrafficSplit,
    "ab": can.HasTrafficSplit,
    "shadow": can.HasShadowTraffic,
}
_ENGINES: Mapping[str, type[Capability]] = {
    "airflow": can.HasAirflow,
    "spark": can.HasSpark,
    "process": can.HasPipelines,
}
_TABLES: Mapping[str, type[Capability]] = {
    "iceberg": can.HasIcebergTables,
    "delta": can.HasDeltaTables,
}


def demands_of(platform: PlatformSpec, site: str) -> Iterator[Demand]:
    """Everything that ``platform`` asks of ``site``, with the config path that asks."""
    for index, link in enumerate(platform.links):
        if site in link:
            yield Demand(can.HasLinks, ("links", str(index)))
    yield from _data(platform, site)
    for name, pipeline in platform.pipelines.items():
        if pipeline.site == site:
            yield Demand(_ENGINES[pipeline.engine], ("pipelines", name, "engine"))
    for name, training in platform.training.items():
        if site in training.sites:
            yield from _training(("training", name), training)
    for name, endpoint in platform.endpoints.items():
        if site in endpoint.sites:
            yield from _endpoint(("endpoints", name), endpoint)
    yield from _monitoring(platform.monitoring)


def refusals(
    asked: Iterator[Demand],
    site_class: type,
    reasons: Mapping[type[Capability], str],
    site: str,
) -> list[Problem]:
    """One problem for each demand that ``site_class`` can't serve, with its reason."""
    return [
        Problem(
            f"site `{site}` can't serve this: {reasons[capability]}",
            path=".".join(("platform", *path)),
            fix="move it to a site that can (`mlscale support` prints which), or take it out",
        )
        for capability, path in asked
        if not issubclass(site_class, capability)
    ]


def _data(platform: PlatformSpec, site: str) -> Iterator[Demand]:
    for name, store in platform.stores.items():
        if store.site == site:
            yield from _store(("stores", name), store)
    for name, stream in platform.streams.items():
        if stream.site == site:
            yield Demand(can.HasStreams, ("streams", name))
            if stream.replay is not None:
                yield Demand(can.HasReplay, ("streams", name, "replay"))


def _store(path: tuple[str, ...], store: Store) -> Iterator[Demand]:
    if store.table_format in _TABLES:
        yield Demand(_TABLES[store.table_format], (*path, "table_format"))
    if store.online is not None:
        yield Demand(can.HasOnlineStore, (*path, "online"))
    if store.shared_files_gib is not None:
        yield Demand(can.HasSharedFiles, (*path, "shared_files_gib"))


def _training(path: tuple[str, ...], training: Training) -> Iterator[Demand]:
    layout = training.parallelism
    if layout is not None and layout.world_size > layout.data:
        yield Demand(can.HasModelParallel, (*path, "parallelism"))
    if layout is None or layout.data > 1:
        yield Demand(can.HasDataParallel, (*path, "parallelism"))
    if training.preemptible.allowed:
        yield Demand(can.HasSpot, (*path, "preemptible"))


def _endpoint(path: tuple[str, ...], endpoint: Endpoint) -> Iterator[Demand]:
    if endpoint.runtime != "onnx":
        yield Demand(can.HasOtherRuntimes, (*path, "runtime"))
    if endpoint.replicas > 1:
        yield Demand(can.HasReplicas, (*path, "replicas"))
    if endpoint.streaming is not None:
        yield Demand(can.HasStreamInference, (*path, "streaming"))
    strategy = _STRATEGIES.get(endpoint.release.strategy)
    if strategy is not None:
        yield Demand(strategy, (*path, "release", "strategy"))


def _monitoring(monitoring: Monitoring) -> Iterator[Demand]:
    if monitoring.metrics == "managed":
        yield Demand(can.HasManagedMetrics, ("monitoring", "metrics"))
    if monitoring.dashboards != "none":
        yield Demand(can.HasDashboards, ("monitoring", "dashboards"))
    if monitoring.sinks:
        yield Demand(can.HasMetricSinks, ("monitoring", "sinks"))
    if monitoring.drift is not None:
        yield Demand(can.HasDriftChecks, ("monitoring", "drift"))
