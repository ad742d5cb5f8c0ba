"""A store with the digits in it, made once a test process."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from tests.support.workload_packages import job_of
from workloads.data.ingest import ingest


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="digits-store-")


@functools.cache
def digits_store() -> tuple[Path, str]:
    """``(store, snapshot id)``; read it only."""
    folder = Path(_folder().name)
    request = {
        "store": str(folder / "store"),
        "table": "digits",
        "package": "digits",
        "source": None,
        "max_rejected_fraction": 0.0,
    }
    return folder / "store", ingest(job_of(request, folder))["snapshot_id"]
