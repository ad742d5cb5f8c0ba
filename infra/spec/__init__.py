"""What a stack may ask for: typed, closed, with every problem said at its line.

The public door; what is named here is imported when it is first used, so that commands which
need no declaration don't pay for pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.spec.budget import Budget
    from infra.spec.endpoints import Endpoint, Slo, Streaming
    from infra.spec.environments import Defaults, Environment
    from infra.spec.loader import load, parse, read, stacks_in
    from infra.spec.monitoring import Drift, Monitoring, Sink
    from infra.spec.owner import Owner
    from infra.spec.pipelines import Pipeline
    from infra.spec.platform import PlatformSpec
    from infra.spec.positions import Source
    from infra.spec.releases import Experiment, Gates, Release
    from infra.spec.secrets import SecretRef, secret
    from infra.spec.sites import LOCAL_SERVICES, Site
    from infra.spec.stores import Store
    from infra.spec.streams import Replay, Stream
    from infra.spec.training import Dataset, Parallelism, Preemptible, Training, Work

_HOMES = {
    "budget": ("Budget",),
    "endpoints": ("Endpoint", "Slo", "Streaming"),
    "environments": ("Defaults", "Environment"),
    "loader": ("load", "parse", "read", "stacks_in"),
    "monitoring": ("Drift", "Monitoring", "Sink"),
    "owner": ("Owner",),
    "pipelines": ("Pipeline",),
    "platform": ("PlatformSpec",),
    "positions": ("Source",),
    "releases": ("Experiment", "Gates", "Release"),
    "secrets": ("SecretRef", "secret"),
    "sites": ("LOCAL_SERVICES", "Site"),
    "stores": ("Store",),
    "streams": ("Replay", "Stream"),
    "training": ("Dataset", "Parallelism", "Preemptible", "Training", "Work"),
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "LOCAL_SERVICES",
    "Budget",
    "Dataset",
    "Defaults",
    "Drift",
    "Endpoint",
    "Environment",
    "Experiment",
    "Gates",
    "Monitoring",
    "Owner",
    "Parallelism",
    "Pipeline",
    "PlatformSpec",
    "Preemptible",
    "Release",
    "Replay",
    "SecretRef",
    "Sink",
    "Site",
    "Slo",
    "Source",
    "Store",
    "Stream",
    "Streaming",
    "Training",
    "Work",
    "load",
    "parse",
    "read",
    "secret",
    "stacks_in",
]


def __getattr__(name: str) -> Any:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
