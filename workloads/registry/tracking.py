"""Runs and versions in MLflow, each found again by a fingerprint, so that nothing is logged twice."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.core.errors import MissingTool, MlscaleError, Problem

if TYPE_CHECKING:
    from mlflow import MlflowClient

FINGERPRINT_TAG = "mlscale.fingerprint"
MODEL_FOLDER = "model"
# About half a minute in all: what a supervisor takes to bring the server back.
_CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_ALREADY_EXISTS = "RESOURCE_ALREADY_EXISTS"


class Tracking:
    """One experiment on a tracking server."""

    def __init__(self, uri: str, experiment: str) -> None:
        self.uri = uri
        with self.explained():
            self._client = _client(uri)
            self._experiment_id = self._experiment(experiment)

    def run(self, fingerprint: str, name: str, tags: Mapping[str, str]) -> str:
        """The id of the run with this fingerprint, made where there is none."""
        with self.explained():
            found = self._client.search_runs(
                [self._experiment_id],
                filter_string=f"tags.`{FINGERPRINT_TAG}` = '{fingerprint}'",
                order_by=["attributes.start_time ASC"],
                max_results=1,
            )
            if found:
                return str(found[0].info.run_id)
            run = self._client.create_run(
                self._experiment_id, run_name=name, tags={FINGERPRINT_TAG: fingerprint, **tags}
            )
            return str(run.info.run_id)

    def log(
        self,
        run_id: str,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        series: Mapping[str, Sequence[float]],
        tags: Mapping[str, str],
    ) -> None:
        """Parameters, metrics, metrics by epoch and tags; the same again changes nothing."""
        from mlflow.entities import Metric, Param, RunTag

        with self.explained():
            # The server drops a metric that it has with the same time, step and value.
            at = self._client.get_run(run_id).info.start_time
            points = [Metric(name, value, at, 0) for name, value in metrics.items()]
            points += [
                Metric(name, value, at, epoch)
                for name, values in series.items()
                for epoch, value in enumerate(values, start=1)
            ]
            self._client.log_batch(
                run_id,
                metrics=points,
                params=[Param(name, str(value)) for name, value in parameters.items()],
                tags=[RunTag(name, value) for name, value in tags.items()],
            )

    def log_dataset(self, run_id: str, table: str, snapshot_id: str, uri: str) -> None:
        """The run's input, as MLflow's own lineage shows it."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name=table, digest=snapshot_id, source_type="iceberg", source=uri)
        context = InputTag(key="mlflow.data.context", value="training")
        with self.explained():
            self._client.log_inputs(run_id, [DatasetInput(dataset=dataset, tags=[context])])

    def finish(self, run_id: str) -> None:
        """Mark the run as finished."""
        with self.explained():
            self._client.set_terminated(run_id)

    def register(self, run_id: str, model_name: str, folder: Path, tags: Mapping[str, str]) -> str:
        """Upload ``folder`` and register it as a version of ``model_name``; the run's own if any."""
        with self.explained():
            found = self._client.search_model_versions(f"run_id = '{run_id}'")
            versions = [each.version for each in found if each.name == model_name]
            if versions:
                return str(min(versions, key=int))
            self._ensure_model(model_name)
            self._client.log_artifacts(run_id, str(folder), MODEL_FOLDER)
            run = self._client.get_run(run_id)
            version = self._client.create_model_version(
                model_name,
                source=f"{run.info.artifact_uri}/{MODEL_FOLDER}",
                run_id=run_id,
                tags=dict(tags),
                await_creation_for=0,
            )
            return str(version.version)

    def point(self, model_name: str, alias: str, version: str) -> None:
        """Make ``models:/<model_name>@<alias>`` this version."""
        with self.explained():
            self._client.set_registered_model_alias(model_name, alias, version)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn MLflow's errors into ours: a server that isn't there apart from one that says no."""
        from mlflow.exceptions import MlflowException, RestException

        try:
            yield
        except RestException as error:
            raise MlscaleError(
                Problem(f"the tracking server refused: {error.message}", path=self.uri)
            ) from error
        except MlflowException as error:
            reason = str(error.message).splitlines()[0][:300]
            raise MissingTool(
                Problem(
                    f"the tracking server does not answer: {reason}",
                    path=self.uri,
                    expected="an MLflow server",
                    fix="start it, or mend tracking_uri; then run this again",
                )
            ) from error

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import RestException

        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except RestException as error:
            if error.error_code != _ALREADY_EXISTS:
                raise
            return self._experiment(name)

    def _ensure_model(self, name: str) -> None:
        from mlflow.exceptions import RestException

        try:
            self._client.create_registered_model(name)
        except RestException as error:
            if error.error_code != _ALREADY_EXISTS:
                raise


def _client(uri: str) -> MlflowClient:
    for name, value in _CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    # Its warning for each retry says what our own error says once at the end.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)
