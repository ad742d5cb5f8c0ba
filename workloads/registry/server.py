"""MLflow's tracking and registry server in one process.

``mlflow server`` starts its web server as a child and can be killed without it, which leaves an
orphan on the port. Here the application runs in the process that the supervisor watches, set up by
the variables that ``mlflow server`` itself hands to its child (mlflow/server/constants.py).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def main(argv: list[str] | None = None) -> None:
    """``python -m workloads.registry.server --data DIR --port N``: SQLite and artefacts below DIR."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args(argv)
    configure(arguments.data)

    import uvicorn

    uvicorn.run(
        "mlflow.server.fastapi_app:app",
        host="127.0.0.1",
        port=arguments.port,
        log_level="warning",
        timeout_graceful_shutdown=5,
    )


def configure(data: Path) -> None:
    """Set the environment that MLflow's application reads, before anything imports it."""
    data.mkdir(parents=True, exist_ok=True)
    artifacts = data / "artifacts"
    artifacts.mkdir(exist_ok=True)
    os.environ.update(
        {
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{data / 'mlflow.db'}",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(artifacts),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SGI_NAME": "uvicorn",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        }
    )


if __name__ == "__main__":
    main()
