"""``mlscale:local:Broker``: a Kafka broker in KRaft mode, from its jars."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from infra.core.errors import MissingTool
from infra.sites.local.provider.handler import Failure, Properties
from infra.sites.local.provider.handlers._service import ServiceHandler, ServiceInputs
from infra.sites.local.supervision import Layout, Unit, reserve
from workloads.jobs import write_text_atomically


class BrokerInputs(ServiceInputs):
    """``heap_mib``: the Java heap, MiB."""

    heap_mib: int = Field(default=192, ge=96, le=8192)


class BrokerHandler(ServiceHandler[BrokerInputs]):
    """One node that is broker and controller; its log is on this machine's disk."""

    token = "mlscale:local:Broker"
    inputs = BrokerInputs
    health_seconds: ClassVar[float] = 90

    def check(self, known: Properties) -> list[Failure]:
        """Java is there and every jar is whole."""
        from workloads.streaming.broker import find_java, libs_directory, verify_jars

        find_java()
        problems = verify_jars(libs_directory())
        if problems:
            raise MissingTool(problems[:3])
        return super().check(known)

    def url(self, port: int) -> str:
        """The bootstrap address that clients take."""
        return f"127.0.0.1:{port}"

    def prepare(self, inputs: BrokerInputs, layout: Layout, port: int) -> Unit:
        """Write the properties, format the log folder once, and describe the process."""
        from workloads.streaming import broker

        settings = broker.BrokerSettings(
            directory=layout.data(inputs.unit),
            port=port,
            controller_port=reserve(layout, f"{inputs.unit}-controller"),
            cluster_id=_cluster_id(layout.data(inputs.unit)),
            heap_mib=inputs.heap_mib,
        )
        java, libs = broker.find_java(), broker.libs_directory()
        broker.format_storage(settings, libs, java)
        command = tuple(broker.broker_command(settings, libs, java))
        return Unit(inputs.unit, command, stop_seconds=30)

    def unhealthy(self, url: str) -> str | None:
        """It answers a request for its metadata."""
        from workloads.streaming.topics import describe_topic

        try:
            describe_topic(url, "mlscale-health", timeout_seconds=2)
        except MissingTool as error:
            return error.problems[0].message
        return None


def _cluster_id(directory: Path) -> str:
    """The id that the folder was made for; chosen once, because Kafka refuses another one."""
    from workloads.streaming.broker import new_cluster_id

    path = directory / "cluster-id"
    if not path.exists():
        write_text_atomically(path, new_cluster_id())
    return path.read_text(encoding="utf-8")
