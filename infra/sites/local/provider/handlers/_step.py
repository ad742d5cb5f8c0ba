"""What the resource types have in common that stand for a run-to-completion step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import Field

from infra.sites.local.provider.handler import Context, Handler, Inputs, Properties
from infra.sites.local.supervision import Layout, Supervisor, run_step
from workloads.jobs import write_json_atomically


class StepInputs(Inputs):
    """``directory`` is the stack's folder; ``unit`` the step's name."""

    directory: str
    unit: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")


StepInputsT = TypeVar("StepInputsT", bound=StepInputs)


class StepHandler(Handler[StepInputsT], Generic[StepInputsT]):
    """Create and update run the step (or find its result); the id is ``folder#unit``."""

    module: ClassVar[str]
    replace_on: ClassVar[frozenset[str]] = frozenset({"directory", "unit"})

    @abstractmethod
    def request(self, inputs: StepInputsT, layout: Layout) -> dict[str, Any]:
        """What the step's program is asked."""

    @abstractmethod
    def told(self, result: Mapping[str, Any], inputs: StepInputsT) -> Properties:
        """The outputs, from the step's result."""

    def create(self, inputs: StepInputsT, context: Context) -> tuple[str, Properties]:
        """Run it to its end; after a death the same request goes on where it was."""
        layout = Layout(Path(inputs.directory))
        supervisor = Supervisor(layout)
        supervisor.start()
        request = self.request(inputs, layout)
        result = run_step(supervisor, inputs.unit, self.module, request, context)
        outputs = self.told(result, inputs)
        wire = inputs.model_dump(mode="json", exclude_none=True)
        told = layout.data(inputs.unit) / "resource.json"
        write_json_atomically(told, {"inputs": wire, "outputs": outputs})
        return f"{inputs.directory}#{inputs.unit}", outputs

    def read(self, resource_id: str, state: Properties) -> tuple[Properties, Properties] | None:
        """What the last run told, as long as its files are there."""
        import json

        directory, _, name = resource_id.partition("#")
        told = Layout(Path(directory)).data(name) / "resource.json"
        if not told.exists():
            return None
        known = json.loads(told.read_text(encoding="utf-8"))
        return known["inputs"], known["outputs"]

    def delete(self, resource_id: str, state: Properties, context: Context) -> None:
        """Forget the step and its files; what it made in a store belongs to the store."""
        directory, _, name = resource_id.partition("#")
        layout = Layout(Path(directory))
        if layout.directory.exists():
            Supervisor(layout).remove(name)
