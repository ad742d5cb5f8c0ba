"""The local site: every subject as real processes and stores of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pulumi

from infra import components
from infra.components import Place
from infra.core.errors import InvalidStack, Problem
from infra.core.places import ROOT
from infra.sites import capabilities as can
from infra.sites.base import Site
from infra.sites.capabilities import Capability
from infra.sites.local import resources as local
from infra.sites.local.naming import shared_units
from infra.sites.local.places import run_directory, store_directory
from infra.spec import Endpoint, Monitoring, PlatformSpec, Store, Stream, Training
from workloads.package import load

_NO_BOUND_MS = 600_000.0
_NO_NETWORK = "one machine has no network of its own to join with others"
_ONE_SERVER = "it serves one version from one process; weighted traffic needs a gateway"


class LocalSite(
    Site,
    can.HasStreams,
    can.HasStreamInference,
    can.HasReplay,
    can.HasIcebergTables,
    can.HasDataParallel,
):
    """No Docker, no cluster, no cloud: supervised processes, Kafka, MLflow, Iceberg, Prometheus."""

    cloud = "local"
    reasons: ClassVar[Mapping[type[Capability], str]] = {
        can.HasPipelines: "it has no scheduler; `pulumi up` runs each step once when its input changes",
        can.HasAirflow: "it has no Airflow; `pulumi up` runs each step once when its input changes",
        can.HasSpark: "it has no Spark; its tables are small enough for Polars",
        can.HasDeltaTables: "its tables are Iceberg, which every engine of the other sites reads too",
        can.HasOnlineStore: "it has no low-latency copy of features; endpoints take them in the request",
        can.HasSharedFiles: "every process sees the same disk already",
        can.HasModelParallel: "its processes share two cores' memory: splitting a model gains nothing",
        can.HasSpot: "this machine can't be taken away for a better price",
        can.HasTpu: "this machine has none",
        can.HasLinks: _NO_NETWORK,
        can.HasReplicas: "one server takes all of this machine that replicas could share",
        can.HasOtherRuntimes: "it serves ONNX with the project's own server; others need a cluster",
        can.HasTrafficSplit: _ONE_SERVER,
        can.HasShadowTraffic: _ONE_SERVER,
        can.HasManagedMetrics: "it has its own Prometheus",
        can.HasDashboards: "Grafana comes in no package that it can be installed from here",
        can.HasMetricSinks: "what runs here sends nothing off the machine",
        can.HasDriftChecks: "it has no scheduler that would check",
    }

    @classmethod
    def refusals(cls, platform: PlatformSpec, name: str) -> list[Problem]:
        """Beyond capabilities: every model served here has to be trained in the same stack."""
        problems = super().refusals(platform, name)
        for key, endpoint in platform.endpoints.items():
            if name in endpoint.sites and _trained(platform, endpoint) is None:
                problems.append(
                    Problem(
                        f"no training of this stack registers `{endpoint.model}`",
                        path=f"platform.endpoints.{key}.model",
                        fix="name the model of a training's `registers`",
                    )
                )
        for key, training in platform.training.items():
            if name in training.sites and training.dataset is None:
                path = f"platform.training.{key}"
                fix = "write `dataset: {store: ..., table: ...}`"
                problems.append(Problem("a local training needs a dataset", path=path, fix=fix))
        return [*problems, *shared_units(platform, name)]

    def open(self) -> Place:
        """The folder and the supervisor; everything that runs depends on it."""
        self._place = Place(self.name, self.cloud)
        self._directory = str(run_directory(pulumi.get_project(), self.stack, self.name))
        self._ports = dict(self.platform.sites[self.name].ports)
        self._targets: list[dict[str, Any]] = []
        self._tracking: local.Tracking | None = None
        self._broker: local.Broker | None = None
        self._datasets: dict[str, local.Dataset] = {}
        self._models: dict[str, local.Model] = {}
        self._topics: dict[str, local.Topic] = {}
        self._stores: dict[str, local.Store] = {}
        options = pulumi.ResourceOptions(parent=self._place)
        self._supervisor = local.Supervisor(
            f"{self.name}-supervisor", options, directory=self._directory
        )
        return self._place

    def store(self, name: str, spec: Store) -> components.Store:
        """A folder of its own, outside of what ``destroy`` takes away when it is protected."""
        component = components.Store(name, self._place)
        store = local.Store(
            name,
            component.opts(),
            path=str(store_directory(pulumi.get_project(), self.stack, name)),
            name=name,
            protect=spec.protect,
            retention_days=spec.retention_days,
            min_free_gib=float(spec.min_free_gib),
        )
        self._stores[name] = store
        component.tells(location=store.path)
        return component

    def stream(self, name: str, spec: Stream) -> components.Stream:
        """A topic of the site's one broker."""
        component = components.Stream(name, self._place)
        broker = self._the_broker()
        topic = local.Topic(
            name,
            component.opts(broker),
            bootstrap=broker.url,
            name=name,
            partitions=spec.partitions,
            retention_hours=max(1, round(spec.retention_hours)),
        )
        self._topics[name] = topic
        component.tells(bootstrap=broker.url, topic=topic.name)
        return component

    def training(self, name: str, spec: Training) -> components.Training:
        """Ingest, train, evaluate, register: each a step that is found again after a death."""
        assert spec.dataset is not None  # refused otherwise
        component = components.Training(name, self._place)
        package = load(spec.package)
        store = self._stores[spec.dataset.store]
        dataset = local.Dataset(
            f"{name}-data",
            component.opts(self._supervisor, store),
            directory=self._directory,
            unit=f"{name}-data",
            store=store.path,
            table=spec.dataset.table,
            package=spec.package,
            code_sha256=package.code_sha256,
            max_rejected_fraction=float(spec.dataset.max_rejected_fraction),
            **_source(spec.dataset.source, name),
        )
        job = local.TrainingJob(
            f"{name}-job",
            component.opts(dataset),
            directory=self._directory,
            unit=f"{name}-job",
            package=spec.package,
            code_sha256=package.code_sha256,
            store=store.path,
            table=spec.dataset.table,
            snapshot_id=dataset.snapshot_id,
            processes=spec.parallelism.data if spec.parallelism else 1,
            hyperparameters=dict(spec.hyperparameters),
            seed=spec.seed,
            checkpoint_every_steps=spec.checkpoint.every_steps,
            max_restarts=spec.max_restarts,
        )
        model = self._register(name, spec, component, dataset, job)
        self._datasets[name], self._models[_registered(name, spec)[0]] = dataset, model
        component.tells(
            model_uri=model.model_uri,
            run_id=model.run_id,
            data_snapshot=model.data_snapshot,
            metrics=model.metrics,
        )
        return component

    def endpoint(self, name: str, spec: Endpoint) -> components.Endpoint:
        """One server; with ``streaming`` also a processor that feeds it from a stream."""
        component = components.Endpoint(name, self._place)
        model_name = _model_name(spec.model)
        model = self._models[model_name]
        server = local.Endpoint(
            name,
            component.opts(self._supervisor, model),
            **self._process(name),
            model_name=model_name,
            model_version=model.model_version,
            model_path=model.onnx,
            model_sha256=model.onnx_sha256,
            run_id=model.run_id,
            data_snapshot=model.data_snapshot,
            code_sha256=model.code_sha256,
        )
        self._scrape(name, server.bound_port, f"endpoint/{name}")
        if spec.streaming is not None:
            self._predict_stream(name, spec, component, server, model_name)
        component.tells(url=server.url, model_uri=model.model_uri)
        return component

    def replays(self) -> None:
        """Feed the streams that ask for it, once whoever predicts them is there."""
        for name, spec in self.platform.streams.items():
            if spec.site != self.name or spec.replay is None:
                continue
            dataset, topic = self._datasets[spec.replay.training], self._topics[name]
            stream = self.streams[name]
            local.Replay(
                f"{name}-replay",
                stream.opts(self._supervisor, topic, dataset),
                directory=self._directory,
                unit=f"{name}-replay",
                bootstrap=topic.bootstrap,
                topic=topic.name,
                store=dataset.store,
                table=dataset.table,
                snapshot_id=dataset.snapshot_id,
                split=spec.replay.split,
                events_per_second=float(spec.replay.events_per_second),
                passes=spec.replay.passes,
            )

    def monitoring(self, spec: Monitoring) -> components.Monitoring:
        """A Prometheus that scrapes everything of this site."""
        component = components.Monitoring(f"{self.name}-monitoring", self._place)
        own = {
            name: endpoint
            for name, endpoint in self.platform.endpoints.items()
            if self.name in endpoint.sites
        }
        unit = f"{self.name}-units"
        exporter = local.Exporter(
            unit, component.opts(self._supervisor), **self._process(unit, "units")
        )
        self._scrape(unit, exporter.bound_port, "platform")
        prometheus = local.Prometheus(
            f"{self.name}-metrics",
            component.opts(self._supervisor),
            **self._process(f"{self.name}-metrics", "metrics"),
            targets=self._targets,
            endpoints=[_watched(name, endpoint) for name, endpoint in own.items() if endpoint.slo],
            streams=[
                {"job": f"{name}-stream", "topic": endpoint.streaming.stream}
                for name, endpoint in own.items()
                if endpoint.streaming is not None
            ],
            scrape_seconds=round(spec.scrape_seconds),
            retention_days=spec.retention_days,
        )
        component.tells(metrics_url=prometheus.url)
        return component

    def tracking_url(self) -> pulumi.Output[str] | None:
        """Where runs and models can be looked at, None when nothing is trained here."""
        return self._tracking.url if self._tracking else None

    def _register(
        self,
        name: str,
        spec: Training,
        component: components.Training,
        dataset: local.Dataset,
        job: local.TrainingJob,
    ) -> local.Model:
        assert spec.dataset is not None
        model_name, alias = _registered(name, spec)
        store = self._stores[spec.dataset.store]
        tracking = self._the_tracking(spec.dataset.store)
        return local.Model(
            f"{name}-model",
            component.opts(job, tracking),
            directory=self._directory,
            unit=f"{name}-model",
            package=spec.package,
            store=store.path,
            table=spec.dataset.table,
            snapshot_id=dataset.snapshot_id,
            weights=job.weights,
            weights_sha256=job.weights_sha256,
            training=job.training,
            tracking_uri=tracking.url,
            experiment=f"{self.platform.name}/{name}",
            model_name=model_name,
            alias=alias,
            gate={bound: float(value) for bound, value in spec.gate.items()},
        )

    def _predict_stream(
        self,
        name: str,
        spec: Endpoint,
        component: components.Endpoint,
        server: local.Endpoint,
        model_name: str,
    ) -> None:
        assert spec.streaming is not None
        topic, store = self._topics[spec.streaming.stream], self._stores[spec.streaming.store]
        unit = f"{name}-stream"
        processor = local.Processor(
            unit,
            component.opts(self._supervisor, topic, store),
            **self._process(unit),
            bootstrap=topic.bootstrap,
            topic=topic.name,
            endpoint=server.url,
            model=model_name,
            store=store.path,
            table=spec.streaming.table,
            batch_max_events=spec.streaming.batch_max_events,
            commit_seconds=float(spec.streaming.commit_seconds),
        )
        self._scrape(unit, processor.bound_port, f"endpoint/{name}")

    def _process(self, unit: str, port_name: str | None = None) -> dict[str, Any]:
        """The inputs that every long-running process has."""
        port = self._ports.get(port_name or unit)
        return {"directory": self._directory, "unit": unit, "port": port}

    def _scrape(self, job: str, port: pulumi.Output[int], workload: str) -> None:
        address = pulumi.Output.concat("127.0.0.1:", port.apply(lambda number: str(int(number))))
        labels = self.tags.of(workload).as_labels()
        kept = {name.replace("-", "_"): value for name, value in labels.items()}
        self._targets.append({"job": job, "address": address, "labels": kept})

    def _the_broker(self) -> local.Broker:
        if self._broker is None:
            unit = f"{self.name}-broker"
            options = pulumi.ResourceOptions(parent=self._place, depends_on=[self._supervisor])
            self._broker = local.Broker(unit, options, **self._process(unit, "broker"))
        return self._broker

    def _the_tracking(self, store: str) -> local.Tracking:
        """One for the site; its data stands in the store of its first training, and is kept with it."""
        if self._tracking is None:
            unit = f"{self.name}-tracking"
            needs = [self._supervisor, self._stores[store]]
            options = pulumi.ResourceOptions(parent=self._place, depends_on=needs)
            data = Path(store_directory(pulumi.get_project(), self.stack, store)) / "mlflow"
            process = self._process(unit, "tracking")
            self._tracking = local.Tracking(unit, options, **process, data=str(data))
        return self._tracking


def _source(source: str | None, training: str) -> dict[str, str]:
    """A data file of the user's own, with its hash: other content is another input."""
    if source is None:
        return {}
    from workloads.data.files import sha256_of

    path = (ROOT / source).resolve()
    if not path.is_file():
        raise InvalidStack(
            Problem(
                f"there is no file {path}",
                path=f"platform.training.{training}.dataset.source",
                expected="a CSV or Parquet file, absolute or from the project's root",
            )
        )
    return {"source": str(path), "source_sha256": sha256_of(path)}


def _registered(name: str, spec: Training) -> tuple[str, str]:
    """(model, alias) of a training; it registers under its own name when it doesn't say."""
    return (spec.registers.model, spec.registers.alias) if spec.registers else (name, "champion")


def _model_name(uri: str) -> str:
    """``digits`` of ``models:/digits@champion`` and of ``models:/digits/3``."""
    return uri.removeprefix("models:/").split("@")[0].split("/")[0]


def _trained(platform: PlatformSpec, endpoint: Endpoint) -> str | None:
    """The training whose model ``endpoint`` serves by alias."""
    for name, training in platform.training.items():
        model, alias = _registered(name, training)
        if endpoint.model == f"models:/{model}@{alias}":
            return name
    return None


def _watched(name: str, endpoint: Endpoint) -> dict[str, Any]:
    """What the alert rules hold an endpoint to; a percentile that isn't promised isn't watched."""
    assert endpoint.slo is not None
    rule: dict[str, Any] = {"job": name, "model": _model_name(endpoint.model)}
    rule["p95_ms"] = float(endpoint.slo.p95_ms or _NO_BOUND_MS)
    if endpoint.slo.availability is not None:
        rule["availability"] = float(endpoint.slo.availability)
    return rule
