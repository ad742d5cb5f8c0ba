"""How supervisord is told of a unit, and who holds which port."""

from __future__ import annotations

import configparser
import shlex
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.core.errors import DamagedState
from infra.sites.local.supervision import Layout, Unit, free_port, owner_of, release, reserve
from infra.sites.local.supervision.ports import is_free
from infra.sites.local.supervision.units import read_unit, write_unit

_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), min_size=1, max_size=12)


@given(st.lists(_WORDS.filter(lambda word: not word.isspace()), min_size=1, max_size=4))
def test_any_word_survives_the_command_line(words: list[str]) -> None:
    ini = Unit("u", tuple(words)).ini(Path("/log"), ())
    line = next(line for line in ini.split("\n") if line.startswith("command="))
    # supervisord expands %(...)s and then splits like a shell.
    assert shlex.split(line.removeprefix("command=").replace("%%", "%")) == words


def test_a_service_is_restarted_always_a_step_only_when_it_crashed() -> None:
    def section(unit: Unit) -> configparser.SectionProxy:
        parser = configparser.RawConfigParser()
        parser.read_string(unit.ini(Path("/log"), ("guard",)))
        return parser[f"program:{unit.name}"]

    assert section(Unit("a", ("x",)))["exitcodes"] == "64"
    assert section(Unit("a", ("x",), long_running=False))["exitcodes"] == "0,64"
    assert section(Unit("a", ("x",), environment={"A": '1"%'}))["environment"] == 'A="1\\"%%"'


def test_a_descriptor_comes_back(tmp_path: Path) -> None:
    unit = Unit("u", ("a", "b"), about={"outputs": {"url": "x"}})
    write_unit(tmp_path, unit, "one")
    write_unit(tmp_path, unit, "two")
    assert (tmp_path / "u.ini").read_text() == "two"
    assert {path.name for path in tmp_path.iterdir()} == {"u.ini", "u.json"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert read_unit(tmp_path, "u") == unit
    assert read_unit(tmp_path, "other") is None
    (tmp_path / "u.json").write_text("{")
    with pytest.raises(DamagedState, match="descriptor can't be read"):
        read_unit(tmp_path, "u")


@pytest.fixture
def layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Layout, Layout]:
    monkeypatch.setenv("MLSCALE_STATE", str(tmp_path))
    for name in ("one", "two"):
        (tmp_path / "run" / name).mkdir(parents=True)
    return Layout(tmp_path / "run" / "one"), Layout(tmp_path / "run" / "two")


def test_a_unit_keeps_its_port(layouts: tuple[Layout, Layout]) -> None:
    one, _ = layouts
    port = reserve(one, "server")
    assert reserve(one, "server") == port
    assert reserve(one, "server", wanted=port + 1) == port + 1


def test_two_stacks_never_get_the_same_port(
    layouts: tuple[Layout, Layout], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = layouts
    taken = reserve(one, "server")
    offers = iter([taken, taken, 50999])
    monkeypatch.setattr("infra.sites.local.supervision.ports.free_port", lambda: next(offers))
    assert reserve(two, "server") == 50999


def test_released_ports_leave_no_file(layouts: tuple[Layout, Layout], tmp_path: Path) -> None:
    one, two = layouts
    reserve(one, "a")
    reserve(two, "a")
    release(one)
    assert (tmp_path / "ports").exists()
    release(two)
    assert not (tmp_path / "ports").exists()


def test_a_kill_while_a_port_is_reserved_stops_nobody(
    layouts: tuple[Layout, Layout], tmp_path: Path
) -> None:
    """A registration without its list of ports, and an empty one, are nobody's."""
    one, two = layouts
    (tmp_path / "ports").mkdir()
    for name, text in (("dead", str(tmp_path / "gone.json")), ("torn", "")):
        (tmp_path / "ports" / f"{name}.path").write_text(text)
    reserve(two, "a")
    reserve(one, "a")
    assert len(list((tmp_path / "ports").iterdir())) == 2


def test_a_state_folder_that_goes_while_it_is_waited_for_is_made_again(
    layouts: tuple[Layout, Layout], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = layouts
    state = tmp_path / "vanishing"
    monkeypatch.setenv("MLSCALE_STATE", str(state))
    locks: list[int] = []

    def flock(handle: int, kind: int) -> None:
        if not locks:
            state.rmdir()  # as another stack's destroy does
        locks.append(kind)

    monkeypatch.setattr("infra.sites.local.supervision.ports.fcntl.flock", flock)
    assert reserve(one, "a") > 0
    assert len(locks) == 2
    assert (state / "ports").is_dir()


def test_the_holder_of_a_port_is_named() -> None:
    port = free_port()
    assert is_free(port)
    assert owner_of(port) is None
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not is_free(port)
        owner = owner_of(port)
        assert owner is not None
        assert "python" in owner.name()
