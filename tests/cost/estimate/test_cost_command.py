"""The command line: ``mlscale cost audit | import | estimate | diff``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.core.errors import BadInput, Refused
from scripts.cli.cost import app

from .conftest import document, step  # type: ignore[import-not-found]

EKS = "aws:eks/cluster:Cluster"


def _run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(item) for item in arguments], catch_exceptions=True)


@pytest.fixture
def preview(tmp_path: Path) -> Path:
    path = tmp_path / "preview.json"
    path.write_text(document(step(EKS, {}, "core"), step("aws:s3/bucket:Bucket", {}, "lake"),
                             step("x:y:Z", {}, "odd[1]")))  # fmt: skip
    return path


def test_estimate_as_table_json_and_markdown(preview: Path) -> None:
    shown = _run("estimate", "--preview", preview, "--today", "2026-11-22")
    assert shown.exit_code == 0, shown.output
    assert "prod: 76.20 USD a month" in shown.output
    assert "odd[1]" in shown.output
    assert "assumed 100 GB-months" in shown.output
    read = json.loads(_run("estimate", preview, "--json").output)
    assert read["outcomes"] == {"priced": 1, "usage_based": 1, "free": 0, "refused": 1}
    assert "### prod: 76.20" in _run("estimate", preview, "--markdown").output


def test_strict_refuses_what_has_no_price(preview: Path) -> None:
    strict = _run("estimate", preview, "--strict")
    assert isinstance(strict.exception, Refused)
    assert "no resolver for x:y:Z" in str(strict.exception)
    as_json = _run("estimate", preview, "--strict", "--json")
    assert as_json.exit_code == Refused.exit_code == 6
    assert json.loads(as_json.output)["complete"] is False


def test_estimate_wants_one_source(preview: Path) -> None:
    for arguments in ((), (preview, "--preview", preview)):
        assert isinstance(_run("estimate", *arguments).exception, BadInput)


def test_diff_as_table_json_and_markdown(preview: Path, tmp_path: Path) -> None:
    after = tmp_path / "after.json"
    after.write_text(document(step(EKS, {}, "core"), step(EKS, {}, "edge")))
    shown = _run("diff", preview, after)
    assert shown.exit_code == 0, shown.output
    assert "+69.80 USD a month" in shown.output
    assert json.loads(_run("diff", preview, after, "--json").output)["usd_delta"].startswith("69.8")
    assert "| edge (Cluster) | added |" in _run("diff", preview, after, "--markdown").output
    against = _run("diff", f"deployed:{preview}", preview, "--json")
    assert json.loads(against.output)["usd_before"] == "0"


_PRICES = """provider,region,instance_type,vcpus,memory_gib,on_demand_usd_per_hour,source,as_of
aws,us-east-1,m5.large,2,8,0.096,list,2026-08
aws,us-east-1,m5.xlarge,4,16,-0.192,list,2026-08
"""


def test_audit_of_a_table_and_of_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(_PRICES)
    shown = _run("audit", path, "--today", "2026-11-22")
    assert shown.exit_code == Refused.exit_code
    assert "2 rows, 1 refused" in shown.output
    read = json.loads(_run("audit", path, "--json").output)
    assert read["by_gate"]["not-positive"] == 1
    assert _run("audit", "--shipped").exit_code == 0
    assert isinstance(_run("audit").exception, BadInput)
    assert isinstance(_run("audit", path, "--shipped").exception, BadInput)


def test_import_of_own_machines(tmp_path: Path) -> None:
    machines, out = tmp_path / "machines.yaml", tmp_path / "prices.csv"
    machines.write_text(
        "machines:\n- {name: node, site: plant, vcpus: 64, memory_gib: 512, capex_usd: 30000,"
        " depreciation_years: 4, power_kw: 0.8, usd_per_kwh: 0.15, as_of: 2026-10-01}\n"
    )
    shown = _run("import", "onprem", "--file", machines, "--out", out)
    assert "1 offers in" in shown.output
    assert _run("audit", out).exit_code == 0
    read = json.loads(_run("import", "onprem", "--file", machines, "--out", out, "--json").output)
    assert read["rows"] == 1


def test_report_of_sample_bills(tmp_path: Path) -> None:
    from cost.actuals import Period
    from cost.report.sample import write_bills, write_context

    month = Period.parse("2026-10")
    bills, out = tmp_path / "bills", tmp_path / "out"
    write_bills(bills, month, through=5)
    options = [f"--{name}={path}" for name, path in write_context(tmp_path, month).items()]
    shown = _run("report", bills, "--period", "2026-10", "--out", out, "--json", *options)
    assert shown.exit_code == 0, shown.exception
    files = json.loads(shown.output)["files"]
    assert {"report.html", "report.xlsx", "focus.csv"} <= set(files)
    assert all(Path(path).is_file() for path in files.values())


def test_the_engine_of_the_checkout_previews(
    tmp_path: Path, preview: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scripts.tools import engine

    program = tmp_path / "pulumi"
    program.write_text(f'#!/bin/sh\necho "$PYTHONPATH" > {tmp_path}/path\ncat {preview}\n')
    program.chmod(0o755)
    monkeypatch.setattr(engine, "executable", lambda: str(program))
    assert "prod: 76.20" in _run("estimate", "prod").output
    assert "0.00 USD a month" in _run("diff", "prod", "HEAD:prod").output
    assert (tmp_path / "path").read_text().split(":")[0].endswith("/tree")


def test_every_command_has_an_example() -> None:
    for name in ("audit", "import", "estimate", "diff", "report"):
        shown = _run(name, "--help")
        assert shown.exit_code == 0
        assert "Example: mlscale cost" in shown.output
