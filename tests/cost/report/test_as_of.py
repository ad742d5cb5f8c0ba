"""``--as-of``: the days after it are in the total, and forecast as if they weren't complete."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cost.report import Options, Report, main_report
from infra.core.errors import BadInput
from scripts.cli.cost import app


def reported(sample_dir: Path, out: Path, as_of: date | None) -> Report:
    """The report of the sample bills, which end on the 24th."""
    result = main_report(
        "2026-10", out, sources=[sample_dir / "bills"], rates=sample_dir / "rates.json",
        budget=sample_dir / "budget.json", options=Options(as_of=as_of),
    )  # fmt: skip
    return result.report


def test_no_day_is_spent_and_forecast(sample_dir: Path, tmp_path: Path) -> None:
    plain = reported(sample_dir, tmp_path / "plain", None)
    early = reported(sample_dir, tmp_path / "early", date(2026, 10, 15))
    assert early.total == plain.total == early.forecast.spent
    assert early.forecast.remaining_days == 16 and plain.forecast.remaining_days == 7
    everything = next(one for one in early.budgets if not one.scope)
    assert everything.forecast == early.forecast
    assert abs(early.forecast.expected / plain.forecast.expected - 1) < Decimal("0.02")
    assert early.previous == plain.previous  # the same days on both sides
    assert any("Charges after 2026-10-15" in note for note in early.notes)


def test_a_forecast_is_never_below_what_is_spent(sample_dir: Path, tmp_path: Path) -> None:
    first = reported(sample_dir, tmp_path, date(2026, 10, 1))
    assert first.forecast.low >= first.total


def test_outside_the_month(sample_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="as-of 2026-11-15 isn't in the month"):
        reported(sample_dir, tmp_path, date(2026, 11, 15))


def test_the_command_takes_it_and_finds_the_bills(
    sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sample_dir)
    asked = ["report", "--period", "2026-10", "--out", str(tmp_path), "--rates", "rates.json",
             "--as-of", "2026-10-20"]  # fmt: skip
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "summary.json").read_text())["as_of"] == "2026-10-20"
