"""The FOCUS community's own validator on our rows, for FOCUS 1.0, offline.

``scripts/focus-validator`` installs it beside the project; where that wasn't run, this is said.
"""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

import pytest

from cost.report import ReportResult

_ROOT = Path(__file__).parents[3]
_SCRIPT = _ROOT / "scripts" / "focus-validator"


def _installed() -> bool:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = Path(os.environ.get("MLSCALE_CACHE") or Path(cache) / "mlscale")
    return (home / "focus-validator" / "venv" / ".locked").is_file()


needs_validator = pytest.mark.skipif(
    not _installed(), reason="focus-validator isn't installed; scripts/focus-validator does it"
)


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_SCRIPT, str(path)], capture_output=True, text=True, timeout=240, check=False
    )


def some_rows(written: ReportResult) -> list[dict[str, str]]:
    """All kinds of rows, a tenth of the usage: the validator looks at each by a query of its own."""
    with written.files["focus.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [r for i, r in enumerate(rows) if r["ChargeCategory"] != "Usage" or i % 10 == 0]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@needs_validator
@pytest.mark.slow
def test_the_rows_pass_focus_validator_for_1_0(written: ReportResult, tmp_path: Path) -> None:
    done = validate(write(tmp_path / "focus.csv", some_rows(written)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation succeeded" in done.stdout


@needs_validator
@pytest.mark.soak
def test_the_validator_does_see_a_breach(written: ReportResult, tmp_path: Path) -> None:
    rows = some_rows(written)[:12]
    rows[3]["BillingCurrency"] = "dollars"
    rows[4]["ChargeFrequency"] = "Never"
    path = write(tmp_path / "focus.csv", rows)
    done = validate(path)
    assert done.returncode != 0
    assert "BillingCurrency_IsCurrencyCode failed" in done.stdout
    assert "ChargeFrequency_Enum failed" in done.stdout


def test_the_lock_is_hashed_and_pins_the_validator() -> None:
    lock = (_ROOT / "requirements" / "focus-validator.txt").read_text()
    pinned = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert any(line.startswith("focus-validator==1.0.0") for line in pinned)
    assert any(line.startswith("multimethod==1.") for line in pinned)
    assert lock.count("--hash=sha256:") >= len(pinned)
