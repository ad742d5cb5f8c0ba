"""The model server's routes, as a plain ASGI application.

A known path is one dictionary look-up away from its handler; no framework stands between
(FastAPI and starlette were 8 and 2 times slower here: ``docs/serving.md``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from workloads.serving import metrics
from workloads.serving.batching import OverloadedError
from workloads.serving.config import ServerConfig
from workloads.serving.dialects import TF_SERVING, TORCHSERVE, V2, Dialect
from workloads.serving.http import (
    BINARY,
    JSON,
    DisconnectedError,
    Headers,
    Receive,
    RequestHead,
    Scope,
    Send,
    new_request_id,
    read_body,
    respond,
    respond_json,
)
from workloads.serving.openapi import openapi
from workloads.serving.repository import Repository, ServedModel
from workloads.serving.tensors import RequestError

_log = logging.getLogger("mlscale.serving")
_Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
_CLOSE = (b"connection", b"close")
SERVER_VERSION = "1"


class InferenceApp:
    """Serves a repository. ``draining`` makes it not ready, without refusing what still comes."""

    def __init__(self, config: ServerConfig, repository: Repository) -> None:
        self._config = config
        self._repository = repository
        self._limit_bytes = int(config.payload_limit_mib * 2**20)
        self.draining = False
        self._routes: dict[str, dict[str, _Handler]] = {}
        self._add_server_routes()
        for name in repository.names():
            self._add_model_routes(name, None)
            for version in repository.versions(name):
                self._add_model_routes(name, version)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1003})
            return
        methods = self._routes.get(scope["path"])
        handler = methods.get(scope["method"]) if methods is not None else None
        if handler is not None:
            await handler(scope, receive, send)
        elif methods is not None:
            allowed = ", ".join(sorted(methods))
            body = {"error": f"use {allowed} for this path"}
            await respond_json(send, body, 405, [(b"allow", allowed.encode()), _CLOSE])
        else:
            await respond_json(send, {"error": self._unknown(scope["path"])}, 404, [_CLOSE])

    def _unknown(self, path: str) -> str:
        """Why ``path`` isn't there: for a model's path, what there is."""
        parts = path.strip("/").split("/")
        try:
            if parts[:2] in (["v2", "models"], ["v1", "models"]) and len(parts) > 2:
                name = parts[2].partition(":")[0]
                version = (
                    parts[4].partition(":")[0] if parts[3:4] == ["versions"] and parts[4:] else None
                )
                self._repository.find(name, version)
            elif parts[0] == "predictions" and parts[1:]:
                self._repository.find(parts[1], parts[2] if parts[2:] else None)
        except RequestError as error:
            return str(error)
        return "no such path; /openapi.json lists them"

    def _add_server_routes(self) -> None:
        name, repository = self._config.name, self._repository
        metadata = {
            "name": name,
            "version": SERVER_VERSION,
            "extensions": ["binary_tensor_data"],
        }
        pages: dict[str, object] = {
            "/v2": metadata,
            "/v2/health/live": {"live": True},
            "/v2/models": {"models": repository.names()},
            "/openapi.json": openapi(repository),
        }
        for path, value in pages.items():
            self._get(path, partial(_page, value))
        self._get("/v2/health/ready", self._ready)
        self._get("/ping", self._ping)
        self._get("/metrics", self._metrics)

    def _add_model_routes(self, name: str, version: str | None) -> None:
        """The routes of one version, or with None of the version that is served by default."""
        model = self._repository.find(name, version)
        versions = self._repository.versions(name)
        suffix = f"/versions/{version}" if version is not None else ""
        shown = versions if version is None else [version]
        self._get(f"/v2/models/{name}{suffix}", partial(_page, model.metadata(versions)))
        self._get(f"/v2/models/{name}{suffix}/ready", self._ready)
        self._post(f"/v2/models/{name}{suffix}/infer", partial(self._infer, model, V2))
        status = [
            {
                "version": each,
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for each in shown
        ]
        self._get(f"/v1/models/{name}{suffix}", partial(_page, {"model_version_status": status}))
        self._post(f"/v1/models/{name}{suffix}:predict", partial(self._infer, model, TF_SERVING))
        short = f"/{version}" if version is not None else ""
        self._post(f"/predictions/{name}{short}", partial(self._infer, model, TORCHSERVE))

    def _get(self, path: str, handler: _Handler) -> None:
        methods = self._routes.setdefault(path, {})
        methods["GET"] = methods["HEAD"] = handler

    def _post(self, path: str, handler: _Handler) -> None:
        self._routes.setdefault(path, {})["POST"] = handler

    async def _ready(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        ready = not self.draining
        await respond_json(send, {"ready": ready}, 200 if ready else 503)

    async def _ping(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        status = "Unhealthy" if self.draining else "Healthy"
        await respond_json(send, {"status": status}, 503 if self.draining else 200)

    async def _metrics(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        page = metrics.render(
            [
                (model.metrics, model.batcher.waiting, model.lineage.model_dump())
                for model in self._repository
            ]
        )
        await respond(send, 200, [(b"content-type", metrics.CONTENT_TYPE)], page)

    async def _infer(
        self, model: ServedModel, dialect: Dialect, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """One prediction, in any dialect; every way out is counted once."""
        started = time.perf_counter()
        request_id = b""
        try:
            head = RequestHead(scope["headers"])
            request_id = head.request_id or new_request_id()
            body = await read_body(
                receive, head, self._limit_bytes, self._config.body_timeout_seconds
            )
            request = dialect.parse(body, head.inference_header_length, model.signature)
            outputs = await model.batcher.submit(request.inputs, request.rows)
            answer, json_length = dialect.render(model.name, model.version, request, outputs)
        except DisconnectedError:
            model.metrics.request("disconnected", time.perf_counter() - started)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets JSON and a count
            outcome = await self._refuse(send, error, request_id or new_request_id())
            model.metrics.request(outcome, time.perf_counter() - started)
            return
        headers: Headers = [JSON, (b"x-request-id", request_id), *model.headers]
        if json_length is not None:
            headers[0] = BINARY
            headers.append((b"inference-header-content-length", b"%d" % json_length))
        if self.draining:
            headers.append(_CLOSE)
        model.metrics.request("ok", time.perf_counter() - started)
        await respond(send, 200, headers, answer)

    async def _refuse(self, send: Send, error: Exception, request_id: bytes) -> str:
        """Answer with an error; returns the outcome to count."""
        headers: Headers = [(b"x-request-id", request_id)]
        status, outcome, message = 500, "failed", "the model failed on this request"
        if isinstance(error, RequestError):
            status, outcome, message = error.status, "bad_request", str(error)
        else:
            _log.error("request %s failed", request_id.decode(), exc_info=error)
        if isinstance(error, OverloadedError):
            outcome = "too_busy"
            headers.append((b"retry-after", b"%d" % error.retry_after_seconds))
        elif status in (408, 413):
            headers.append(_CLOSE)  # the rest of the body is of no use
        await respond_json(send, {"error": message}, status, headers)
        return outcome


async def _page(value: object, _scope: Scope, _receive: Receive, send: Send) -> None:
    await respond_json(send, value)
