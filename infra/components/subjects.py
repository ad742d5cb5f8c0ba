"""One class a subject, with the outputs that every site promises."""

from __future__ import annotations

from typing import ClassVar

import pulumi

from infra.components.base import Component


class Store(Component):
    """Versioned objects and tables. ``location``: where (a URL or a path)."""

    token = "mlscale:platform:Store"
    promised: ClassVar[frozenset[str]] = frozenset({"location"})
    location: pulumi.Output[str]


class Stream(Component):
    """A topic. ``bootstrap``: the address that Kafka clients take; ``topic``: its name."""

    token = "mlscale:platform:Stream"
    promised: ClassVar[frozenset[str]] = frozenset({"bootstrap", "topic"})
    bootstrap: pulumi.Output[str]
    topic: pulumi.Output[str]


class Training(Component):
    """A training job whose model is registered.

    ``model_uri``: the version (``models:/digits/3``); ``run_id``: its run in the registry;
    ``data_snapshot``: what it was trained on; ``metrics``: measured on the held-out split.
    """

    token = "mlscale:platform:Training"
    promised: ClassVar[frozenset[str]] = frozenset(
        {"model_uri", "run_id", "data_snapshot", "metrics"}
    )
    model_uri: pulumi.Output[str]
    run_id: pulumi.Output[str]
    data_snapshot: pulumi.Output[str]
    metrics: pulumi.Output[dict[str, float]]


class Endpoint(Component):
    """A served model. ``url``: where it answers the Open Inference Protocol."""

    token = "mlscale:platform:Endpoint"
    promised: ClassVar[frozenset[str]] = frozenset({"url", "model_uri"})
    url: pulumi.Output[str]
    model_uri: pulumi.Output[str]


class Monitoring(Component):
    """What is watched. ``metrics_url``: where metrics are asked (PromQL)."""

    token = "mlscale:platform:Monitoring"
    promised: ClassVar[frozenset[str]] = frozenset({"metrics_url"})
    metrics_url: pulumi.Output[str]
