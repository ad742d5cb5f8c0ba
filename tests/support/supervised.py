"""A supervisord of a test's own; nothing of it outlives the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.sites.local.supervision import Layout, Supervisor, marked_processes


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A running supervisord on an empty folder."""
    monkeypatch.setenv("MLSCALE_STATE", str(tmp_path / "state"))
    found = Supervisor(Layout(tmp_path / "run"))
    found.start()
    yield found
    found.stop()
    assert marked_processes(found.layout.directory) == []
