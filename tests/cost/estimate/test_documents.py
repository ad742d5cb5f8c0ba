"""The generated parts of the pages are up to date."""

from __future__ import annotations

from types import ModuleType

import pytest

from cost.catalog import document as catalogue
from cost.estimate import document as types


@pytest.mark.parametrize("module", [catalogue, types])
def test_generated_parts_are_current(module: ModuleType) -> None:
    page = module.PAGE.read_text(encoding="utf-8")
    assert catalogue.with_section(page, module.section()) == page, (
        f"run python -m {module.__name__}"
    )
