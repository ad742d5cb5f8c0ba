"""How tools are found and put in place: PATH and cache are the test's own, programs are stubs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.core.errors import MissingTool
from scripts.tools import TOOLS, engine, java, kafka, prometheus, python
from scripts.tools._show import _lines, shown
from scripts.tools._tool import output_of, replaced, version_tuple

Write = Callable[[str, str], Path]
_TOLD: list[tuple[str, float | None]] = []


def _progress(message: str, fraction: float | None) -> None:
    _TOLD.append((message, fraction))


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a shell program that is alone on PATH with /bin and /usr/bin's coreutils linked in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mkdir", "touch", "cat", "sleep", "echo", "dirname"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("MLSCALE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    def write(name: str, body: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for ``.venv/bin``."""
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setattr(engine, "_venv_bin", lambda: folder)
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The official installer can't be reached."""
    monkeypatch.setattr(engine, "_installed_officially", lambda progress: False)


def test_versions_compare_as_numbers() -> None:
    assert version_tuple("v3.259.0-dev") == (3, 259, 0)
    assert version_tuple("17") > version_tuple('openjdk version "9.0.4"')
    assert version_tuple("none") == ()


def test_what_a_command_says_on_either_stream(program: Write) -> None:
    assert output_of([str(program("says", "echo out; echo err >&2; exit 3"))]) == "out\nerr"
    assert output_of([str(program("latin", "printf 'gr\\374n'"))]) == "gr�n"
    assert output_of([str(program("slow", "sleep 20"))], timeout_seconds=0.1) == ""
    assert output_of(["no-such-program"]) == ""


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "cache" / "tool"
    with replaced(final) as scratch:
        (scratch / "one").touch()
        assert not final.exists()
    (final.parent / ".tool.partial").mkdir()
    (final.parent / ".tool.partial" / "of-a-killed-run").touch()
    with pytest.raises(ZeroDivisionError), replaced(final) as scratch:
        assert list(scratch.iterdir()) == []
        raise ZeroDivisionError
    assert [path.name for path in final.iterdir()] == ["one"]
    with replaced(final) as scratch:
        (scratch / "two").touch()
    assert [path.name for path in final.iterdir()] == ["two"]
    assert [path.name for path in final.parent.iterdir()] == ["tool"]


def test_two_checkouts_take_turns(tmp_path: Path) -> None:
    final, entered, order = tmp_path / "tool", threading.Event(), list[str]()

    def second() -> None:
        entered.wait(10)
        with replaced(final) as scratch:
            order.append("second")
            (scratch / "second").touch()

    thread = threading.Thread(target=second)
    thread.start()
    with replaced(final) as scratch:
        entered.set()
        thread.join(0.2)
        order.append("first")
        (scratch / "first").touch()
    thread.join(10)
    assert order == ["first", "second"]
    assert [path.name for path in final.iterdir()] == ["second"]


def test_a_usable_engine_on_path_is_left_as_it_is(program: Write, environment: Path) -> None:
    own = program("pulumi", "echo v3.300.1")
    found = engine.find()
    assert (found.usable, found.path, found.version) == (True, str(own), "3.300.1")
    assert found.detail == "official"
    engine.install(_progress)
    assert list(environment.iterdir()) == []


def test_one_that_is_too_old_is_not_used(program: Write, environment: Path, offline: None) -> None:
    program("pulumi", "echo v3.1.0")
    assert engine.executable() is None
    assert "is older than 3.255.0" in (engine.find().missing or "")
    with pytest.raises(MissingTool, match="no Go to build it"):
        engine.install(_progress)


def test_the_environments_own_must_run_and_be_new_enough(program: Write, environment: Path) -> None:
    assert "no pulumi 3.255.0" in (engine.find().missing or "")
    own = environment / "pulumi"
    own.write_text("#!/bin/sh\necho v3.200.0\n")
    own.chmod(0o755)
    assert "it is older than 3.255.0" in (engine.find().missing or "")
    own.write_text("#!/bin/sh\nexit 1\n")
    assert engine.find().missing == "it doesn't run"


_GO = """
case "$1" in
  list) echo a; echo b; echo c ;;
  build)
    while [ "$1" != -o ]; do shift; done
    echo internal/a >&2; echo internal/b >&2
    echo '#!/bin/sh' > "$2"; echo 'echo v3.259.0' >> "$2"; chmod 755 "$2" ;;
esac
"""


def test_an_engine_is_built_once_and_linked_again_and_again(
    program: Write, environment: Path, offline: None, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "chmod").symlink_to("/bin/chmod")
    go = program("go", _GO)
    _TOLD.clear()
    engine.install(_progress)
    found = engine.find()
    assert found.usable
    assert (found.detail, found.version) == ("built from its Go module", engine.VERSION)
    assert ("building the engine (2 of 3 packages)", 2 / 3) in _TOLD
    host = engine.engine_dir() / "bin" / "pulumi-language-python"
    assert os.access(host, os.X_OK)
    assert {path.name for path in environment.iterdir()} == {"pulumi"}
    go.write_text("#!/bin/sh\nexit 1\n")
    (environment / "pulumi").unlink()
    (environment / ".pulumi.partial").symlink_to("of-a-killed-run")
    engine.install(_progress)  # another checkout, or a new environment: nothing is built
    assert engine.find().usable
    assert {path.name for path in environment.iterdir()} == {"pulumi"}


def test_a_damaged_engine_in_the_cache_is_built_anew(
    program: Write, environment: Path, offline: None, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "chmod").symlink_to("/bin/chmod")
    damaged = engine.engine_dir() / "bin" / "pulumi"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"\x7fELF truncated")
    damaged.chmod(0o755)
    (environment / "pulumi").symlink_to(damaged)
    assert engine.find().missing == "it doesn't run"
    program("go", _GO)
    engine.install(_progress)
    assert engine.find().usable


@pytest.mark.parametrize("verb", ["list", "build"])
def test_a_build_that_fails_says_what_go_said_and_leaves_nothing(
    program: Write, environment: Path, offline: None, verb: str
) -> None:
    program("go", f'[ "$1" = {verb} ] && {{ echo "no route to proxy" >&2; exit 1; }}; exit 0')
    with pytest.raises(MissingTool, match=rf"(?s)go {verb}.*no route to proxy.*Fix: run scripts"):
        engine.install(_progress)
    assert not engine.engine_dir().exists()
    assert list(environment.iterdir()) == []


def test_the_official_installer_is_asked_first(
    program: Write, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pulumi.automation import PulumiCommand

    def install(root: str, version: object) -> None:
        assert str(version) == engine.VERSION
        (Path(root) / "bin").mkdir()
        official = Path(root) / "bin" / "pulumi"
        official.write_text("#!/bin/sh\necho v3.259.0\n")
        official.chmod(0o755)

    monkeypatch.setattr(PulumiCommand, "install", install)
    engine.install(_progress)
    assert engine.find().detail == "official"


def test_an_installer_that_cannot_be_reached_means_a_build(
    program: Write, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pulumi.automation import PulumiCommand

    def unreachable(root: str, version: object) -> None:
        (Path(root) / "half").touch()
        raise OSError("name resolution failed")

    monkeypatch.setattr(PulumiCommand, "install", unreachable)
    _TOLD.clear()
    with pytest.raises(MissingTool, match="no Go"):
        engine.install(_progress)
    assert any("name resolution failed" in message for message, _ in _TOLD)
    assert not engine.engine_dir().exists()


def test_java_is_named_or_what_to_install(program: Write) -> None:
    found = java.find()
    assert not found.usable
    assert "openjdk" in (found.fix or "")
    program("java", "echo 'openjdk version \"21.0.4\" 2024-07-16' >&2")
    assert (java.find().usable, java.find().version) == (True, "21.0.4")


def test_kafkas_jars_are_fetched_whole_or_refused(program: Write, tmp_path: Path) -> None:
    assert kafka.find().fix == "scripts/setup --only kafka"
    assert "more)" in (kafka.find().missing or "")
    with pytest.raises(MissingTool, match=r"no mvn.*apt-get install maven"):
        kafka.install(_progress)
    program("mvn", 'echo "[ERROR] repository unreachable"; exit 1')
    with pytest.raises(MissingTool, match="repository unreachable"):
        kafka.install(_progress)
    program("mvn", "exit 0")  # and brings nothing
    with pytest.raises(MissingTool):
        kafka.install(_progress)
    assert not kafka._libs().exists()


_APT = """
for argument; do case "$argument" in
  Dir::State::Lists=*) echo "${argument#*=}" > "$SAID" ;;
  download) : > prometheus_2.45.deb ;;
esac; done
"""
_DPKG = """
mkdir -p "$3/usr/bin"
echo '#!/bin/sh' > "$3/usr/bin/prometheus"
echo 'echo prometheus, version 2.45.0' >> "$3/usr/bin/prometheus"
chmod 755 "$3/usr/bin/prometheus"
"""


def test_prometheus_is_unpacked_into_the_cache(
    program: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prometheus.find().missing == "no prometheus on PATH or in the cache"
    with pytest.raises(MissingTool, match="no apt-get"):
        prometheus.install(_progress)
    (tmp_path / "bin" / "chmod").symlink_to("/bin/chmod")
    monkeypatch.setenv("SAID", str(tmp_path / "said"))
    program("dpkg", _DPKG)
    program("apt-get", "echo 'E: no network' >&2; exit 100")
    with pytest.raises(MissingTool, match="`apt-get` failed: E: no network"):
        prometheus.install(_progress)
    program("apt-get", "exit 0")
    with pytest.raises(MissingTool, match="fetched no package"):
        prometheus.install(_progress)
    program("apt-get", _APT)
    prometheus.install(_progress)
    found = prometheus.find()
    assert (found.usable, found.version) == (True, "2.45.0")
    assert str(found.path).startswith(str(tmp_path / "cache"))
    assert not Path((tmp_path / "said").read_text().strip()).exists()
    program("apt-get", "exit 100")
    prometheus.install(_progress)  # there already: nothing is asked


def test_a_prometheus_on_path_that_is_too_old_is_named(program: Write) -> None:
    old = program("prometheus", "echo prometheus, version 2.24.1")
    assert "older than 2.40" in (prometheus.find().missing or "")
    with pytest.raises(MissingTool, match=rf"{old}.*expected prometheus 2\.40"):
        prometheus.install(_progress)


def test_pins_of_a_lock_that_hold_on_this_machine(tmp_path: Path) -> None:
    lock = tmp_path / "main.txt"
    lock.write_text(
        "# comment\nalpha==1.2.3 \\\n    --hash=sha256:00\n"
        "beta==2 ; python_version >= '3' \\\n    --hash=sha256:00\n"
        "gamma==3 ; sys_platform == 'amiga' \\\n    --hash=sha256:00\n"
    )
    assert python.pins(lock) == {"alpha": "1.2.3", "beta": "2"}


def test_an_environment_that_left_its_lock_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert python.find().usable
    (tmp_path / "requirements").mkdir()
    pins = [f"no-such-package-{number}==1" for number in range(5)]
    (tmp_path / "requirements" / "main.txt").write_text("\n".join([*pins, "pytest==0.1"]))
    monkeypatch.setattr(python, "ROOT", tmp_path)
    missing = python.find().missing or ""
    assert "no-such-package-0 missing (lock: 1)" in missing
    assert missing.endswith("and 3 more")


def test_piped_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    progress = _lines("engine", clock=lambda: now[0])
    for second in range(12):
        now[0] = float(second)
        progress(f"building ({second} of 12)", second / 12)
    progress("linking", None)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "engine:   0% building (0 of 12)",
        "engine:  42% building (5 of 12)",
        "engine:  83% building (10 of 12)",
        "engine: linking",
    ]


def test_progress_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("kafka") as progress:
        progress("fetching", None)
    assert capsys.readouterr().err == "kafka: fetching\n"


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    """On a real pseudo-terminal."""
    import pty

    code = "from scripts.tools._show import shown\nwith shown('kafka') as say: say('half', 0.5)"
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=follower, env=environment, check=True
    )
    os.close(follower)
    said = os.read(leader, 65536).decode()
    os.close(leader)
    assert done.returncode == 0
    assert "kafka: half" in said


def test_every_tool_says_what_it_is_for() -> None:
    assert {tool.name for tool in TOOLS} == {"python", "engine", "java", "kafka", "prometheus"}
    assert all(tool.purpose for tool in TOOLS)
