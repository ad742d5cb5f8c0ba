"""What services and topics answer when what they ask is away, is strange or stands behind a proxy."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.core.errors import MissingTool
from infra.sites.local.provider.handlers import broker
from infra.sites.local.provider.handlers._service import http_unhealthy
from infra.sites.local.provider.handlers.topic import TopicHandler
from tests.support.processes import free_port


@contextmanager
def _answering(answer: bytes) -> Iterator[str]:
    """The URL of a server that gives ``answer`` once, whatever it is asked."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/health"
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "Unavailable"),
        (b"SSH-2.0-OpenSSH\r\n", "SSH-2.0"),
        (b"", "closed connection"),
    ],
)
def test_a_health_check_never_raises_and_takes_no_proxy(
    answer: bytes, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    with _answering(answer) as url:
        said = http_unhealthy(url)
    assert said is None if reason is None else reason in (said or "")


def test_a_topic_is_left_alone_while_its_broker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.sites.local.provider.handlers.topic._ASK_SECONDS", 0.3)
    nobody = f"127.0.0.1:{free_port()}"
    state = {"bootstrap": nobody, "name": "images", "partitions": 2, "retention_hours": 24}
    assert TopicHandler().read(f"{nobody}/images", state) == (state, {})
    with pytest.raises(MissingTool):
        TopicHandler().read(f"{nobody}/images", {})  # an import knows nothing else


def test_a_brokers_cluster_id_is_chosen_once(tmp_path: Path) -> None:
    first = broker._cluster_id(tmp_path / "broker")
    assert first
    assert broker._cluster_id(tmp_path / "broker") == first
    assert [path.name for path in (tmp_path / "broker").iterdir()] == ["cluster-id"]
