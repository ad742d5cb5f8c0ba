"""What a resource type of the provider is: one class, one file each.

The contract, for every handler:

- ``check`` reads and refuses; it changes nothing, and it is where a missing tool, a taken port or a full
  disk is found, because the engine checks every resource in preview, before anything is touched.
- ``create`` and ``update`` are idempotent: called again after a death half-way they find what is there
  and go on. They return only when the thing works, or raise; ``InitFailed`` when it exists but doesn't work
  yet (the engine then keeps it in state, and the next ``up`` updates it).
- ``read`` tells what is really there: None when it is gone. It never mends.
- ``delete`` of something that is gone succeeds in silence.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Properties = dict[str, Any]


class Inputs(BaseModel):
    """Base of the inputs of a resource type: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


InputsT = TypeVar("InputsT", bound=Inputs)


class InitFailed(Exception):
    """The resource exists under ``id`` with ``outputs``, but does not work: ``reasons``."""

    def __init__(self, resource_id: str, outputs: Properties, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.resource_id = resource_id
        self.outputs = outputs
        self.reasons = reasons


@dataclass(frozen=True)
class Failure:
    """Why an input can't be accepted: ``property`` is its name, "" for the whole resource."""

    property: str
    reason: str


@dataclass(frozen=True)
class Context:
    """What a handler may use of its caller."""

    log: Callable[[str], None] = lambda message: None
    """Say how far the work is, on the resource's line of the engine's display."""
    warn: Callable[[str], None] = lambda message: None
    """Say something that stays in the operation's output."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    timeout_seconds: float = 0.0
    """The resource's custom timeout, 0 for none."""


class Handler(ABC, Generic[InputsT]):
    """One resource type; see the module's contract."""

    token: ClassVar[str]
    inputs: ClassVar[type[Inputs]]
    outputs: ClassVar[tuple[str, ...]] = ()
    """Names of what only the provider knows."""
    stable: ClassVar[frozenset[str]] = frozenset()
    """Outputs that an update never changes, so that preview can go on showing them."""
    replace_on: ClassVar[frozenset[str]] = frozenset()
    """Names of inputs whose change means another resource."""

    def check(self, known: Properties) -> list[Failure]:
        """Refuse what can't work on this machine.

        ``known`` holds the inputs that are known by now, typed, under their names: in a
        preview what other resources will only tell later is absent. May also raise a project error.
        """
        return []

    def needs_mending(self, state: Mapping[str, Any]) -> str | None:
        """The output that shows (after a refresh) that the thing is broken, or None."""
        return None

    @abstractmethod
    def create(self, inputs: InputsT, context: Context) -> tuple[str, Properties]:
        """Make it and wait until it works; returns its id and its outputs."""

    @abstractmethod
    def read(self, resource_id: str, state: Properties) -> tuple[Properties, Properties] | None:
        """(inputs, outputs) as they are, or None when it is gone. ``state`` is empty on import."""

    def update(
        self, resource_id: str, state: Properties, inputs: InputsT, context: Context
    ) -> Properties:
        """Make it as ``inputs`` ask; returns its outputs."""
        return self.create(inputs, context)[1]

    @abstractmethod
    def delete(self, resource_id: str, state: Properties, context: Context) -> None:
        """Take it away with everything that it left."""
