"""Where a local stack lives on this machine; known before anything runs, so that preview can check."""

from __future__ import annotations

from pathlib import Path

from infra.core.places import state_dir


def run_directory(project: str, stack: str, site: str) -> Path:
    """What runs and what it needs; gone after ``destroy``."""
    return state_dir() / "run" / f"{project}-{stack}@{site}"


def store_directory(project: str, stack: str, store: str) -> Path:
    """A store's data; stays after ``destroy`` when the store is protected."""
    return state_dir() / "stores" / f"{project}-{stack}" / store
