"""Bad input on the real engine: one clear error before anything starts, and nothing is touched."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.core.places import cache_dir
from tests.support.stacks import TRAINING_ONLY, Stack, stack
from workloads.streaming.broker import libs_directory

pytestmark = [pytest.mark.slow, pytest.mark.engine]

_WITH_STREAM = TRAINING_ONLY + "    streams: {images: {site: here}}\n"


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that every test declares anew and none gets past its preview."""
    with stack(tmp_path_factory.mktemp("bad"), TRAINING_ONLY) as found:
        found.pulumi("stack", "init")
        yield found


def _preview(found: Stack, declaration: str, **environment: str) -> str:
    """What a refused preview says; nothing of the stack may exist after it."""
    found.file.write_text(declaration, encoding="utf-8")
    kept = dict(found.environment)
    found.environment.update(environment)
    try:
        done = found.pulumi("preview", ok=False)
    finally:
        found.environment.clear()
        found.environment.update(kept)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback" not in said
    assert not found.layout.directory.exists()
    assert not found.store.exists()
    return said


def test_the_program_and_validate_say_the_same(rejected: Stack) -> None:
    broken = TRAINING_ONLY.replace("environment: dev", "enviroment: dev").replace(
        "gate: {accuracy_min: 0.9}", "deadline_hours: 24h"
    )
    broken += "    budget: {monthly_usd: -5}\n"
    said = _preview(rejected, broken)
    validated = rejected.mlscale("validate", rejected.name, "--json", ok=False)
    assert validated.returncode == 3
    problems = json.loads(validated.stdout)["problems"]
    assert len(problems) >= 3
    for problem in problems:
        assert problem["file"] == f"stacks/{rejected.file.name}"
        assert problem["line"]
        assert f"{problem['file']}:{problem['line']}" in said
        assert problem["message"] in said
        assert problem["fix"] or problem["expected"]


def test_overlapping_networks(rejected: Stack) -> None:
    overlap = TRAINING_ONLY.replace(
        "sites: {here: {cloud: local}}",
        "sites: {here: {cloud: local, cidr: 10.0.0.0/16}, "
        "plant: {cloud: onprem, cidr: 10.0.128.0/17}}",
    )
    said = _preview(rejected, overlap)
    assert "overlap" in said


def test_a_taken_port(rejected: Stack) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        pinned = TRAINING_ONLY.replace("cloud: local", f"cloud: local, ports: {{tracking: {port}}}")
        said = _preview(rejected, pinned)
    assert f"port {port} is taken by process {os.getpid()}" in said


def test_java_missing(rejected: Stack, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "prometheus"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    path = f"{rejected.environment['PATH'].split(os.pathsep)[0]}{os.pathsep}{tools}"
    said = _preview(rejected, _WITH_STREAM, PATH=path, JAVA_HOME="")
    assert "Java is missing" in said
    assert "openjdk-17" in said


def test_a_truncated_jar(rejected: Stack, tmp_path: Path) -> None:
    whole, torn = libs_directory(cache_dir()), libs_directory(tmp_path)
    torn.mkdir(parents=True)
    for jar in whole.glob("*.jar"):
        (torn / jar.name).symlink_to(jar)
    victim = max(torn.glob("kafka-clients-*.jar"))
    content = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(content[: len(content) // 2])
    said = _preview(rejected, _WITH_STREAM, MLSCALE_CACHE=str(tmp_path))
    assert victim.name in said
    assert "damaged" in said
    assert "scripts/setup --only kafka" in said


def test_a_full_disk(rejected: Stack) -> None:
    full = TRAINING_ONLY.replace(
        "{lake: {site: here}}", "{lake: {site: here, min_free_gib: 900000}}"
    )
    said = _preview(rejected, full)
    assert "GiB free, expected 900000" in said
    assert "make room" in said


def test_a_data_file_that_breaks_its_contract(rejected: Stack, tmp_path: Path) -> None:
    from workloads.packages.digits.source import bundled_file

    lines = gzip.decompress(bundled_file().read_bytes()).decode().splitlines()
    bad = tmp_path / "digits.csv"
    broken = lines[:400]
    broken[7] = f"99,{broken[7].split(',', 1)[1]}"
    assert broken[7] != lines[7]
    bad.write_text("\n".join(broken) + "\n", encoding="utf-8")
    declared = TRAINING_ONLY.replace("table: digits}", f"table: digits, source: {bad}}}")
    rejected.file.write_text(declared, encoding="utf-8")
    done = rejected.mlscale("up", rejected.name, ok=False)
    said = done.stdout + done.stderr
    assert done.returncode == 9
    assert "1 of 399" in said or "1 row" in said
    state = json.loads(rejected.pulumi("stack", "export").stdout)
    kinds = {resource["type"] for resource in state["deployment"]["resources"]}
    assert "mlscale:local:TrainingJob" not in kinds
    kept = list((rejected.store / "quarantine").rglob("*.parquet"))
    assert len(kept) == 1


def test_an_unreadable_state(rejected: Stack) -> None:
    state = rejected.backend / "stacks" / "mlscale" / f"{rejected.name}.json"
    content = state.read_text(encoding="utf-8")
    state.write_text(content[: len(content) // 2], encoding="utf-8")
    done = rejected.mlscale("up", rejected.name, ok=False)
    assert done.returncode == 7
    assert str(state) in done.stderr
    assert "Fix: " in done.stderr
    state.write_text(content, encoding="utf-8")
    rejected.mlscale("down", rejected.name)
