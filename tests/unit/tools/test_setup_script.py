"""``scripts/setup`` in a checkout of its own, whose path has spaces; uv and mlscale are stubs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.core.places import ROOT

_UV = """#!/bin/sh
echo "$*" >> "$SAID"
case "$*" in
  "venv "*) for last; do :; done
    mkdir -p "$last/bin"; touch "$last/pyvenv.cfg"; ln -s "$BASE" "$last/bin/python"
    printf '#!/bin/sh\\necho "mlscale $*" >> "$SAID"\\n' > "$last/bin/mlscale"
    chmod 755 "$last/bin/mlscale" ;;
  "pip sync "*) [ -z "$UV_FAILS" ] || { echo "error: no route"; exit 2; } ;;
esac
"""


class Checkout:
    """What the script needs of a checkout, and what its stubs were asked."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my check out"
        (self.root / "scripts").mkdir(parents=True)
        (self.root / "requirements").mkdir()
        shutil.copy(ROOT / "scripts" / "setup", self.root / "scripts" / "setup")
        for name, text in (("main", "a==1"), ("dev", "a==1\nb==2"), ("uv", "uv==0.1.2")):
            (self.root / "requirements" / f"{name}.txt").write_text(f"{text}\n")
        (self.root / "pyproject.toml").write_text("[project]\n")
        self.said = folder / "said"
        uv = folder / "a cache" / "uv" / "0.1.2" / "bin" / "uv"
        uv.parent.mkdir(parents=True)
        uv.write_text(_UV)
        uv.chmod(0o755)
        self.environment = {
            **os.environ,
            "SAID": str(self.said),
            "BASE": sys.executable,
            "MLSCALE_CACHE": str(folder / "a cache"),
            "MLSCALE_BASE_PYTHON": sys.executable,
        }

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it from elsewhere."""
        self.said.write_text("")
        return subprocess.run(
            [str(self.root / "scripts" / "setup"), *arguments],
            env={**self.environment, **environment},
            cwd="/", capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def asked(self) -> list[str]:
        """The first two words of each call."""
        return [" ".join(line.split()[:2]) for line in self.said.read_text().splitlines()]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


_WHOLE = ["venv -q", "pip sync", "pip install", "mlscale setup"]


def test_a_second_run_has_nothing_to_do(checkout: Checkout) -> None:
    done = checkout.run()
    assert done.returncode == 0, done.stderr
    assert checkout.asked() == _WHOLE
    assert "--require-hashes requirements/main.txt" in checkout.said.read_text()
    checkout.run()
    assert checkout.asked() == ["mlscale setup"]
    (checkout.root / "requirements" / "main.txt").write_text("a==2\n")
    checkout.run()
    assert checkout.asked() == ["pip sync", "pip install", "mlscale setup"]


def test_development_packages_are_never_taken_away(checkout: Checkout) -> None:
    checkout.run("--dev")
    assert "requirements/dev.txt" in checkout.said.read_text()
    checkout.run()
    assert checkout.asked() == ["mlscale setup"]
    (checkout.root / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    checkout.run()
    assert "requirements/dev.txt" in checkout.said.read_text()


def test_a_failed_install_is_told_and_goes_on_the_next_time(checkout: Checkout) -> None:
    done = checkout.run(UV_FAILS="1")
    assert done.returncode == 2
    assert "error: no route" in done.stderr
    assert checkout.run().returncode == 0
    assert checkout.asked() == ["pip sync", "pip install", "mlscale setup"]


def test_an_environment_that_a_kill_left_half_made_is_made_anew(checkout: Checkout) -> None:
    (checkout.root / ".venv" / "bin").mkdir(parents=True)
    (checkout.root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    assert checkout.run().returncode == 0
    assert checkout.asked() == _WHOLE
    (checkout.root / ".venv" / "bin" / "python").unlink()
    (checkout.root / ".venv" / "bin" / "python").symlink_to("/usr/bin/python-of-last-year")
    assert checkout.run().returncode == 0
    assert checkout.asked() == _WHOLE


def test_only_some_tools(checkout: Checkout) -> None:
    checkout.run("--only", "python")
    assert checkout.asked() == _WHOLE[:-1]
    checkout.run("--only", "kafka", "--only", "engine")
    assert checkout.said.read_text() == "mlscale setup --only kafka --only engine\n"


def test_wrong_usage_and_no_python(checkout: Checkout, tmp_path: Path) -> None:
    assert "unknown argument --nope" in checkout.run("--nope").stderr
    assert checkout.run("--help").stdout.startswith("# Sets this checkout up")
    empty = tmp_path / "bin"
    empty.mkdir()
    for name in ("bash", "env", "dirname", "mkdir"):
        (empty / name).symlink_to(shutil.which(name) or name)
    done = checkout.run(PATH=str(empty), MLSCALE_BASE_PYTHON="")
    assert done.returncode == 5
    assert "set MLSCALE_BASE_PYTHON" in done.stderr
