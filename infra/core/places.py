"""Where things live on this machine: the checkout, the cache of tools, the state of local stacks.

All three can be moved by environment variables, so that tests and several clones don't meet.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: the folder that holds ``Pulumi.yaml``."""

PROJECT = "mlscale"
"""The project's name in ``Pulumi.yaml``, and the namespace of its configuration."""


def cache_dir() -> Path:
    """Built or fetched tools, keyed by version: ``$MLSCALE_CACHE`` or ``~/.cache/mlscale``."""
    return _place("MLSCALE_CACHE", "XDG_CACHE_HOME", ".cache")


def state_dir() -> Path:
    """What local stacks run on and keep: ``$MLSCALE_STATE`` or ``~/.local/state/mlscale``."""
    return _place("MLSCALE_STATE", "XDG_STATE_HOME", ".local/state")


def _place(own: str, xdg: str, fallback: str) -> Path:
    if path := os.environ.get(own):
        return Path(path).expanduser().absolute()
    base = os.environ.get(xdg)
    return (Path(base) if base else Path.home() / fallback) / "mlscale"
