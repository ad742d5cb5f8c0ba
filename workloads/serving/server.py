"""The model server as a process: bind, verify, load, warm up, serve, drain.

The port is bound before the models are loaded (so a taken port is said at once) and listened on
after their warm-up: whoever connects is answered by a server that is ready.
"""

from __future__ import annotations

import logging
import socket
import threading
from types import FrameType

import uvicorn

from infra.core.errors import MissingTool, Problem
from workloads.serving.app import InferenceApp
from workloads.serving.config import ServerConfig
from workloads.serving.repository import Repository

_log = logging.getLogger("mlscale.serving")


class InferenceServer(uvicorn.Server):
    """uvicorn that says "not ready" for ``drain_seconds`` before it stops listening."""

    def __init__(self, config: ServerConfig) -> None:
        self.socket = _bind(config.host, config.port)
        self._drain_seconds = config.drain_seconds
        self._leaving = False
        try:
            self._repository = Repository(config.models)
        except BaseException:
            self.socket.close()
            raise
        self.app = InferenceApp(config, self._repository)
        super().__init__(
            uvicorn.Config(
                self.app,
                loop="uvloop",
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=config.shutdown_seconds,
            )
        )

    @property
    def url(self) -> str:
        """Where it answers."""
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def serve_until_stopped(self) -> None:
        """Serve in this thread; returns after a drained SIGTERM or ``should_exit``."""
        for model in self._repository:
            _log.info("%s version %s: %s batches", model.name, model.version, model.batcher.mode)
        _log.info("ready at %s", self.url)
        try:
            self.run(sockets=[self.socket])
        finally:
            self._repository.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, a second one stops at once.

        Called instead of uvicorn's, which would raise the signal again at the end: this process
        leaves with code 0 when it was asked to leave.
        """
        if self._leaving:
            self.should_exit = self.force_exit = True
            return
        self._leaving = self.app.draining = True
        _log.info("leaving in %g s", self._drain_seconds)
        if self._drain_seconds <= 0:
            self.should_exit = True
            return
        timer = threading.Timer(self._drain_seconds, setattr, (self, "should_exit", True))
        timer.daemon = True
        timer.start()


def serve(config: ServerConfig) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises ``MissingTool`` (the port is taken), ``DamagedState`` (a model isn't the registered
    one), ``Unsupported`` (a model this server can't feed).
    """
    InferenceServer(config).serve_until_stopped()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise MissingTool(
            Problem(
                f"can't listen on {host}:{port}: {error.strerror}",
                expected="a free port on this machine",
                fix=f"see who has it with: ss -ltnp 'sport = :{port}'",
            )
        ) from None
    bound.set_inheritable(False)
    return bound
