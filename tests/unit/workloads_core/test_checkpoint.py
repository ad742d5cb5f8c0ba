"""Checkpoints: whole or not there, and the one before when the newest is damaged."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.core.errors import DamagedState
from tests.support.small_disk import run_on_small_disk
from workloads.training.checkpoint import CheckpointStore


def save(store: CheckpointStore, step: int) -> Path:
    return store.save(step, lambda stream: stream.write(b"%d " % step * 100)).path


def test_nothing_there(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path, 2).latest_good() is None
    assert CheckpointStore(tmp_path / "no", 2).latest_good() is None


def test_the_newest_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, 2)
    (tmp_path / "step-00000001.pt").write_bytes(b"never sealed")
    for step in (9, 10, 100):
        save(store, step)
    (tmp_path / ".step-00000100.pt.1.abc").write_bytes(b"of a killed writer")
    save(store, 101)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"step-{step:08d}.{end}" for step in (100, 101) for end in ("json", "pt")
    ]
    newest = store.latest_good()
    assert newest is not None
    assert newest.step == 101
    assert newest.path.read_bytes() == b"101 " * 100


DAMAGES: dict[str, Callable[[Path], object]] = {
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "bytes have changed": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"),
    "is missing": lambda path: path.unlink(),
    "record is unreadable": lambda path: path.with_suffix(".json").write_text("{"),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_one_is_passed_over(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = CheckpointStore(tmp_path, 3)
    save(store, 1)
    DAMAGES[how](save(store, 2))
    with caplog.at_level(logging.WARNING):
        found = store.latest_good()
    assert found is not None
    assert found.step == 1
    assert how in caplog.text
    assert "going on from step 1" in caplog.text


def test_all_damaged(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, 3)
    for step, damage in enumerate(DAMAGES.values()):
        damage(save(store, step))
    with pytest.raises(DamagedState, match=f"delete {tmp_path} to train from the start"):
        store.latest_good()


def test_a_record_that_is_no_record(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, 3)
    save(store, 1).with_suffix(".json").write_text(json.dumps([1]))
    with pytest.raises(DamagedState, match="record is unreadable"):
        store.latest_good()


def test_a_failed_save_leaves_the_one_before(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, 2)
    save(store, 1)

    def fail(_stream: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.save(2, fail)
    found = store.latest_good()
    assert found is not None
    assert found.step == 1


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_single_damage_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    store = CheckpointStore(folder, 2)
    save(store, 1)
    path = save(store, 2)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    found = store.latest_good()
    assert found is not None
    assert found.step == 1


_FILL = """
import os
from pathlib import Path
from infra.core.errors import MissingTool
from workloads.training.checkpoint import CheckpointStore
store = CheckpointStore(Path({disk!r}), 3)
store.save(1, lambda stream: stream.write(b"x" * 300_000))
fill()
try:
    store.save(2, lambda stream: stream.write(os.urandom(900_000)))
except MissingTool as error:
    print(error)
print(store.latest_good().step, sorted(path.name for path in Path({disk!r}).iterdir()))
"""


def test_full_disk_keeps_the_last_good_one(tmp_path: Path) -> None:
    said = run_on_small_disk(tmp_path, _FILL.format(disk=str(tmp_path)))
    assert "no space left to write" in said
    assert "1 ['step-00000001.json', 'step-00000001.pt']" in said
