"""Kafka's jars, fetched by Maven and held against the checksums in ``tools/kafka/jars.sha256``."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from infra.core.errors import MissingTool, Problem
from infra.core.places import ROOT
from scripts.tools._tool import Finding, Progress, Tool, replaced

_POM = ROOT / "tools" / "kafka" / "pom.xml"
_FIX = "scripts/setup --only kafka"


def _libs() -> Path:
    from workloads.streaming.broker import libs_directory

    return libs_directory()


def find() -> Finding:
    """Whether every jar is there and whole."""
    from workloads.streaming.broker import KAFKA_VERSION, verify_jars

    problems = verify_jars(_libs())
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return Finding("", str(_libs()), missing=problems[0].message + more, fix=_FIX)
    return Finding("jars whole", str(_libs()), KAFKA_VERSION)


def install(progress: Progress) -> None:
    """Fetch the jars; a truncated set is fetched anew."""
    from workloads.streaming.broker import verify_jars

    maven = shutil.which("mvn")
    if maven is None:
        raise MissingTool(
            Problem("no mvn on PATH to fetch Kafka's jars", fix="apt-get install maven")
        )
    progress("fetching Kafka's jars", None)
    with replaced(_libs()) as scratch:
        _copy_dependencies(maven, scratch)
        problems = verify_jars(scratch)
        if problems:
            raise MissingTool(problems)


def _copy_dependencies(maven: str, target: Path) -> None:
    command = [
        maven, "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies",
        "-DincludeScope=runtime", f"-DoutputDirectory={target}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-1500:]
        raise MissingTool(Problem(f"Maven could not fetch Kafka's jars: {said}", fix=_FIX))


KAFKA = Tool("kafka", "the stream broker of the local site", find, install)
