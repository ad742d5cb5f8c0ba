"""Reading what the engine writes, and comparing two of them."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost import money
from cost.estimate import (
    Outcome,
    PriceBook,
    Usage,
    diff,
    estimate,
    estimate_file,
    estimate_stack,
    parse,
    run,
)
from cost.estimate.render import diff_markdown, markdown
from cost.estimate.sources import load
from infra.core.errors import BadInput, EngineFailed, MissingTool

from .conftest import TODAY, document, price, step, urn  # type: ignore[import-not-found]

EKS, S3 = "aws:eks/cluster:Cluster", "aws:s3/bucket:Bucket"


def test_a_preview_as_the_engine_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "preview.json"
    path.write_text(document(
        step("pulumi:pulumi:Stack", name="mlscale-prod", custom=False),
        step(EKS, {}, "new"), step(EKS, {}, "kept", op="same"), step(EKS, {}, "gone", op="delete"),
        step(EKS, {}, "renewed", op="create-replacement"), step(EKS, {}, "renewed", op="replace"),
        step(EKS, {}, "renewed", op="delete-replaced")))  # fmt: skip
    result = estimate_file(path, today=TODAY)
    assert [item.resource.name for item in result.resources] == [
        "mlscale-prod", "new", "kept", "renewed"]  # fmt: skip
    assert (result.stack, result.usd_per_month) == ("prod", Decimal(219))
    deployed = estimate_file(path, today=TODAY, deployed=True)
    assert [item.resource.name for item in deployed.resources] == [
        "mlscale-prod", "kept", "gone", "renewed"][1:]  # fmt: skip


def test_an_exported_state(tmp_path: Path) -> None:
    state = {"urn": urn(EKS, "c"), "custom": True, "type": EKS, "inputs": {}}
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"version": 3, "deployment": {"resources": [state]}}))
    assert estimate_file(path, today=TODAY).usd_per_month == 73


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not a preview"),
        ("{}", "neither steps nor deployment"),
        ('{"steps": [{"op": "create", "newState": {"urn": "x"}}]}', "no urn or type"),
        (
            '{"steps": [], "diagnostics": [{"severity": "error", "message": "no such host"}]}',
            "the preview failed: no such host",
        ),
    ],
)
def test_bad_previews_are_one_error(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "preview.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=words):
        estimate_file(path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't read the preview"):
        estimate_file(tmp_path / "none.json")


def test_an_empty_preview_is_zero_and_complete() -> None:
    result = estimate(parse('{"steps": []}'), PriceBook(Usage(), TODAY))
    assert (result.usd_per_month, result.as_json()["complete"]) == (Decimal(0), True)


def _engine(folder: Path, body: str) -> Path:
    program = folder / "pulumi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return program


def test_the_engine_is_called_with_the_flags_that_show_all(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text(document(step(EKS, {})))
    program = _engine(tmp_path, f'echo "$@" > {tmp_path}/args; cat {tmp_path}/out.json')
    text = run("prod", tmp_path, str(program))
    assert parse(text).resources[0].type == EKS
    asked = (tmp_path / "args").read_text().split()
    assert asked == ["preview", "--json", "--show-sames", "--non-interactive", "--stack", "prod"]


def test_the_engine_on_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out.json").write_text(document(step(EKS, {})))
    _engine(tmp_path, f"cat {tmp_path}/out.json")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert estimate_stack("prod", today=TODAY).usd_per_month == 73
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(MissingTool, match="mlscale setup"):
        run("prod")


def test_the_engines_own_words_are_told(tmp_path: Path) -> None:
    failed = json.dumps(
        {"steps": [], "diagnostics": [{"severity": "error", "message": "no creds"}]}
    )
    program = _engine(tmp_path, f"echo '{failed}'; exit 255")
    with pytest.raises(EngineFailed, match="prod: preview failed: no creds"):
        run("prod", program=str(program))
    program = _engine(tmp_path, "echo 'no stack named prod' >&2; exit 1")
    with pytest.raises(EngineFailed, match="no stack named prod"):
        run("prod", program=str(program))


def test_sides(tmp_path: Path, checkout: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(document(step(EKS, {}), step(EKS, {}, "gone", op="delete")))
    asked: list[tuple[str, Path | None]] = []

    def runner(stack: str, cwd: Path | None) -> str:
        asked.append((stack, cwd))
        if cwd is not None:
            assert (cwd / "file").read_text() == "one"
            assert (cwd / ".venv").is_dir()
        return path.read_text()

    assert len(load(str(path), runner).resources) == 1
    assert [item.name for item in load(f"deployed:{path}", runner).resources] == ["gone"]
    load("prod", runner)
    with pytest.raises(BadInput, match="no such preview"):
        load("none.json", runner)
    with pytest.raises(BadInput, match="git rev-parse"):
        load("nowhere:prod", runner)
    (checkout / "file").write_text("two")
    load("HEAD:prod", runner)
    assert asked[0] == ("prod", None)
    assert asked[1][0] == "prod"
    assert asked[1][1] is not None
    assert not asked[1][1].exists()


def test_a_difference_adds_up() -> None:
    a = price(step(EKS, {}, "old"), step(EKS, {}, "same"), step(S3, {}, "lake"))
    b = price(step(EKS, {}, "same", stack="dev"), step(S3, {}, "lake", stack="dev"),
              step("aws:ec2/natGateway:NatGateway", {}, "nat", stack="dev"),
              step("x:y:Z", {}, "odd", stack="dev"))  # fmt: skip
    found = diff(a, b)
    kinds = {change.name.split()[0]: change.kind for change in found.changes}
    assert kinds == {
        "old": "removed",
        "same": "same",
        "lake": "same",
        "nat": "added",
        "odd": "added",
    }
    assert found.usd_delta == b.usd_per_month - a.usd_per_month == Decimal("-35.65")
    assert [change.name for change in found.relevant] == [
        "old (Cluster)", "nat (NatGateway)", "odd (Z)"]  # fmt: skip
    document_ = found.as_json()
    assert Decimal(document_["usd_delta"]) == Decimal("-35.65")
    text = diff_markdown(found)
    assert "### Cost: -35.65 USD a month" in text
    assert "| old (Cluster) | removed | 73.00 | 0.00 | -73.00 |" in text
    assert "<details><summary>1 not priced</summary>" in text


def test_a_change_of_size_is_a_change() -> None:
    def pool(count: int) -> dict[str, object]:
        return step("aws:eks/nodeGroup:NodeGroup", {
            "instanceTypes": ["m5.large"], "scalingConfig": {"desiredSize": count}})  # fmt: skip

    found = diff(price(pool(1)), price(pool(3)))
    (change,) = found.relevant
    assert (change.kind, change.usd_delta) == ("changed", 2 * (Decimal("70.08") + Decimal("1.60")))
    same = diff(price(pool(1)), price(pool(1)))
    assert "No resource changes its cost." in diff_markdown(same)


_SIDE = st.lists(st.tuples(st.sampled_from([EKS, S3, "aws:kms/key:Key"]), st.sampled_from("abcde")))


@given(_SIDE, _SIDE)
def test_deltas_conserve_the_totals(
    before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    a, b = (price(*(step(token, {}, name) for token, name in side)) for side in (before, after))
    found = diff(a, b)
    assert found.usd_delta == money.total((b.usd_per_month, -a.usd_per_month))
    assert money.total(change.usd_before for change in found.changes) == a.usd_per_month


def test_markdown_says_what_has_to_be_said() -> None:
    result = price(step(EKS, {}, "c"), step(S3, {}, "a|b"), step("x:y:Z", {}, "odd"),
                   config={"aws:region": "eu-west-1"})  # fmt: skip
    text = markdown(result)
    assert "### prod: 76.20 USD a month" in text
    assert "a lower bound" in text
    assert "rest on stale prices" in text
    assert "use another region's price" in text
    assert "a\\|b" in text
    assert "| odd | x:y:Z | no resolver for x:y:Z |" in text
    assert result.of(Outcome.REFUSED)[0].resource.name == "odd"
