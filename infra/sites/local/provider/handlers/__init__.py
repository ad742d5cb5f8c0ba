"""The resource types of the local site, one a file."""

from __future__ import annotations

from typing import Any

from infra.sites.local.provider.handler import Handler
from infra.sites.local.provider.handlers.broker import BrokerHandler
from infra.sites.local.provider.handlers.dataset import DatasetHandler
from infra.sites.local.provider.handlers.endpoint import EndpointHandler
from infra.sites.local.provider.handlers.exporter import ExporterHandler
from infra.sites.local.provider.handlers.model import ModelHandler
from infra.sites.local.provider.handlers.processor import ProcessorHandler
from infra.sites.local.provider.handlers.prometheus import PrometheusHandler
from infra.sites.local.provider.handlers.replay import ReplayHandler
from infra.sites.local.provider.handlers.store import StoreHandler
from infra.sites.local.provider.handlers.supervisor import SupervisorHandler
from infra.sites.local.provider.handlers.topic import TopicHandler
from infra.sites.local.provider.handlers.tracking import TrackingHandler
from infra.sites.local.provider.handlers.training import TrainingHandler


def all_handlers() -> list[Handler[Any]]:
    """One of each."""
    return [
        SupervisorHandler(),
        StoreHandler(),
        TrackingHandler(),
        BrokerHandler(),
        TopicHandler(),
        DatasetHandler(),
        TrainingHandler(),
        ModelHandler(),
        EndpointHandler(),
        ProcessorHandler(),
        ReplayHandler(),
        ExporterHandler(),
        PrometheusHandler(),
    ]
