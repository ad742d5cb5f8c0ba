"""A one-host rendezvous for torch's elastic agent that listens on loopback only.

The stock backends bind their store to every interface. A new store is made for every round, so
that nothing of a killed worker group is left in it.
"""

from __future__ import annotations

import socket
from datetime import timedelta

from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]
from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousParameters
from torch.distributed.elastic.rendezvous.api import (
    RendezvousInfo,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)

BACKEND = "mlscale-loopback"
_ADDRESS = "127.0.0.1"
_TIMEOUT = timedelta(seconds=60)


class LoopbackRendezvous(RendezvousHandler):
    """One node, whose agent hosts the store; the kernel picks the port."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._store: Store | None = None

    def get_backend(self) -> str:
        return BACKEND

    @property
    def use_agent_store(self) -> bool:
        return True

    def next_rendezvous(self) -> RendezvousInfo:
        listener = socket.create_server((_ADDRESS, 0))
        port = listener.getsockname()[1]
        # The store owns the socket from here on.
        self._store = TCPStore(
            host_name=_ADDRESS,
            port=port,
            is_master=True,
            timeout=_TIMEOUT,
            wait_for_workers=False,
            master_listen_fd=listener.detach(),
        )
        return RendezvousInfo(self._store, 0, 1, RendezvousStoreInfo(_ADDRESS, port))

    def is_closed(self) -> bool:
        return False

    def set_closed(self) -> None:
        self._store = None

    def num_nodes_waiting(self) -> int:
        return 0

    def get_run_id(self) -> str:
        return self._run_id

    def shutdown(self) -> bool:
        self._store = None
        return True


def register() -> None:
    """Make ``BACKEND`` known to torch's launcher; once is enough, more does no harm."""
    rendezvous_handler_registry.register(BACKEND, _create)


def _create(parameters: RendezvousParameters) -> RendezvousHandler:
    return LoopbackRendezvous(parameters.run_id)
