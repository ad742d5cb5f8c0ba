"""The composition root: one pass over the declaration, in the order in which subjects need each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from infra.core.tags import tags_of
from infra.sites.base import Site
from infra.sites.capabilities import HasPipelines, HasReplay, HasStreams
from infra.spec import PlatformSpec


def build(
    platform: PlatformSpec, classes: Mapping[str, type[Site]], stack: str
) -> dict[str, pulumi.Input[Any]]:
    """Register everything that ``platform`` asks for; returns the stack's outputs.

    ``classes`` are the sites' classes, which have agreed to the declaration (``require_supported``).
    """
    tags = tags_of(platform.owner.model_dump(), platform.name, platform.environment, stack)
    sites = {name: cls(name, platform, stack, tags) for name, cls in classes.items()}
    for site in sites.values():
        site.open()
    for name, store in platform.stores.items():
        site = sites[store.site]
        site.stores[name] = site.store(name, store)
    for name, stream in platform.streams.items():
        holder = sites[stream.site]
        assert isinstance(holder, HasStreams)
        holder.streams[name] = holder.stream(name, stream)
    for name, training in platform.training.items():
        site = sites[training.sites[0]]
        site.trainings[name] = site.training(name, training)
    for name, endpoint in platform.endpoints.items():
        for site_name in endpoint.sites:
            site = sites[site_name]
            site.endpoints[name] = site.endpoint(name, endpoint)
    for name, pipeline in platform.pipelines.items():
        runner = sites[pipeline.site]
        assert isinstance(runner, HasPipelines)
        runner.pipeline(name, pipeline)
    monitored = {}
    for name, site in sites.items():
        if isinstance(site, HasReplay):
            site.replays()
        monitored[name] = site.monitoring(platform.monitoring)
    return _outputs(sites, {name: one.metrics_url for name, one in monitored.items()})


def _outputs(
    sites: Mapping[str, Site], metrics: Mapping[str, pulumi.Output[str]]
) -> dict[str, pulumi.Input[Any]]:
    endpoints = {
        f"{name}@{site.name}" if len(sites) > 1 else name: endpoint.url
        for site in sites.values()
        for name, endpoint in site.endpoints.items()
    }
    models = {
        name: training.model_uri
        for site in sites.values()
        for name, training in site.trainings.items()
    }
    stores = {
        name: store.location for site in sites.values() for name, store in site.stores.items()
    }
    streams = {
        name: stream.bootstrap for site in sites.values() for name, stream in site.streams.items()
    }
    tracking = {
        site.name: url for site in sites.values() if (url := site.tracking_url()) is not None
    }
    return {
        "endpoints": endpoints,
        "models": models,
        "stores": stores,
        "streams": streams,
        "tracking": tracking,
        "metrics": dict(metrics),
    }
