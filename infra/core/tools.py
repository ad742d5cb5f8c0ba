"""Where Prometheus is: on PATH, else where ``scripts/setup`` unpacked it."""

from __future__ import annotations

import shutil

from infra.core.places import cache_dir


def prometheus(program: str = "prometheus") -> str | None:
    """The path of ``prometheus`` (or ``promtool``), None when there is none."""
    found = shutil.which(program)
    if found:
        return found
    cached = cache_dir() / "prometheus" / "usr" / "bin" / program
    return str(cached) if cached.exists() else None
