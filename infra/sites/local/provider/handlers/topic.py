"""``mlscale:local:Topic``: a topic of the local broker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from infra.core.errors import MissingTool
from infra.sites.local.provider.handler import Context, Handler, Inputs, Properties

_ASK_SECONDS = 5.0
"""How long a refresh waits for a broker that may be down."""


class TopicInputs(Inputs):
    """``bootstrap``: the broker's address; partitions can grow, never shrink."""

    bootstrap: str
    name: str = Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    partitions: int = Field(default=1, ge=1, le=1000)
    retention_hours: int = Field(default=24, ge=1)


class TopicHandler(Handler[TopicInputs]):
    """The id is ``bootstrap/name``."""

    token = "mlscale:local:Topic"
    inputs = TopicInputs
    replace_on: ClassVar[frozenset[str]] = frozenset({"bootstrap", "name"})

    def create(self, inputs: TopicInputs, context: Context) -> tuple[str, Properties]:
        """Make it, or bring an existing one to what is asked."""
        from workloads.streaming.topics import ensure_topic

        ensure_topic(inputs.bootstrap, inputs.name, inputs.partitions, inputs.retention_hours)
        return f"{inputs.bootstrap}/{inputs.name}", {}

    def read(self, resource_id: str, state: Properties) -> tuple[Properties, Properties] | None:
        """Ask the broker; while it is down nothing can be said against the topic."""
        from workloads.streaming.topics import describe_topic

        bootstrap, _, name = resource_id.partition("/")
        try:
            found: Mapping[str, Any] | None = describe_topic(bootstrap, name, _ASK_SECONDS)
        except MissingTool:
            if not state:  # an import, which has nothing to fall back on
                raise
            inputs = {
                key: state[key] for key in ("bootstrap", "name", "partitions", "retention_hours")
            }
            return inputs, {}
        if found is None:
            return None
        known = {"partitions": found["partitions"], "retention_hours": found["retention_hours"]}
        return {"bootstrap": bootstrap, "name": name, **known}, {}

    def delete(self, resource_id: str, state: Properties, context: Context) -> None:
        """Delete it; a broker that is gone took it along."""
        from workloads.streaming.topics import delete_topic

        bootstrap, _, name = resource_id.partition("/")
        try:
            delete_topic(bootstrap, name)
        except MissingTool as error:
            context.log(f"the broker is gone: {error}")
