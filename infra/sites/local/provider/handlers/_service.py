"""What the resource types have in common that stand for a supervised process with a port."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar
from urllib.request import ProxyHandler, build_opener

from pydantic import Field

from infra.core.errors import MissingTool, Problem
from infra.sites.local import told
from infra.sites.local.provider.handler import (
    Context,
    Failure,
    Handler,
    InitFailed,
    Inputs,
    Properties,
)
from infra.sites.local.supervision import Layout, Supervisor, Unit, UnitStatus, owner_of, reserve
from infra.sites.local.supervision.ports import is_free
from workloads.jobs import write_json_atomically

_POLL_SECONDS = 0.1
_DIRECT = build_opener(ProxyHandler({}))
"""What listens on loopback is never behind the proxy that the environment may name."""


class ServiceInputs(Inputs):
    """``directory`` is the stack's folder; ``unit`` the process's name; ``port`` a fixed port."""

    directory: str
    unit: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    port: int | None = Field(default=None, ge=1024, le=65535)


ServiceInputsT = TypeVar("ServiceInputsT", bound=ServiceInputs)


class ServiceHandler(Handler[ServiceInputsT], Generic[ServiceInputsT]):
    """Create: choose a port, start the unit, wait until it is healthy. The id is ``folder#unit``."""

    outputs: ClassVar[tuple[str, ...]] = told.SERVICE
    stable: ClassVar[frozenset[str]] = frozenset({"url", "bound_port", "log"})
    replace_on: ClassVar[frozenset[str]] = frozenset({"directory", "unit"})
    health_seconds: ClassVar[float] = 60

    @abstractmethod
    def prepare(self, inputs: ServiceInputsT, layout: Layout, port: int) -> Unit:
        """Write what the process reads, and describe it."""

    def unhealthy(self, url: str) -> str | None:
        """Why it doesn't work yet, None once it does."""
        return http_unhealthy(f"{url}/health")

    def url(self, port: int) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{port}"

    def check(self, known: Properties) -> list[Failure]:
        """A fixed port must be free, or already be this unit's."""
        port, directory, unit = known.get("port"), known.get("directory"), known.get("unit")
        if port is None or directory is None or unit is None or is_free(port):
            return []
        supervisor = Supervisor(Layout(Path(directory)))
        owner = owner_of(port)
        if owner is not None and owner.pid == supervisor.state(unit).pid:
            return []
        by = f" by process {owner.pid} ({owner.name()})" if owner else ""
        reason = f"port {port} is taken{by}. Fix: stop it, or choose another under sites.*.ports"
        return [Failure("port", reason)]

    def needs_mending(self, state: Mapping[str, Any]) -> str | None:
        """A process that doesn't run."""
        healthy = (UnitStatus.RUNNING, UnitStatus.FINISHED)
        return None if state.get("status") in healthy else "status"

    def create(self, inputs: ServiceInputsT, context: Context) -> tuple[str, Properties]:
        """Start it and wait; a unit that is there already is only brought up to date."""
        layout = Layout(Path(inputs.directory))
        port = reserve(layout, inputs.unit, inputs.port)
        unit = self.prepare(inputs, layout, port)
        outputs: Properties = {
            "url": self.url(port),
            "bound_port": port,
            "log": str(layout.log(inputs.unit)),
            "status": str(UnitStatus.RUNNING),
        }
        wire = inputs.model_dump(mode="json", exclude_none=True)
        about = {"inputs": wire, "outputs": outputs}
        supervisor = Supervisor(layout)
        supervisor.start()
        supervisor.apply(Unit(**{**vars(unit), "about": about}))
        resource_id = f"{inputs.directory}#{inputs.unit}"
        reason = self._wait(supervisor, inputs.unit, outputs["url"], context)
        if reason is not None:
            failed = {**outputs, "status": str(UnitStatus.FAILED)}
            raise InitFailed(resource_id, failed, [reason])
        return resource_id, outputs

    def read(self, resource_id: str, state: Properties) -> tuple[Properties, Properties] | None:
        """From the unit's descriptor and from what the supervisor says of it."""
        directory, _, name = resource_id.partition("#")
        supervisor = Supervisor(Layout(Path(directory)))
        unit = supervisor.unit(name)
        if unit is None:
            return None
        outputs = {**unit.about["outputs"], "status": str(supervisor.state(name).status)}
        return dict(unit.about["inputs"]), outputs

    def delete(self, resource_id: str, state: Properties, context: Context) -> None:
        """Stop it and take its data away."""
        directory, _, name = resource_id.partition("#")
        if Path(directory).exists():
            Supervisor(Layout(Path(directory))).remove(name)

    def _wait(self, supervisor: Supervisor, name: str, url: str, context: Context) -> str | None:
        """None once healthy, else why not after the time was up."""
        deadline = time.monotonic() + (context.timeout_seconds or self.health_seconds)
        started = time.monotonic()
        while True:
            state = supervisor.state(name)
            if state.status is UnitStatus.RUNNING:
                reason = self.unhealthy(url)
                if reason is None:
                    return None
            else:
                reason = state.detail
            over = state.status in (UnitStatus.FAILED, UnitStatus.FINISHED)
            if over or time.monotonic() > deadline or context.cancelled.is_set():
                return (
                    f"{name} is not healthy: {reason}; its log ends:\n{supervisor.log_tail(name)}"
                )
            context.log(f"waiting for {name} ({time.monotonic() - started:.0f} s): {reason}")
            time.sleep(_POLL_SECONDS)


def http_unhealthy(url: str) -> str | None:
    """Why ``url`` doesn't answer with 200 within 2 s, None when it does."""
    try:
        with _DIRECT.open(url, timeout=2) as answer:
            return None if answer.status == 200 else f"{url} answered {answer.status}"
    except (OSError, HTTPException) as error:
        return f"{url}: {getattr(error, 'reason', error)}"


def required_tool(path: str | None, what: str, fix: str) -> str:
    """``path``, or ``MissingTool`` in plain words."""
    if path is None:
        raise MissingTool(Problem(f"{what} is missing", fix=fix))
    return path


def configured(
    inputs: ServiceInputs, layout: Layout, module: str, config: Mapping[str, Any]
) -> Unit:
    """``python -m module --config C.json``, with ``config`` written there; another one restarts it."""
    path = layout.data(inputs.unit) / "config.json"
    write_json_atomically(path, config)
    command = (sys.executable, "-m", module, "--config", str(path))
    digest = config_digest(json.dumps(config, sort_keys=True))
    return Unit(inputs.unit, command, environment={"MLSCALE_CONFIG_DIGEST": digest})


def config_digest(text: str) -> str:
    """Short digest that makes a unit restart when what it reads has changed."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def remove_if_empty(*folders: Path) -> None:
    """Take folders away, in order, up to the first that somebody still uses."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
