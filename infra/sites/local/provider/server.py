"""The provider as the engine sees it: ``pulumirpc.ResourceProvider`` over gRPC.

Raw servicer rather than the SDK's experimental provider class, because that one drops the old
inputs of a diff and can't report a resource that exists but failed to start.
"""

from __future__ import annotations

import errno
import json
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from infra.core.errors import MlscaleError
from infra.sites.local.provider.checking import checked
from infra.sites.local.provider.diff import difference
from infra.sites.local.provider.handler import Context, Handler, InitFailed, Properties
from infra.sites.local.provider.schema import package_schema
from infra.sites.local.provider.values import UNKNOWN, from_struct, to_struct

_PROGRESS_SECONDS = 1.0
_THE_MACHINES_FAULT = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENAMETOOLONG,
}
"""Errors of the operating system that say all there is to say; no traceback explains them better."""


class LocalProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Routes each call to the handler of its resource type."""

    def __init__(self, handlers: Sequence[Handler[Any]], version: str) -> None:
        self._handlers = {handler.token: handler for handler in handlers}
        self._version = version
        self._engine: engine_pb2_grpc.EngineStub | None = None
        self.cancelled = threading.Event()

    def connect(self, engine_address: str) -> None:
        """Remember where the engine listens for log messages."""
        channel = grpc.insecure_channel(engine_address)
        self._engine = engine_pb2_grpc.EngineStub(channel)

    def Handshake(self, request: Any, context: Any) -> Any:
        """Agree on secrets, resources and outputs as values."""
        if request.engine_address:
            self.connect(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=True, accept_outputs=True
        )

    def Attach(self, request: Any, context: Any) -> Any:
        """An engine attached to a provider that was already running."""
        self.connect(request.address)
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """The project's version."""
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: Any) -> Any:
        """The Pulumi package schema, made from the handlers' input models."""
        schema = package_schema(self._handlers.values(), self._version)
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """The provider itself has nothing to configure."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """So nothing of it can change."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        """Say what this provider can take."""
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    def Cancel(self, request: Any, context: Any) -> Any:
        """Stop waiting: what was started goes on under the supervisor."""
        self.cancelled.set()
        return empty_pb2.Empty()

    def Check(self, request: Any, context: Any) -> Any:
        """Type the inputs and refuse what can't work on this machine."""
        handler = self._handler(request.urn, context)
        news, secrets = from_struct(request.news)
        inputs, failures = self._guarded(context, lambda: checked(handler, news))
        return provider_pb2.CheckResponse(
            inputs=to_struct(inputs, secrets),
            failures=[
                provider_pb2.CheckFailure(property=failure.property, reason=failure.reason)
                for failure in failures
            ],
        )

    def Diff(self, request: Any, context: Any) -> Any:
        """Compare the inputs, and mend what a refresh found broken."""
        handler = self._handler(request.urn, context)
        state, _ = from_struct(request.olds)
        old_inputs, _ = from_struct(request.old_inputs)
        news, _ = from_struct(request.news)
        found = difference(handler, old_inputs, news, state)
        kind = provider_pb2.PropertyDiff
        detailed = {
            name: kind(
                kind=kind.UPDATE_REPLACE if name in found.replaces else kind.UPDATE,
                inputDiff=name in old_inputs or name in news,
            )
            for name in found.changes
        }
        some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some if found.changes else none,
            diffs=found.changes,
            replaces=found.replaces,
            # Two of one kind would fight for the same folder and port.
            deleteBeforeReplace=bool(found.replaces),
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    def Create(self, request: Any, context: Any) -> Any:
        """Make it, or say in a preview what is known of it before."""
        handler = self._handler(request.urn, context)
        news, secrets = from_struct(request.properties)
        if request.preview:
            outputs = {**news, **dict.fromkeys(handler.outputs, UNKNOWN)}
            return provider_pb2.CreateResponse(properties=to_struct(outputs, secrets))
        inputs = handler.inputs.model_validate(news)
        caller = self._context(request.urn, request.timeout)
        resource_id, outputs = self._guarded(
            context, lambda: handler.create(inputs, caller), news, secrets
        )
        return provider_pb2.CreateResponse(
            id=resource_id, properties=to_struct({**news, **outputs}, secrets)
        )

    def Read(self, request: Any, context: Any) -> Any:
        """What is really there; an empty id says that it is gone."""
        handler = self._handler(request.urn, context)
        state, secrets = from_struct(request.properties)
        found = self._guarded(context, lambda: handler.read(request.id, state))
        if found is None:
            return provider_pb2.ReadResponse()
        inputs, outputs = found
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=to_struct({**inputs, **outputs}, secrets),
            inputs=to_struct(inputs, secrets),
        )

    def Update(self, request: Any, context: Any) -> Any:
        """Make it as the new inputs ask."""
        handler = self._handler(request.urn, context)
        state, _ = from_struct(request.olds)
        news, secrets = from_struct(request.news)
        if request.preview:
            outputs = {
                name: state.get(name, UNKNOWN) if name in handler.stable else UNKNOWN
                for name in handler.outputs
            }
            return provider_pb2.UpdateResponse(properties=to_struct({**news, **outputs}, secrets))
        inputs = handler.inputs.model_validate(news)
        caller = self._context(request.urn, request.timeout)
        outputs = self._guarded(
            context, lambda: handler.update(request.id, state, inputs, caller), news, secrets
        )
        return provider_pb2.UpdateResponse(properties=to_struct({**news, **outputs}, secrets))

    def Delete(self, request: Any, context: Any) -> Any:
        """Take it away."""
        handler = self._handler(request.urn, context)
        state, _ = from_struct(request.properties)
        caller = self._context(request.urn, request.timeout)
        self._guarded(context, lambda: handler.delete(request.id, state, caller))
        return empty_pb2.Empty()

    def _handler(self, urn: str, context: Any) -> Handler[Any]:
        token = urn.split("::")[2].rsplit("$", maxsplit=1)[-1]
        handler = self._handlers.get(token)
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED, f"no resource type {token}; known: {known}"
            )
            raise AssertionError("abort raises")
        return handler

    def _context(self, urn: str, timeout_seconds: float) -> Context:
        return Context(
            log=_throttled(lambda message: self._say(urn, message, ephemeral=True)),
            warn=lambda message: self._say(urn, message, severity=engine_pb2.WARNING),
            cancelled=self.cancelled,
            timeout_seconds=timeout_seconds,
        )

    def _say(
        self, urn: str, message: str, severity: Any = engine_pb2.INFO, ephemeral: bool = False
    ) -> None:
        if self._engine is None:
            return
        try:
            self._engine.Log(
                engine_pb2.LogRequest(
                    severity=severity, message=message, urn=urn, ephemeral=ephemeral
                ),
                timeout=5,
            )
        except grpc.RpcError:
            self._engine = (
                None  # the engine is gone; the work goes on to a point it can resume from
            )

    def _guarded(
        self,
        context: Any,
        call: Any,
        inputs: Mapping[str, Any] | None = None,
        secrets: frozenset[str] = frozenset(),
    ) -> Any:
        """Run ``call``; what it raises becomes one readable error, without a traceback for ours."""
        try:
            return call()
        except InitFailed as error:
            _abort_with_partial_state(context, error, inputs or {}, secrets)
        except MlscaleError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except OSError as error:
            if error.errno not in _THE_MACHINES_FAULT:
                _abort_with_traceback(context, error)
            where = f": {error.filename}" if error.filename else ""
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{error.strerror}{where}")
        except Exception as error:  # noqa: BLE001 - the engine has to hear of anything
            _abort_with_traceback(context, error)


def _abort_with_traceback(context: Any, error: Exception) -> NoReturn:
    where = "".join(traceback.format_exception(error))
    context.abort(grpc.StatusCode.UNKNOWN, f"unexpected {type(error).__name__}: {where}")
    raise AssertionError("abort raises")


def _throttled(say: Callable[[str], None]) -> Callable[[str], None]:
    """Progress at most once a second: a piped ``up`` prints every message as a line of its own."""
    last_seconds = float("-inf")

    def throttled(message: str) -> None:
        nonlocal last_seconds
        if time.monotonic() - last_seconds >= _PROGRESS_SECONDS:
            last_seconds = time.monotonic()
            say(message)

    return throttled


def _abort_with_partial_state(
    context: Any, error: InitFailed, inputs: Properties | Mapping[str, Any], secrets: frozenset[str]
) -> NoReturn:
    """The resource exists but doesn't work: the engine keeps it in state and mends it next time."""
    partial = provider_pb2.ErrorResourceInitFailed(
        id=error.resource_id,
        properties=to_struct({**inputs, **error.outputs}, secrets),
        inputs=to_struct(inputs, secrets),
        reasons=error.reasons,
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(partial)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(error))
    raise AssertionError("abort raises")
