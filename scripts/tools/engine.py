"""The Pulumi engine: one on PATH, else the official distribution, else built from its Go module.

The official installer needs the internet; where it can't be reached, the engine is built from the
module pinned in ``tools/engine/go.mod`` (its checksums stand in ``go.sum``) and completed with this
project's language host, because the module of the official one is not published for use.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from infra.core.errors import MissingTool, Problem
from infra.core.places import ROOT, cache_dir
from scripts.tools._tool import Finding, Progress, Tool, output_of, replaced, version_tuple

VERSION = "3.259.0"
"""What is installed or built; equals the SDK's version in the lock."""

FLOOR = (3, 255, 0)
"""The least that ``Pulumi.yaml`` accepts (``requiredPulumiVersion``)."""

_MODULE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_HOST_SCRIPT = """#!/bin/sh
# Written by scripts/setup: this engine was built from its Go module and has no host of its own.
# Started in the program's folder; the host is the one of the checkout that the program is in.
folder=$PWD
while [ "$folder" != / ] && [ ! -f "$folder/scripts/engine/host.py" ]; do
  folder=${folder%/*}; folder=${folder:-/}
done
MLSCALE_PARENT=$PPID exec "${MLSCALE_PYTHON:-$folder/.venv/bin/python}" -P -m scripts.engine.host "$@"
"""


def engine_dir() -> Path:
    """The cache folder of this version; its ``bin`` holds ``pulumi``."""
    return cache_dir() / "pulumi" / VERSION


def _venv_bin() -> Path:
    return Path(sys.executable).parent


def executable() -> str | None:
    """The ``pulumi`` that verbs call: the environment's own, else the first usable on PATH."""
    own = _venv_bin() / "pulumi"
    if own.exists():
        return str(own)
    found = shutil.which("pulumi")
    return found if found and _version(found) >= FLOOR else None


def _version(path: str) -> tuple[int, ...]:
    return version_tuple(output_of([path, "version"]))


def find() -> Finding:
    """The engine and where it comes from."""
    path = executable()
    if path is None:
        floor = ".".join(map(str, FLOOR))
        on_path = shutil.which("pulumi")
        have = f"{on_path} is older than {floor}" if on_path else f"no pulumi {floor} or later"
        return Finding("", missing=have, fix="scripts/setup --only engine")
    found = _version(path)
    version = ".".join(map(str, found))
    if found < FLOOR:
        missing = f"it is older than {'.'.join(map(str, FLOOR))}" if found else "it doesn't run"
        return Finding("", path, version, missing, "scripts/setup --only engine")
    return Finding("built from its Go module" if _is_built() else "official", path, version)


def _is_built() -> bool:
    own = _venv_bin() / "pulumi"
    return (engine_dir() / "built").exists() and own.resolve().is_relative_to(engine_dir())


def install(progress: Progress) -> None:
    """Put an engine into the cache and link it into the environment.

    Raises ``MissingTool`` when neither the installer nor a Go toolchain is there.
    """
    path = executable()
    if path and path != str(_venv_bin() / "pulumi"):
        return  # the user's own, and new enough
    if not _version(str(engine_dir() / "bin" / "pulumi")) and not _installed_officially(progress):
        _build(progress)
    _link()


def _installed_officially(progress: Progress) -> bool:
    from pulumi.automation import PulumiCommand
    from semver import VersionInfo

    progress("asking the official installer", None)
    try:
        with replaced(engine_dir()) as scratch:
            PulumiCommand.install(root=str(scratch), version=VersionInfo.parse(VERSION))
    except Exception as error:  # noqa: BLE001 - any failure means: build it instead
        progress(f"the official installer can't be reached ({error})", None)
        return False
    return True


def _build(progress: Progress) -> None:
    go = shutil.which("go")
    if go is None:
        raise MissingTool(
            Problem(
                "no Pulumi engine, its installer can't be reached, and there is no Go to build it",
                expected=f"pulumi {'.'.join(map(str, FLOOR))} or later on PATH",
                fix="install Pulumi (https://www.pulumi.com/docs/install/) or Go 1.26, then scripts/setup",
            )
        )
    source = ROOT / "tools" / "engine"
    progress("fetching the engine's modules", 0.0)
    # Not `go mod download`: that asks for every module of the graph, also for those nothing is built from.
    packages = max(1, len(_run([go, "list", "-deps", _MODULE], source).splitlines()))
    with replaced(engine_dir()) as scratch:
        (scratch / "bin").mkdir()
        _compile(go, source, scratch / "bin" / "pulumi", packages, progress)
        # Beside the engine, where it looks for hosts first; on PATH it would warn of it at every run.
        host = scratch / "bin" / "pulumi-language-python"
        host.write_text(_HOST_SCRIPT)
        host.chmod(0o755)
        (scratch / "built").write_text(f"{_MODULE}@{VERSION}\n")


def _compile(go: str, source: Path, target: Path, packages: int, progress: Progress) -> None:
    flag = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={VERSION}"
    command = [go, "build", "-v", "-trimpath", f"-ldflags=-s -w {flag}", "-o", str(target), _MODULE]
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=source, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as build:
        assert build.stderr
        for line in build.stderr:  # -v prints each package's name once it is compiled
            lines.append(line)
            progress(
                f"building the engine ({len(lines)} of {packages} packages)", len(lines) / packages
            )
    if build.returncode != 0:
        _fail(command, "".join(lines[-20:]))


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        _fail(command, done.stderr[-2000:])
    return done.stdout


def _fail(command: list[str], output: str) -> None:
    raise MissingTool(
        Problem(
            f"`{' '.join(command[:3])}` failed: {output.strip()}",
            fix="run scripts/setup again (it goes on where it stopped), or install Pulumi yourself",
        )
    )


def _link() -> None:
    """Make the cached engine the environment's ``pulumi``; a re-run repairs the links."""
    source, target = engine_dir() / "bin", _venv_bin()
    scratch = target / ".pulumi.partial"
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(source / "pulumi")
    scratch.replace(target / "pulumi")


ENGINE = Tool("engine", "the Pulumi engine that every stack goes through", find, install)
