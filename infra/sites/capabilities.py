"""What a site may be able to do beyond the minimum: one mixin a capability.

A site supports a capability exactly when its class inherits the mixin, so the support matrix
can't drift from the code; and it gives a reason for every one that it lacks.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from infra import components
    from infra.spec import Pipeline, Stream


class Capability:
    """Base of the mixins; the first line of each docstring is its line in the matrix."""

    title: ClassVar[str]


class HasStreams(Capability):
    """Kafka topics."""

    title = "streams (Kafka)"

    @abstractmethod
    def stream(self, name: str, spec: Stream) -> components.Stream:
        """A topic that exists, with its broker answering, when the component is done."""


class HasStreamInference(Capability):
    """Predicting the events of a stream into a table, each exactly once."""

    title = "stream inference"


class HasReplay(Capability):
    """Feeding a stream from a dataset."""

    title = "dataset replay"

    @abstractmethod
    def replays(self) -> None:
        """Feed every stream of the site that asks for it; called once its readers are there."""


class HasPipelines(Capability):
    """Packages run on a schedule by the site's own scheduler."""

    title = "scheduled pipelines"

    @abstractmethod
    def pipeline(self, name: str, spec: Pipeline) -> components.Component:
        """A schedule that starts the package; started again it changes nothing."""


class HasAirflow(Capability):
    """Pipelines on Airflow."""

    title = "Airflow"


class HasSpark(Capability):
    """Pipelines on Spark."""

    title = "Spark"


class HasIcebergTables(Capability):
    """Stores with Iceberg tables."""

    title = "Iceberg tables"


class HasDeltaTables(Capability):
    """Stores with Delta tables."""

    title = "Delta tables"


class HasOnlineStore(Capability):
    """Low-latency copies of feature tables."""

    title = "online feature store"


class HasSharedFiles(Capability):
    """A shared POSIX file system for training."""

    title = "shared training files"


class HasDataParallel(Capability):
    """Training by several processes that see different data."""

    title = "data parallel"


class HasModelParallel(Capability):
    """Training that splits the model: tensor, pipeline or context parallel."""

    title = "tensor/pipeline/context parallel"


class HasSpot(Capability):
    """Capacity that can be taken away, at a lower price."""

    title = "spot/preemptible"


class HasTpu(Capability):
    """TPU slices."""

    title = "TPU"


class HasLinks(Capability):
    """Networks and identities joined with other sites."""

    title = "links to other sites"


class HasReplicas(Capability):
    """Several replicas of one endpoint."""

    title = "endpoint replicas"


class HasOtherRuntimes(Capability):
    """Model servers other than the project's own on ONNX."""

    title = "other serving runtimes"


class HasTrafficSplit(Capability):
    """Weighted traffic between model versions: canary, blue-green, A/B."""

    title = "canary, blue-green, A/B"


class HasShadowTraffic(Capability):
    """Mirrored traffic to a challenger."""

    title = "shadow traffic"


class HasManagedMetrics(Capability):
    """The cloud's own metrics service."""

    title = "managed metrics"


class HasDashboards(Capability):
    """Dashboards."""

    title = "dashboards"


class HasMetricSinks(Capability):
    """Metrics sent on to another service as well."""

    title = "metric sinks (Datadog)"


class HasDriftChecks(Capability):
    """Checks of inputs and scores for drift, and what they set off."""

    title = "drift checks"


def _all(base: type[Capability]) -> list[type[Capability]]:
    return [found for child in base.__subclasses__() for found in (child, *_all(child))]


CAPABILITIES: tuple[type[Capability], ...] = tuple(
    capability for capability in _all(Capability) if capability.__name__.startswith("Has")
)
"""In the order of the matrix."""
