"""Step 3 against a real tracking server: logged once, registered once, refused with numbers."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.core.errors import BadInput, DamagedState, MissingTool, MlscaleError, Refused
from tests.support.digits_store import digits_store
from tests.support.processes import Process, free_port, wait_until
from tests.support.workload_packages import job_of, progress_of
from workloads.data.objects import ObjectStore
from workloads.launch.inputs import lay_down, split_arrays
from workloads.package import load
from workloads.registry.export import export_onnx, run_onnx
from workloads.registry.publish import publish
from workloads.registry.tracking import Tracking
from workloads.training.context import RunContext
from workloads.training.worker import train


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "workloads.registry.server"]
    command += ["--data", str(folder), "--port", str(port)]
    process = Process(command, folder / "log").start()
    try:
        wait_until(lambda: answers(url) or not process.running, 120, "the tracking server")
        assert process.running, process.output()
        yield url
    finally:
        process.terminate()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the training step would have returned, from one process."""
    folder = tmp_path_factory.mktemp("trained")
    store, snapshot_id = digits_store()
    package = load("digits")
    hyperparameters = package.resolve_hyperparameters({"epochs": 12})
    inputs = folder / "inputs.npz"
    lay_down(package, store, "digits", snapshot_id, inputs)
    context = RunContext("digits", hyperparameters, 1, inputs, folder / "c", 1000, 2, folder / "o")
    outcome = train(context)
    return {**outcome, "code_sha256": package.code_sha256, "hyperparameters": hyperparameters}


def request_in(
    folder: Path, server: str, trained: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    store, snapshot_id = digits_store()
    return {
        "package": "digits",
        "store": str(store),
        "table": "digits",
        "snapshot_id": snapshot_id,
        "weights": trained["weights"],
        "weights_sha256": trained["weights_sha256"],
        "training": trained,
        "tracking_uri": server,
        "experiment": folder.name,
        "model_name": folder.name,
        "gate": {"accuracy_min": 0.9},
        "alias": "champion",
        **changes,
    }


def client(server: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(server, server)


def runs_of(server: str, experiment: str) -> list[Any]:
    found = client(server).get_experiment_by_name(experiment)
    runs: list[Any] = client(server).search_runs([found.experiment_id]) if found else []
    return runs


def test_published_once_with_its_lineage(
    tmp_path: Path, server: str, trained: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    request = request_in(tmp_path, server, trained)
    result = publish(job_of(request, tmp_path))
    assert capfd.readouterr().out == ""
    assert result["model_version"] == "1"
    assert result["model_uri"] == f"models:/{tmp_path.name}/1"
    assert result["metrics"]["accuracy"] > 0.9
    assert result["data_snapshot"] == request["snapshot_id"]
    assert progress_of(tmp_path)

    # What is served is the exported model, and it says what torch said.
    onnx = Path(result["onnx"])
    objects = ObjectStore(Path(request["store"]) / "objects")
    assert onnx == objects.blob_path(result["onnx_sha256"])
    features, labels = split_arrays(
        load("digits"), Path(request["store"]), "digits", request["snapshot_id"], "test"
    )
    label, probabilities = run_onnx(onnx.read_bytes(), features)
    assert (label == labels).mean() == pytest.approx(result["metrics"]["accuracy"])
    assert label.dtype == np.int64
    assert probabilities.shape == (len(labels), 10)
    assert run_onnx(onnx.read_bytes(), features[:1])[0].shape == (1,)

    run = client(server).get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == "12"
    assert run.data.metrics["accuracy"] == result["metrics"]["accuracy"]
    assert run.data.tags["gate"] == "passed"
    assert run.data.tags["mlscale.data-snapshot"] == request["snapshot_id"]
    assert run.inputs.dataset_inputs[0].dataset.digest == request["snapshot_id"]
    history = client(server).get_metric_history(result["run_id"], "train_loss")
    assert [point.value for point in history] == trained["history"]["loss"]
    version = client(server).get_model_version_by_alias(tmp_path.name, "champion")
    assert str(version.version) == "1"
    assert version.run_id == result["run_id"]
    assert version.tags["mlscale.onnx-sha256"] == result["onnx_sha256"]
    assert version.tags["mlscale.code-sha256"] == result["code_sha256"]

    assert publish(job_of(request, tmp_path)) == result
    assert len(runs_of(server, tmp_path.name)) == 1
    assert len(client(server).search_model_versions(f"name='{tmp_path.name}'")) == 1
    again = client(server).get_metric_history(result["run_id"], "train_loss")
    assert len(again) == len(history)


def test_the_registered_model_loads_from_mlflow(
    tmp_path: Path, server: str, trained: dict[str, Any]
) -> None:
    import mlflow

    result = publish(job_of(request_in(tmp_path, server, trained), tmp_path))
    mlflow.set_tracking_uri(server)
    model = mlflow.onnx.load_model(result["model_uri"])
    assert [each.name for each in model.graph.input] == ["pixels"]
    assert [each.name for each in model.graph.output] == ["label", "probabilities"]


def test_a_gate_that_is_not_met_logs_the_run_and_registers_nothing(
    tmp_path: Path, server: str, trained: dict[str, Any]
) -> None:
    strict = request_in(tmp_path, server, trained, gate={"accuracy_min": 1.01, "loss_max": 0.0})
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            publish(job_of(strict, tmp_path))
    said = str(refused.value)
    assert "gate.accuracy_min: accuracy is 0.9" in said
    assert "expected at least 1.01" in said
    assert "gate.loss_max" in said
    (run,) = runs_of(server, tmp_path.name)
    assert run.data.tags["gate"] == "failed"
    assert run.info.run_id in said
    assert list(client(server).search_model_versions(f"name='{tmp_path.name}'")) == []

    result = publish(job_of(request_in(tmp_path, server, trained), tmp_path))
    assert result["run_id"] == run.info.run_id
    assert runs_of(server, tmp_path.name)[0].data.tags["gate"] == "passed"


def test_two_publishers_at_once_make_one_version(
    tmp_path: Path, server: str, trained: dict[str, Any]
) -> None:
    request = request_in(tmp_path, server, trained)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: publish(job_of(request, tmp_path)), range(2))
    assert first == second
    assert len(runs_of(server, tmp_path.name)) == 1


def test_a_run_that_was_cut_short_is_taken_up(
    tmp_path: Path, server: str, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_in(tmp_path, server, trained)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Tracking, "finish", die)
        with pytest.raises(KeyboardInterrupt):
            publish(job_of(request, tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(Tracking, "point", die)
        with pytest.raises(KeyboardInterrupt):
            publish(job_of(request, tmp_path))
    result = publish(job_of(request, tmp_path))
    (run,) = runs_of(server, tmp_path.name)
    assert (run.info.run_id, run.info.status) == (result["run_id"], "FINISHED")
    assert result["model_version"] == "1"


def test_what_is_refused_before_anything_is_logged(
    tmp_path: Path, server: str, trained: dict[str, Any]
) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(Path(trained["weights"]).read_bytes()[:-100])
    changes: list[tuple[dict[str, Any], type[MlscaleError], str]] = [
        ({"weights": str(weights)}, DamagedState, "weights are unreadable"),
        ({"weights": str(tmp_path / "no")}, DamagedState, "weights are unreadable"),
        ({"weights_sha256": "0" * 64}, DamagedState, "other ones than expected"),
        ({"gate": {"accurac_min": 1}}, BadInput, "did you mean 'accuracy_min'"),
        ({"training": {**trained, "code_sha256": "0"}}, Refused, "changed after these weights"),
        ({"snapshot_id": "1"}, BadInput, "no snapshot '1'"),
        ({"package": "digit"}, BadInput, "did you mean 'digits'"),
    ]
    for change, kind, says in changes:
        with pytest.raises(kind, match=says):
            publish(job_of(request_in(tmp_path, server, trained, **change), tmp_path))
    assert runs_of(server, tmp_path.name) == []


def test_a_server_that_does_not_answer(
    tmp_path: Path, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(MissingTool, match="tracking server does not answer") as refused:
        publish(job_of(request_in(tmp_path, url, trained), tmp_path))
    assert refused.value.problems[0].path == url


def test_a_server_that_says_no(tmp_path: Path, server: str, trained: dict[str, Any]) -> None:
    wrong = request_in(tmp_path, server, trained, model_name="a/b")
    with pytest.raises(MlscaleError, match="the tracking server refused") as refused:
        publish(job_of(wrong, tmp_path))
    assert "Invalid" in str(refused.value) or "invalid" in str(refused.value)


def test_export_is_the_same_bytes_and_is_checked(trained: dict[str, Any]) -> None:
    package = load("digits")
    store, snapshot_id = digits_store()
    features = torch.from_numpy(split_arrays(package, store, "digits", snapshot_id, "test")[0])
    model = package.entry("train")(trained["hyperparameters"]).model
    served = package.entry("export")(model)
    assert export_onnx(served, package.manifest, features) == export_onnx(
        served, package.manifest, features
    )

    class Unfaithful(torch.nn.Module):
        """Answers one thing while it is traced and another afterwards."""

        def __init__(self) -> None:
            super().__init__()
            self.served = served

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            label, probabilities = self.served(pixels)
            if torch.jit.is_tracing():
                return label.int(), probabilities + 0.01
            return label, probabilities

    with pytest.raises(Refused, match=r"not the trained one[\s\S]*label[\s\S]*probabilities"):
        export_onnx(Unfaithful(), package.manifest, features)
