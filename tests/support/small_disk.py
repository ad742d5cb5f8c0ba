"""Run a snippet on a disk that is almost full: a real small tmpfs in a namespace of its own.

Where the machine lets nobody mount, the snippet's ``os.fsync`` fails with ENOSPC instead: the error
is then made up, but what follows it is real.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT

_FULL_FSYNC = """
import errno, os
def _full(handle):
    raise OSError(errno.ENOSPC, "No space left on device")
def fill():
    os.fsync = _full
"""
_FULL_DISK = """
def fill():
    pass
"""


@functools.cache
def can_mount() -> bool:
    """Whether a user namespace may mount a tmpfs here."""
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def run_on_small_disk(disk: Path, code: str, size: str = "1m", seconds: float = 120) -> str:
    """Run Python ``code`` with a file system of ``size`` at ``disk``; its output.

    The code calls ``fill()`` at the point from which a disk that can't be mounted counts as full.
    """
    disk.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", (_FULL_DISK if can_mount() else _FULL_FSYNC) + code]
    if can_mount():
        script = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
        command = ["unshare", "-rm", "sh", "-c", script, "sh", size, str(disk), *command]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
