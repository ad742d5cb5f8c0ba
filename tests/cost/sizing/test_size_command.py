"""``mlscale size`` as scripts call it."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cost.sizing.tables import write_table
from infra.core.errors import BadInput, InvalidStack
from scripts.cli import main

_STACK = """config:
  mlscale:platform:
    name: ranking
    environment: dev
    owner: {team: t, cost_center: "1", contact: a@example.com}
    sites: {core: {cloud: aws, region: us-east-1, cidr: 10.16.0.0/16}}
    training:
      ranker:
        sites: [core]
        package: ranker
        work: {parameters: 1300000000, tokens: 2000000000, sequence_length: 2048}
        deadline_hours: 24
    streams: {clicks: {site: core, mib_per_second: 4}}
"""


class Command:
    """Runs ``mlscale size ...``; the exit code and what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *words: object) -> tuple[int, str]:
        self._monkeypatch.setattr(sys, "argv", ["mlscale", "size", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), self._capsys.readouterr().out

    def json(self, *words: object) -> Any:
        code, out = self(*words, "--json")
        assert code == 0, out
        return json.loads(out)


@pytest.fixture
def size(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def emptied(source: Path, target: Path, columns: Sequence[str]) -> Path:
    rows = rows_in(source)
    cells = [["" if key in columns else value for key, value in row.items()] for row in rows]
    write_table(target, list(rows[0]), cells)
    return target


def test_predict_adds_its_columns(size: Command, sample: Path, tmp_path: Path) -> None:
    ask = emptied(sample / "rates.csv", tmp_path / "ask.csv", ["tokens_per_s"])
    out = tmp_path / "predicted.csv"
    assert size("predict", "--in", ask, "--out", out)[0] == 0
    for asked, answer in zip(rows_in(ask), rows_in(out), strict=True):
        assert asked.items() - {("tokens_per_s", "")} <= answer.items()
        low, rate, high = (float(answer[name]) for name in ("low", "tokens_per_s", "high"))
        assert low < rate < high and float(answer["memory_gib"]) > 0
        assert answer["fits"] == "True"


def test_predict_as_json_and_as_a_table(size: Command, sample: Path) -> None:
    rows = size.json("predict", "--in", sample / "rates.csv")
    assert len(rows) == len(rows_in(sample / "rates.csv"))
    code, out = size("predict", "--in", sample / "rates.csv")
    assert code == 0 and "MPT-70b" in out


def test_time_to_target(size: Command, sample: Path, tmp_path: Path) -> None:
    ask = emptied(sample / "minutes.csv", tmp_path / "ask.csv", ["minutes"])
    out = tmp_path / "minutes.csv"
    known = sample / "minutes.csv"
    assert size("time-to-target", "--known", known, "--ask", ask, "--out", out)[0] == 0
    for measured, answer in zip(rows_in(known), rows_in(out), strict=True):
        assert float(answer["minutes"]) == pytest.approx(float(measured["minutes"]), rel=0.25)
        assert float(answer["low"]) < float(answer["minutes"]) < float(answer["high"])


def test_serving(size: Command, sample: Path, tmp_path: Path) -> None:
    ask = emptied(sample / "served.csv", tmp_path / "ask.csv", ["value"])
    out = tmp_path / "served.csv"
    known = sample / "served.csv"
    assert size("serving", "--calibrate", known, "--ask", ask, "--out", out)[0] == 0
    assert all(float(row["low"]) < float(row["value"]) < float(row["high"]) for row in rows_in(out))


def test_rank(size: Command, sample: Path, tmp_path: Path) -> None:
    source = tmp_path / "candidates.csv"
    rows = [["resnet", "p5.48xlarge", 8, 64], ["resnet", "p5.48xlarge", 1, 8],
            ["resnet", "g6e.24xlarge", 2, 8]]  # fmt: skip
    columns = ["workload", "cloud_instance_equivalent", "nodes", "accelerators"]
    write_table(source, columns, rows)
    ranked = size.json("rank", "--in", source, "--known", sample / "minutes.csv")
    assert [row["rank_by_cost"] for row in ranked] == [1, 2, 3]
    assert ranked[0]["nodes"] == "1"
    out = tmp_path / "ranked.csv"
    assert size("rank", "--in", source, "--out", out)[0] == 0
    assert {row["rank_by_time"] for row in rows_in(out)} == {"1", "2", "3"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.test.yaml").write_text(_STACK)
    return tmp_path


def test_a_stack_is_sized_and_locked(size: Command, root: Path) -> None:
    code, out = size("test", "--root", root, "--write")
    assert code == 0 and "training ranker" in out and "brokers" in out
    assert (root / "stacks" / "capacity.test.yaml").is_file()
    data = size.json("test", "--root", root)
    assert data["training"]["ranker"]["choice"]["provider"] == "aws"
    assert size.json("stack", "test", "--root", root) == data


def test_a_plan_without_a_stack(size: Command) -> None:
    words = ("plan", "--parameters", "1.3e9", "--tokens", "1e9", "--deadline-hours", "5")
    assert size.json(*words)["meets_deadline"]
    code, out = size(*words)
    assert code == 0 and "Memory:" in out


def test_errors_have_their_codes(size: Command, root: Path, sample: Path) -> None:
    assert size("nowhere", "--root", root)[0] == InvalidStack.exit_code
    shutil.copy(sample / "served.csv", root / "wrong.csv")
    code, out = size("predict", "--in", root / "wrong.csv", "--json")
    assert code == BadInput.exit_code
    assert json.loads(out)["problems"][0]["file"].endswith("wrong.csv")


def test_help_has_examples(size: Command) -> None:
    for verb in ("stack", "predict", "time-to-target", "serving", "rank", "plan"):
        code, out = size(verb, "--help")
        assert code == 0 and "Example: mlscale size" in " ".join(out.split())
