"""A Pulumi language host for Python programs, plugins and policy packs, in Python.

For machines where the engine was built from its Go module because the official distribution,
which brings its own host, can't be downloaded. The engine starts it, reads its port from the
first line of stdout and calls it over gRPC (``pulumirpc.LanguageRuntime``, sdk/proto/language.proto).
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from infra.core.orphans import call_when_orphaned
from scripts.engine.runner import BAIL_EXIT_CODE

_GRPC_OPTIONS = [("grpc.max_receive_message_length", 400 << 20)]
_CHUNK = 64 << 10


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine; each program, plugin and pack runs in a process of its own."""

    def __init__(self, engine_address: str) -> None:
        self._engine = engine_address
        self._children: set[subprocess.Popen[bytes]] = set()
        self.done = threading.Event()

    # The engine asks first and waits 5 s for the process to go before it kills it.
    def Cancel(self, request: Any, context: Any) -> Any:
        """Leave at once."""
        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """End every child and let ``main`` return."""
        self.done.set()
        for child in list(self._children):
            child.terminate()

    def Handshake(self, request: Any, context: Any) -> Any:
        """Learn where the engine listens."""
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Name the version of the SDK that programs run on."""
        from importlib.metadata import version

        return plugin_pb2.PluginInfo(version=version("pulumi"))

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        """Nothing to fetch: providers are attached, or named in ``Pulumi.yaml``."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        """As above, for engines that ask the older question."""
        return language_pb2.GetRequiredPluginsResponse()

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        """No questions for ``pulumi new``."""
        return language_pb2.RuntimeOptionsResponse()

    def About(self, request: Any, context: Any) -> Any:
        """Say which Python programs run on."""
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        """``scripts/setup`` installs them."""
        return iter(())

    def Run(self, request: Any, context: Any) -> Any:
        """Run a program; its exit code says whether the engine was told of an error already."""
        program = _entry_point(request.info)
        settings = {
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization,
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "monitor": request.monitor_address,
            "engine": self._engine,
            "root_directory": request.info.root_directory,
        }
        payload = {
            "settings": settings,
            "config": dict(request.config),
            "secret_keys": list(request.configSecretKeys),
            "program": str(program),
            "args": list(request.args),
        }
        child = self._start(
            [_python(request.info), "-u", "-P", str(Path(__file__).with_name("runner.py"))],
            cwd=request.pwd,
            stdin=subprocess.PIPE,
        )
        assert child.stdin
        # Through a pipe: an environment can be read by others of the same user, and is short.
        with suppress(BrokenPipeError), child.stdin as stdin:
            stdin.write(json.dumps(payload).encode())
        exit_code = self._wait(child)
        if exit_code == BAIL_EXIT_CODE:
            return language_pb2.RunResponse(bail=True)
        error = "" if exit_code == 0 else f"Program exited with non-zero exit code: {exit_code}"
        return language_pb2.RunResponse(error=error)

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """Run a provider or a policy pack and stream what it prints."""
        child = self._start(
            [_python(request.info), "-u", request.info.program_directory, *request.args],
            cwd=request.pwd,
            env=dict(entry.split("=", 1) for entry in request.env) or None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        context.add_callback(child.terminate)
        assert child.stdout and child.stderr
        yield from _streamed({"stdout": child.stdout, "stderr": child.stderr})
        with child.stdout, child.stderr:
            exit_code = self._wait(child)
        yield language_pb2.RunPluginResponse(exitcode=exit_code)

    def _start(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        child = cast("subprocess.Popen[bytes]", subprocess.Popen(command, **options))
        self._children.add(child)
        if self.done.is_set():  # told to leave while it was starting
            child.terminate()
        return child

    def _wait(self, child: subprocess.Popen[bytes]) -> int:
        exit_code = child.wait()
        self._children.discard(child)
        return exit_code


def _entry_point(info: Any) -> Path:
    entry = info.entry_point if info.entry_point not in ("", ".") else "__main__.py"
    program = Path(info.program_directory) / entry
    return program / "__main__.py" if program.is_dir() else program


def _python(info: Any) -> str:
    """The interpreter of the ``virtualenv`` runtime option, else the host's own."""
    option = info.options.fields.get("virtualenv") if info.HasField("options") else None
    if option is not None and option.string_value:
        candidate = Path(info.root_directory) / option.string_value / "bin" / "python"
        if candidate.exists():
            return str(candidate)
    return sys.executable


def _streamed(streams: dict[str, IO[bytes]]) -> Iterator[Any]:
    chunks: queue.Queue[Any] = queue.Queue()

    def pump(field: str, stream: IO[bytes]) -> None:
        while chunk := os.read(stream.fileno(), _CHUNK):
            response = language_pb2.RunPluginResponse()
            setattr(response, field, chunk)
            chunks.put(response)
        chunks.put(None)

    for field, stream in streams.items():
        threading.Thread(target=pump, args=(field, stream), daemon=True).start()
    still_open = len(streams)
    while still_open:
        chunk = chunks.get()
        if chunk is None:
            still_open -= 1
        else:
            yield chunk


def main() -> None:
    """Serve until the engine says ``Cancel`` or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine shuts plugins down itself
    engine = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    server = grpc.server(futures.ThreadPoolExecutor(16), options=_GRPC_OPTIONS)
    host = Host(engine)
    signal.signal(signal.SIGTERM, lambda *_: host.stop())
    call_when_orphaned(host.stop)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    host.done.wait()
    server.stop(0.1).wait()


if __name__ == "__main__":
    main()
