"""The Python environment, held against its lock."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from infra.core.places import ROOT
from scripts.tools._tool import Finding, Tool

_FIX = "scripts/setup --only python"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; (.+?))?\s*\\?$")


def pins(lock: Path) -> dict[str, str]:
    """Name to version of every pin in a hashed lock whose marker holds on this machine."""
    from packaging.markers import Marker

    found: dict[str, str] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        match = _PIN.match(line)
        if match and (match.group(3) is None or Marker(match.group(3)).evaluate()):
            found[match.group(1)] = match.group(2)
    return found


def find() -> Finding:
    """Whether what is installed is what ``requirements/main.txt`` locks."""
    wrong = []
    for name, wanted in pins(ROOT / "requirements" / "main.txt").items():
        try:
            have = version(name)
        except PackageNotFoundError:
            have = "missing"
        if have != wanted:
            wrong.append(f"{name} {have} (lock: {wanted})")
    running = ".".join(map(str, sys.version_info[:3]))
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return Finding("", sys.prefix, running, ", ".join(wrong[:3]) + more, _FIX)
    return Finding("as locked", sys.prefix, running)


PYTHON = Tool("python", "the environment that everything runs in", find)
