"""Where a local stack keeps its files: one folder, and a socket whose path is short enough."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

MARKER = "MLSCALE_STACK_DIR"
"""Environment variable that every process of a stack carries; its value is the stack's folder."""


@dataclass(frozen=True)
class Layout:
    """Paths below ``directory``, the folder of one stack's running things."""

    directory: Path

    @property
    def config(self) -> Path:
        """supervisord's configuration."""
        return self.directory / "supervisord.conf"

    @property
    def units(self) -> Path:
        """One ``.ini`` (for supervisord) and one ``.json`` (descriptor) a unit."""
        return self.directory / "units"

    @property
    def logs(self) -> Path:
        """One log a unit, rotated by supervisord."""
        return self.directory / "logs"

    @property
    def ports(self) -> Path:
        """The ports this stack holds, by unit."""
        return self.directory / "ports.json"

    def data(self, unit: str) -> Path:
        """What a unit keeps on disk."""
        return self.directory / "data" / unit

    def log(self, unit: str) -> Path:
        """A unit's log."""
        return self.logs / f"{unit}.log"

    @property
    def socket(self) -> Path:
        """supervisord's control socket; the kernel allows 107 bytes, a home folder may need more.

        Not under ``$TMPDIR``: a shell with another one would take what runs for dead.
        """
        key = hashlib.sha256(str(self.directory).encode()).hexdigest()[:16]
        return Path("/tmp") / f"mlscale-{os.getuid()}" / f"{key}.sock"  # noqa: S108 - ours alone, see start

    @property
    def scratch(self) -> Path:
        """``TMPDIR`` of every unit, so that what a killed one leaves goes with the stack."""
        return self.socket.with_suffix(".tmp")
