"""Prometheus: one on PATH, else Debian's package unpacked into the cache.

Unpacked rather than installed: it needs no root, starts no service and changes nothing else.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from infra.core import tools
from infra.core.errors import MissingTool, Problem
from infra.core.places import cache_dir
from scripts.tools._tool import Finding, Progress, Tool, output_of, replaced, version_tuple

FLOOR = (2, 40)
_FIX = "scripts/setup --only prometheus, or apt-get install prometheus"


def find() -> Finding:
    """The Prometheus that the local site runs."""
    path = tools.prometheus()
    if path is None:
        return Finding("", missing="no prometheus on PATH or in the cache", fix=_FIX)
    said = output_of([path, "--version"])
    match = re.search(r"version (\d+\.\d+\.\d+)", said)
    if match is None or version_tuple(match.group(1)) < FLOOR:
        return Finding("", path, missing="it doesn't run, or is older than 2.40", fix=_FIX)
    return Finding("", path, match.group(1))


def install(progress: Progress) -> None:
    """Unpack Debian's package into the cache.

    Raises ``MissingTool`` elsewhere than on Debian, and when one that is on PATH is too old: it comes first.
    """
    found = find()
    if found.usable:
        return
    if found.path and not Path(found.path).is_relative_to(cache_dir()):
        raise MissingTool(
            Problem(
                f"{found.path}: {found.missing}",
                expected=f"prometheus {'.'.join(map(str, FLOOR))} or later first on PATH, or none",
                fix="upgrade it, or install one of https://prometheus.io/download/",
            )
        )
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise MissingTool(
            Problem("no prometheus, and no apt-get to fetch it", fix="install prometheus on PATH")
        )
    progress("fetching Prometheus", None)
    with tempfile.TemporaryDirectory() as scratch:
        # apt's own lists may be absent on a fresh machine, and may not be ours to write.
        lists = Path(scratch) / "lists"
        (lists / "partial").mkdir(parents=True)
        options = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={scratch}"]
        options += ["-o", "APT::Sandbox::User=root"]
        _run(["apt-get", *options, "-qq", "update"], scratch)
        _run(["apt-get", *options, "-qq", "download", "prometheus"], scratch)
        package = next(Path(scratch).glob("prometheus_*.deb"), None)
        if package is None:
            raise MissingTool(Problem("apt-get fetched no package of Prometheus", fix=_FIX))
        with replaced(cache_dir() / "prometheus") as target:
            _run(["dpkg", "-x", str(package), str(target)], scratch)


def _run(command: list[str], folder: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip()[-800:]
        raise MissingTool(Problem(f"`{command[0]}` failed: {said}", fix=_FIX))


PROMETHEUS = Tool("prometheus", "scrapes and alerts on the local site", find, install)
