"""A model server in a thread of the test, on a free port: real sockets, real ONNX Runtime."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.processes import wait_until
from workloads.serving.config import ServerConfig
from workloads.serving.server import InferenceServer

LINEAGE = {"run_id": "run-1", "model_version": "7", "data_snapshot": "12345", "code_sha256": "c0de"}


def server_config(*models: dict[str, Any], **changes: Any) -> ServerConfig:
    """A config on a free port."""
    value = {"name": "test", "port": 0, "models": models} | changes
    return ServerConfig.model_validate(value)


@contextmanager
def running_server(config: ServerConfig) -> Iterator[tuple[InferenceServer, httpx.Client]]:
    """The server, answering, and a client for it."""
    server = InferenceServer(config)
    thread = threading.Thread(target=server.serve_until_stopped, daemon=True)
    thread.start()
    wait_until(lambda: server.started, 20, "the server's start")
    try:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=20) as client:
            yield server, client
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
