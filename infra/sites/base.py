"""The contract that a site fulfils: small, and the same for every cloud.

For every method of a site:

- It registers resources and returns at once; nothing is awaited, nothing asks the network.
- It creates nothing inside an ``apply``: what it registers in a preview is what an update registers.
- Called once for each subject, in the order of ``infra.composition``; a subject may use the components of
  subjects that came before it (a stream's replay uses a training's dataset).
- What is unknown at preview stays an ``Output``; a site never guesses.
- It raises ``Unsupported`` only from ``refusals``, before anything is registered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import pulumi

from infra import components
from infra.core.errors import Problem
from infra.core.tags import Tags
from infra.sites.capabilities import Capability
from infra.sites.demands import demands_of, refusals
from infra.spec import Endpoint, Monitoring, PlatformSpec, Store, Training


class Site(ABC):
    """One site of a stack. The class says what it can; an instance registers resources."""

    cloud: ClassVar[str]
    reasons: ClassVar[Mapping[type[Capability], str]]
    """Why not, for each capability that the class doesn't inherit."""

    def __init__(self, name: str, platform: PlatformSpec, stack: str, tags: Tags) -> None:
        self.name = name
        self.platform = platform
        self.stack = stack
        self.tags = tags
        self.stores: dict[str, components.Store] = {}
        self.streams: dict[str, components.Stream] = {}
        self.trainings: dict[str, components.Training] = {}
        self.endpoints: dict[str, components.Endpoint] = {}

    @classmethod
    def refusals(cls, platform: PlatformSpec, name: str) -> list[Problem]:
        """Everything in ``platform`` that this kind of site can't serve; empty means it can.

        Pure: reads the declaration only, so that ``mlscale validate`` says the same.
        """
        return refusals(demands_of(platform, name), cls, cls.reasons, name)

    @abstractmethod
    def open(self) -> components.Place:
        """Network, identity, whatever everything else of the site stands on."""

    @abstractmethod
    def store(self, name: str, spec: Store) -> components.Store:
        """Versioned objects and tables; with ``protect`` they survive the stack."""

    @abstractmethod
    def training(self, name: str, spec: Training) -> components.Training:
        """Data, job, gate, registration. The same declaration trains the same model once."""

    @abstractmethod
    def endpoint(self, name: str, spec: Endpoint) -> components.Endpoint:
        """A served model; done when it answers."""

    def tracking_url(self) -> pulumi.Output[str] | None:
        """Where runs and models can be looked at; None when the site tracks nothing."""
        return None

    @abstractmethod
    def monitoring(self, spec: Monitoring) -> components.Monitoring:
        """Scrapes whatever the site's subjects expose; called last."""
