"""Where the published tables lie, and what is judged on them once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cost.sizing.evaluate import Report, evaluate

_ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def published() -> Path:
    """Folder with the published tables: $MLSCALE_PUBLISHED_DATA, or shared/data beside the
    repository. Where neither is there a clone on a desk skips, CI fails."""
    named = os.environ.get("MLSCALE_PUBLISHED_DATA")
    for folder in filter(None, (named, str(_ROOT.parent / "shared" / "data"))):
        if (Path(folder) / "published_training_results.csv").is_file():
            return Path(folder)
    message = "the published tables are not here: set MLSCALE_PUBLISHED_DATA to their folder"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def sample() -> Path:
    """Folder with a small sample of the published rows, each with its source."""
    return Path(__file__).with_name("data")


@pytest.fixture(scope="session")
def report(published: Path) -> Report:
    """Everything judged once; of the five models every two are held out."""
    return evaluate(published, sizes=(2,))
