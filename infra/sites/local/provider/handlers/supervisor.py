"""``mlscale:local:Supervisor``: the folder of a stack's running things, and its supervisord."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from infra.sites.local import told
from infra.sites.local.provider.handler import Context, Handler, Inputs, Properties
from infra.sites.local.provider.handlers._service import remove_if_empty
from infra.sites.local.supervision import Layout, Supervisor, UnitStatus, release


class SupervisorInputs(Inputs):
    """``directory``: absolute path of the stack's folder."""

    directory: str


class SupervisorHandler(Handler[SupervisorInputs]):
    """A supervisord of one stack; everything that runs in the stack runs under it."""

    token = "mlscale:local:Supervisor"
    inputs = SupervisorInputs
    outputs: ClassVar[tuple[str, ...]] = told.STATUS
    replace_on: ClassVar[frozenset[str]] = frozenset({"directory"})

    def needs_mending(self, state: Mapping[str, Any]) -> str | None:
        """One that doesn't answer."""
        return None if state.get("status") == UnitStatus.RUNNING else "status"

    def create(self, inputs: SupervisorInputs, context: Context) -> tuple[str, Properties]:
        """Start it; an earlier one's leftovers are swept first."""
        Supervisor(Layout(Path(inputs.directory))).start()
        return inputs.directory, {"status": str(UnitStatus.RUNNING)}

    def read(self, resource_id: str, state: Properties) -> tuple[Properties, Properties] | None:
        """Gone with its folder; stopped when it doesn't answer."""
        layout = Layout(Path(resource_id))
        if not layout.directory.exists():
            return None
        alive = Supervisor(layout).is_alive()
        status = UnitStatus.RUNNING if alive else UnitStatus.STOPPED
        return {"directory": resource_id}, {"status": str(status)}

    def delete(self, resource_id: str, state: Properties, context: Context) -> None:
        """Stop everything, give the ports back, take the folder away."""
        layout = Layout(Path(resource_id))
        if layout.directory.exists():
            Supervisor(layout).stop()
            release(layout)
            shutil.rmtree(layout.directory)
        remove_if_empty(layout.socket.parent)
        remove_if_empty(layout.directory.parent, layout.directory.parent.parent)
