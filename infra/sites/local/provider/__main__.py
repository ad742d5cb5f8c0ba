"""Serve the provider: print the port, answer until the engine says ``Cancel`` or is gone."""

from __future__ import annotations

import signal
import sys
import threading
from concurrent import futures
from importlib.metadata import version

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from infra.core.orphans import call_when_orphaned
from infra.sites.local.provider.handlers import all_handlers
from infra.sites.local.provider.server import LocalProvider

_GRPC_OPTIONS = [("grpc.max_receive_message_length", 400 << 20)]


def main() -> None:
    """Serve on a free port of the loopback interface."""
    # One Ctrl-C reaches the whole process group; the engine decides when providers leave.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    engine = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    provider = LocalProvider(all_handlers(), version("mlscale"))
    if engine:
        provider.connect(engine)
    gone = threading.Event()
    for event in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(event, lambda *_: gone.set())
    call_when_orphaned(gone.set)
    server = grpc.server(futures.ThreadPoolExecutor(32), options=_GRPC_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    while not (gone.wait(0.05) or provider.cancelled.is_set()):
        pass
    provider.cancelled.set()  # whoever still waits inside a create stops waiting
    server.stop(grace=3).wait()


if __name__ == "__main__":
    main()
