"""Soaks remember what has passed, so that one that was killed goes on where it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _log() -> Path | None:
    path = os.environ.get("MLSCALE_SOAK_LOG")
    return Path(path) if path else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the log says has passed."""
    log = _log()
    if log is None or not log.exists():
        return
    passed = set(log.read_text(encoding="utf-8").splitlines())
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed])
    items[:] = [item for item in items if item.nodeid not in passed]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down a test that has passed."""
    log = _log()
    if (
        log is not None
        and report.when == "call"
        and report.passed
        and "PYTEST_XDIST_WORKER" not in os.environ
    ):
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{report.nodeid}\n")
