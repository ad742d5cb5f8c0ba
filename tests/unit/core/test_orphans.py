"""A process that watches its parent leaves when it dies, also when it had died before it looked."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from infra.core.orphans import call_when_orphaned
from infra.core.places import ROOT
from tests.support.processes import wait_until

_PLUGIN = ROOT / "infra" / "sites" / "local" / "plugin" / "pulumi-resource-mlscale"


def test_a_parent_that_is_gone_already_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = threading.Event()
    with subprocess.Popen([sys.executable, "-c", ""]) as parent:
        parent.wait()
    monkeypatch.setenv("MLSCALE_PARENT", str(parent.pid))
    call_when_orphaned(gone.set, every_seconds=0.01)
    assert gone.wait(5)
    assert "MLSCALE_PARENT" not in os.environ


def test_a_parent_that_lives_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = threading.Event()
    monkeypatch.setenv("MLSCALE_PARENT", str(os.getppid()))
    call_when_orphaned(gone.set, every_seconds=0.01)
    assert not gone.wait(0.1)


def test_a_provider_whose_engine_died_while_it_started_leaves(tmp_path: Path) -> None:
    """From a checkout whose path has spaces; a shell stands for the engine."""
    checkout = tmp_path / "my check out"
    checkout.symlink_to(ROOT)
    script = '"$0" </dev/null >"$1" 2>&1 & echo $!; wait'
    plugin = checkout / _PLUGIN.relative_to(ROOT)
    environment = {**os.environ, "MLSCALE_PYTHON": sys.executable}
    with subprocess.Popen(
        ["sh", "-c", script, str(plugin), str(tmp_path / "said")],
        env=environment, stdout=subprocess.PIPE, text=True,
    ) as engine:  # fmt: skip
        assert engine.stdout
        provider = psutil.Process(int(engine.stdout.readline()))
        wait_until(lambda: "infra.sites.local.provider" in provider.cmdline(), what="Python")
        engine.kill()
    wait_until(lambda: not provider.is_running(), what="the end of the provider")
    assert (tmp_path / "said").read_text().strip().isdigit()
