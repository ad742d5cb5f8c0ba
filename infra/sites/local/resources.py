"""The local provider's resource types as the Pulumi program sees them.

Thin: names and outputs only; what they do stands in ``provider/handlers``. Property names are the
same on the wire as here: Pulumi's translation to camelCase would also reach into free mappings
(hyperparameters, gates), and there is no SDK in another language to please.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pulumi

from infra.sites.local import told


class LocalResource(pulumi.CustomResource):
    """Base: the token and the outputs are the class's."""

    token: ClassVar[str]
    outputs_told: ClassVar[tuple[str, ...]] = ()

    def __init__(self, title: str, opts: pulumi.ResourceOptions, /, **inputs: Any) -> None:
        known = {name: value for name, value in inputs.items() if value is not None}
        super().__init__(self.token, title, {**known, **dict.fromkeys(self.outputs_told)}, opts)


class Supervisor(LocalResource):
    """supervisord of the stack."""

    token = "mlscale:local:Supervisor"
    outputs_told = told.STATUS


class Store(LocalResource):
    """A folder with versioned objects and Iceberg tables."""

    token = "mlscale:local:Store"
    outputs_told = told.STORE
    path: pulumi.Output[str]


class Tracking(LocalResource):
    """MLflow."""

    token = "mlscale:local:Tracking"
    outputs_told = told.SERVICE
    url: pulumi.Output[str]


class Broker(LocalResource):
    """Kafka."""

    token = "mlscale:local:Broker"
    outputs_told = told.SERVICE
    url: pulumi.Output[str]


class Topic(LocalResource):
    """A topic of the broker."""

    token = "mlscale:local:Topic"
    bootstrap: pulumi.Output[str]
    name: pulumi.Output[str]


class Dataset(LocalResource):
    """A package's data in a table."""

    token = "mlscale:local:Dataset"
    outputs_told = told.DATASET
    snapshot_id: pulumi.Output[str]
    store: pulumi.Output[str]
    table: pulumi.Output[str]


class TrainingJob(LocalResource):
    """A distributed run."""

    token = "mlscale:local:TrainingJob"
    outputs_told = told.TRAINING
    weights: pulumi.Output[str]
    weights_sha256: pulumi.Output[str]
    training: pulumi.Output[dict[str, Any]]


class Model(LocalResource):
    """A registered version."""

    token = "mlscale:local:Model"
    outputs_told = told.MODEL
    run_id: pulumi.Output[str]
    model_version: pulumi.Output[str]
    model_uri: pulumi.Output[str]
    onnx: pulumi.Output[str]
    onnx_sha256: pulumi.Output[str]
    metrics: pulumi.Output[dict[str, float]]
    code_sha256: pulumi.Output[str]
    data_snapshot: pulumi.Output[str]


class Endpoint(LocalResource):
    """A model server."""

    token = "mlscale:local:Endpoint"
    outputs_told = told.SERVICE
    url: pulumi.Output[str]
    bound_port: pulumi.Output[int]


class Processor(LocalResource):
    """Stream inference."""

    token = "mlscale:local:Processor"
    outputs_told = told.SERVICE
    bound_port: pulumi.Output[int]


class Replay(LocalResource):
    """A dataset's split as events."""

    token = "mlscale:local:Replay"
    outputs_told = told.STATUS


class Exporter(LocalResource):
    """Metrics of what is supervised."""

    token = "mlscale:local:Exporter"
    outputs_told = told.SERVICE
    bound_port: pulumi.Output[int]


class Prometheus(LocalResource):
    """Metrics."""

    token = "mlscale:local:Prometheus"
    outputs_told = told.SERVICE
    url: pulumi.Output[str]
