"""A month's report of the sample bills, written once for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from cost.report import Options, ReportResult, main_report, sample


@pytest.fixture(scope="session")
def sample_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    sample.main(["--out", str(folder), "--period", "2026-10", "--through", "24"])
    return folder


@pytest.fixture(scope="session")
def written(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> ReportResult:
    return main_report(
        "2026-10",
        tmp_path_factory.mktemp("report"),
        sources=[sample_dir / "bills"],
        estimate=sample_dir / "estimate.json",
        budget=sample_dir / "budget.json",
        rates=sample_dir / "rates.json",
        options=Options(rules=sample_dir / "rules.json", units=sample_dir / "units.json"),
    )
