"""Previews in the engine's own shape (recorded from ``pulumi preview --json --show-sames``)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cost import money
from cost.estimate import Estimate, PriceBook, Priced, estimate, parse, read_usage

TODAY = date(2026, 11, 22)
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
CONFIG = {"aws:region": "us-east-1", "gcp:region": "us-central1", "azure-native:location": "eastus"}


def urn(token: str, name: str, stack: str = "prod") -> str:
    """The engine's name of a resource."""
    return f"urn:pulumi:{stack}::mlscale::{token}::{name}"


def step(
    token: str,
    inputs: Mapping[str, Any] | None = None,
    name: str = "it",
    op: str = "create",
    stack: str = "prod",
    **more: Any,
) -> dict[str, Any]:
    """One step of a preview."""
    state = {
        "urn": urn(token, name, stack),
        "custom": True,
        "type": token,
        "inputs": dict(inputs or {}),
        "parent": urn("pulumi:pulumi:Stack", f"mlscale-{stack}", stack),
        "provider": urn(f"pulumi:providers:{token.split(':', maxsplit=1)[0]}", "default", stack)
        + f"::{UNKNOWN}",
    } | more
    side = "oldState" if op == "delete" else "newState"
    return {"op": op, "urn": state["urn"], side: state, "detailedDiff": None}


def document(*steps: dict[str, Any], config: Mapping[str, str] | None = None) -> str:
    """A whole preview."""
    return json.dumps({
        "config": dict(CONFIG if config is None else config),
        "steps": list(steps),
        "duration": 1,
        "changeSummary": {"create": len(steps)},
    })  # fmt: skip


def price(*steps: dict[str, Any], usage: Path | None = None, **options: Any) -> Estimate:
    """The estimate of a preview of these steps."""
    book = PriceBook(read_usage(usage), TODAY, options.pop("exact_region", False))
    return estimate(parse(document(*steps, **options)), book)


def one(token: str, inputs: Mapping[str, Any] | None = None, **more: Any) -> Priced:
    """What becomes of a single resource."""
    usage = more.pop("usage", None)
    options = {key: more.pop(key) for key in ("config", "exact_region") if key in more}
    return price(step(token, inputs, **more), usage=usage, **options).resources[0]


def cents(item: Priced) -> Decimal:
    """Its USD a month to the cent."""
    return money.to_cents(item.usd_per_month)


def charges(item: Priced) -> dict[str, Decimal]:
    """USD a month to the cent of each charge."""
    return {charge.name: money.to_cents(charge.usd_per_month) for charge in item.charges}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout with one commit, made the current folder; ``file`` holds "one"."""
    repo = tmp_path / "repo"
    repo.mkdir()
    monkeypatch.chdir(repo)
    (repo / "file").write_text("one")
    (repo / ".venv").mkdir()
    (repo / ".gitignore").write_text(".venv\n")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *command], check=True, cwd=repo)
    return repo


@pytest.fixture
def usage_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a usage file."""

    def write(text: str) -> Path:
        path = tmp_path / "usage.yaml"
        path.write_text(text)
        return path

    return write
