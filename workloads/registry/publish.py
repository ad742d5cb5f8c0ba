"""Step 3: judge trained weights on held-out data, log the run, export, register, name the champion.

Request ``{"package", "store", "table", "snapshot_id", "weights", "weights_sha256", "training": <result of
the training step>, "tracking_uri", "experiment", "model_name", "gate", "alias"}``, result ``{"run_id",
"model_name", "model_version", "model_uri", "onnx", "onnx_sha256", "metrics", "code_sha256",
"data_snapshot"}``. The same request finds its run and its version again.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.core.errors import MissingTool, Problem, Refused
from workloads import jobs
from workloads.data.files import locked
from workloads.package import Package, load

if TYPE_CHECKING:
    from torch import Tensor, nn

    from workloads.registry.tracking import Tracking


@dataclass(frozen=True)
class _Judged:
    """A trained model and what it reached on the held-out rows."""

    model: nn.Module
    features: Tensor
    metrics: dict[str, float]


def publish(job: jobs.Job) -> dict[str, Any]:
    """Run the step; see the module.

    Raises ``Refused`` where the gate is not met (the run is logged, no version is registered) or the
    package's code is not what was trained, ``DamagedState`` for weights that changed,
    ``MissingTool`` where the tracking server does not answer.
    """
    from workloads.registry.gate import broken_bounds

    request = job.request
    package = load(request["package"])
    _refuse_other_code(package, request["training"])
    job.progress("evaluating on the held-out rows", 0.1)
    judged = _judge(package, request)
    broken = broken_bounds(request["gate"], judged.metrics)
    # One publisher at a time: looking for a fingerprint and logging under it is one step.
    with locked(Path(request["store"]) / "locks" / "publish.lock"):
        job.progress(f"logging the run to {request['tracking_uri']}", 0.4)
        tracking, run_id = _log_run(package, request, judged.metrics, broken)
        if broken:
            raise Refused(
                [
                    *broken,
                    Problem(
                        f"no version of {request['model_name']!r} was registered; the run is {run_id}",
                        path=request["tracking_uri"],
                    ),
                ]
            )
        job.progress("exporting and registering the model", 0.7)
        return _register(package, request, judged, tracking, run_id)


def _refuse_other_code(package: Package, training: Mapping[str, Any]) -> None:
    if training["code_sha256"] != package.code_sha256:
        raise Refused(
            Problem(
                f"the package {package.name!r} changed after these weights were trained",
                file=str(package.folder),
                expected=f"code with SHA-256 {training['code_sha256']}",
                fix="train again, then publish",
            )
        )


def _judge(package: Package, request: Mapping[str, Any]) -> _Judged:
    import torch

    from workloads.launch.inputs import split_arrays
    from workloads.training.weights import load_weights

    weights = load_weights(Path(request["weights"]), request["weights_sha256"])
    store, table = Path(request["store"]), request["table"]
    arrays = split_arrays(package, store, table, request["snapshot_id"], "test")
    features, labels = (torch.from_numpy(array) for array in arrays)
    definition = package.entry("train")(request["training"]["hyperparameters"])
    definition.model.load_state_dict(weights)
    definition.model.eval()
    with torch.no_grad():
        metrics = definition.evaluate(definition.model, features, labels)
    return _Judged(definition.model, features, metrics)


def _log_run(
    package: Package,
    request: Mapping[str, Any],
    metrics: Mapping[str, float],
    broken: list[Problem],
) -> tuple[Tracking, str]:
    try:
        from workloads.registry.tracking import Tracking
    except ImportError as error:
        raise MissingTool(
            Problem(f"MLflow is not installed: {error}", fix="pip install 'mlscale[track]'")
        ) from error

    training = request["training"]
    tracking = Tracking(request["tracking_uri"], request["experiment"])
    lineage = _lineage(package, request)
    run_id = tracking.run(_fingerprint(request, lineage), package.name, lineage)
    verdict = {"gate": "failed" if broken else "passed", "gate.bounds": json.dumps(request["gate"])}
    series = {f"train_{name}": values for name, values in training.get("history", {}).items()}
    tracking.log(run_id, training["hyperparameters"], metrics, series, {**lineage, **verdict})
    warehouse = (Path(request["store"]).absolute() / "warehouse").as_uri()
    tracking.log_dataset(run_id, request["table"], request["snapshot_id"], warehouse)
    tracking.finish(run_id)
    return tracking, run_id


def _lineage(package: Package, request: Mapping[str, Any]) -> dict[str, str]:
    return {
        "mlscale.package": package.name,
        "mlscale.package-version": package.manifest.version,
        "mlscale.code-sha256": package.code_sha256,
        "mlscale.data-table": request["table"],
        "mlscale.data-snapshot": request["snapshot_id"],
        "mlscale.weights-sha256": request["weights_sha256"],
    }


def _fingerprint(request: Mapping[str, Any], lineage: Mapping[str, str]) -> str:
    """What makes a run this run. The gate is left out: it may change, the run stays."""
    identity = {
        **lineage,
        "model_name": request["model_name"],
        "hyperparameters": request["training"]["hyperparameters"],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _register(
    package: Package,
    request: Mapping[str, Any],
    judged: _Judged,
    tracking: Tracking,
    run_id: str,
) -> dict[str, Any]:
    from workloads.data.objects import ObjectStore
    from workloads.registry.export import export_onnx

    content = export_onnx(package.entry("export")(judged.model), package.manifest, judged.features)
    objects = ObjectStore(Path(request["store"]).absolute() / "objects")
    name = request["model_name"]
    digest = hashlib.sha256(content).hexdigest()
    # Under a key of its own, so that pruning old versions never takes what is being served.
    stored = objects.put(f"models/{name}/{digest}.onnx", content)
    onnx = objects.path(stored.key, stored.version_id)
    tags = {**_lineage(package, request), "mlscale.onnx-sha256": digest, "mlscale.onnx": str(onnx)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        _save_for_mlflow(content, folder)
        version = tracking.register(run_id, name, folder, tags)
    tracking.point(name, request["alias"], version)
    return {
        "run_id": run_id,
        "model_name": name,
        "model_version": version,
        "model_uri": f"models:/{name}/{version}",
        "onnx": str(onnx),
        "onnx_sha256": digest,
        "metrics": judged.metrics,
        "code_sha256": package.code_sha256,
        "data_snapshot": request["snapshot_id"],
    }


def _save_for_mlflow(content: bytes, folder: Path) -> None:
    """The model in MLflow's own layout, so that ``mlflow.onnx.load_model(model_uri)`` works."""
    from importlib.metadata import version

    import mlflow.onnx
    import onnx

    mlflow.onnx.save_model(
        onnx.load_model_from_string(content),
        str(folder),
        # Named, because MLflow would otherwise load the model in a process of its own to guess.
        pip_requirements=[f"{name}=={version(name)}" for name in ("onnx", "onnxruntime", "numpy")],
        save_as_external_data=False,
    )


if __name__ == "__main__":
    jobs.main(publish)
