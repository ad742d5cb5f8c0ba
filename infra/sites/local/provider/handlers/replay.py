"""``mlscale:local:Replay``: a split of a table, sent as events; goes on after the ``up`` is over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from infra.sites.local import told
from infra.sites.local.provider.handler import Context, Handler, Properties
from infra.sites.local.provider.handlers._step import StepInputs
from infra.sites.local.supervision import Layout, Supervisor, UnitStatus
from infra.sites.local.supervision.steps import Step, fingerprint, finished, start_step
from workloads.jobs import write_json_atomically

_MODULE = "workloads.streaming.replay"


class ReplayInputs(StepInputs):
    """``events_per_second``: 0 is as fast as the broker takes them."""

    bootstrap: str
    topic: str
    store: str
    table: str
    snapshot_id: str
    split: str = "test"
    events_per_second: float = Field(default=0, ge=0)
    passes: int = Field(default=1, ge=1)


class ReplayHandler(Handler[ReplayInputs]):
    """Each event once, in order, whatever dies in between; the id is ``folder#unit``."""

    token = "mlscale:local:Replay"
    inputs = ReplayInputs
    outputs: ClassVar[tuple[str, ...]] = told.STATUS
    replace_on: ClassVar[frozenset[str]] = frozenset({"directory", "unit"})

    def needs_mending(self, state: Mapping[str, Any]) -> str | None:
        """One that neither runs nor is done."""
        good = (UnitStatus.RUNNING, UnitStatus.FINISHED)
        return None if state.get("status") in good else "status"

    def create(self, inputs: ReplayInputs, context: Context) -> tuple[str, Properties]:
        """Start it, or start it again where it stopped."""
        layout = Layout(Path(inputs.directory))
        step = _step(inputs, layout)
        if not finished(step):
            supervisor = Supervisor(layout)
            supervisor.start()
            start_step(supervisor, step)
        wire = inputs.model_dump(mode="json", exclude_none=True)
        write_json_atomically(layout.data(inputs.unit) / "resource.json", wire)
        # The same word whether it is done yet or not: that it ended is no drift.
        return f"{inputs.directory}#{inputs.unit}", {"status": str(UnitStatus.RUNNING)}

    def read(self, resource_id: str, state: Properties) -> tuple[Properties, Properties] | None:
        """RUNNING also stands for done; anything else has to be started again."""
        import json

        directory, _, name = resource_id.partition("#")
        layout = Layout(Path(directory))
        path = layout.data(name) / "resource.json"
        if not path.exists():
            return None
        wire = json.loads(path.read_text(encoding="utf-8"))
        inputs = ReplayInputs.model_validate(wire)
        done = finished(_step(inputs, layout))
        status = UnitStatus.RUNNING if done else Supervisor(layout).state(name).status
        return wire, {"status": str(status)}

    def delete(self, resource_id: str, state: Properties, context: Context) -> None:
        """Stop it; the events that were sent stay in the topic."""
        directory, _, name = resource_id.partition("#")
        layout = Layout(Path(directory))
        if layout.directory.exists():
            Supervisor(layout).remove(name)


def _step(inputs: ReplayInputs, layout: Layout) -> Step:
    request = inputs.model_dump(exclude={"directory", "unit"})
    folder = layout.data(inputs.unit) / fingerprint(_MODULE, request)
    return Step(inputs.unit, _MODULE, request, folder)
