"""Free ports of the loopback interface, chosen once and kept.

A port belongs to a unit from the moment it is chosen, before anything listens on it, so that two
stacks that come up at the same time never choose the same one. A machine-wide lock orders them.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from infra.core.places import state_dir
from infra.sites.local.supervision.layout import Layout
from workloads.jobs import write_json_atomically, write_text_atomically

_LOOPBACK = "127.0.0.1"


def reserve(layout: Layout, unit: str, wanted: int | None = None) -> int:
    """The port of ``unit``: the one asked for, else the one it had, else a free one."""
    with _all_stacks() as folder:
        held = _read(layout.ports)
        port = wanted or held.get(unit) or _free_of(_held(folder))
        if held.get(unit) != port:
            # Registered first: a port that no other stack can see is a port that it may choose.
            _register(folder, layout)
            write_json_atomically(layout.ports, {**held, unit: port})
        return port


def release(layout: Layout) -> None:
    """Give back every port of a stack."""
    with _all_stacks() as folder:
        layout.ports.unlink(missing_ok=True)
        _entry(folder, layout).unlink(missing_ok=True)
        with suppress(OSError):  # other stacks still hold some
            folder.rmdir()


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server could bind ``port`` on loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
    return True


def owner_of(port: int) -> psutil.Process | None:
    """The process that listens on ``port``, None when there is none or it isn't ours to see."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr:
            continue
        if connection.laddr.port == port and connection.pid:
            try:
                return psutil.Process(connection.pid)
            except psutil.NoSuchProcess:
                return None
    return None


@contextmanager
def _all_stacks() -> Iterator[Path]:
    folder = state_dir() / "ports"
    lock = _locked(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
        yield folder
    finally:
        os.close(lock)


def _locked(folder: Path) -> int:
    """A descriptor of ``folder`` with the lock; the folder is the lock, so that no file stays behind.

    The last stack's ``destroy`` takes the folder away, maybe just while another one waits for it.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock), folder.stat()):
                    return lock
            os.close(lock)


def _entry(folder: Path, layout: Layout) -> Path:
    return folder / f"{layout.socket.stem}.path"


def _register(folder: Path, layout: Layout) -> None:
    write_text_atomically(_entry(folder, layout), str(layout.ports))


def _held(folder: Path) -> set[int]:
    taken: set[int] = set()
    for entry in folder.glob("*.path"):
        ports = Path(entry.read_text(encoding="utf-8"))
        if not ports.is_file():
            entry.unlink(missing_ok=True)  # its stack is gone
            continue
        taken.update(_read(ports).values())
    return taken


def _free_of(taken: set[int]) -> int:
    while (port := free_port()) in taken:
        pass
    return port


def _read(path: Path) -> dict[str, int]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}
