"""The object store against a model of itself, and against kill -9, damage and a full disk."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from infra.core.errors import BadInput, DamagedState
from tests.support.processes import ROOT, wait_until
from tests.support.small_disk import run_on_small_disk
from workloads.data.objects import ObjectStore

KEYS = st.sampled_from(["a", "a/b", "ü", "models/digits/x.onnx"])
CONTENTS = st.sampled_from([b"", b"one", b"two", b"three" * 1000])


class Model(RuleBasedStateMachine):
    """The store does what a dict of lists does."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = ObjectStore(Path(self.folder.name))
        self.versions: dict[str, list[bytes | None]] = {}

    @rule(key=KEYS, content=CONTENTS)
    def put(self, key: str, content: bytes) -> None:
        version = self.store.put(key, content)
        history = self.versions.setdefault(key, [])
        if not history or history[-1] != content:
            history.append(content)
        assert version.size_bytes == len(content)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        if self.versions.get(key, [None])[-1] is None:
            with pytest.raises(BadInput):
                self.store.delete(key)
        else:
            assert self.store.delete(key).is_delete_marker
            self.versions[key].append(None)

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.versions)))
        history = self.versions[key]
        index = data.draw(st.integers(0, len(history) - 1))
        version = list(reversed(self.store.versions(key)))[index]
        if history[index] is None:
            with pytest.raises(BadInput, match="delete marker"):
                self.store.restore(key, version.version_id)
        else:
            self.store.restore(key, version.version_id)
            history.append(history[index])

    @rule(keep=st.integers(1, 3))
    def prune(self, keep: int) -> None:
        self.store.prune(keep)
        self.versions = {
            key: history[-keep:]
            for key, history in self.versions.items()
            if history[-1] is not None
        }
        blobs = list((self.store.root / "blobs").glob("*/*"))
        named = {each for history in self.versions.values() for each in history} - {None}
        assert len(blobs) == len(named)

    @invariant()
    def same_as_the_model(self) -> None:
        live = {key: each[-1] for key, each in self.versions.items() if each[-1] is not None}
        assert {each.key for each in self.store.current()} == set(live)
        for key, history in self.versions.items():
            found = list(reversed(self.store.versions(key)))
            assert len(found) == len(history)
            for version, content in zip(found, history, strict=True):
                if content is not None:
                    assert self.store.get(key, version.version_id) == content
        assert self.store.verify() == []

    def teardown(self) -> None:
        self.folder.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)


def test_put_a_file_and_find_it_by_prefix(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path / "s")
    source = tmp_path / "file"
    source.write_bytes(os.urandom(3_000_000))
    version = store.put("m/x_y", source)
    store.put("m/xzy", b"1")
    assert version.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert store.path("m/x_y").read_bytes() == source.read_bytes()
    assert [each.key for each in store.current("m/x_")] == ["m/x_y"]
    assert not os.access(store.path("m/x_y"), os.W_OK) or os.geteuid() == 0


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a\nb", "x" * 1025])
def test_illegal_key(tmp_path: Path, key: str) -> None:
    with pytest.raises(BadInput, match="not a legal object key"):
        ObjectStore(tmp_path).put(key, b"")


def test_what_is_not_there(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    with pytest.raises(BadInput, match="there is no object 'a'"):
        store.get("a")
    known = store.put("a", b"1").version_id
    with pytest.raises(BadInput, match=known):
        store.get("a", "nope")
    store.delete("a")
    with pytest.raises(BadInput, match="delete marker"):
        store.get("a", store.versions("a")[0].version_id)
    with pytest.raises(BadInput, match="at least 1"):
        store.prune(0)


def test_changed_and_missing_content_is_found_and_mended_by_putting_it_again(
    tmp_path: Path,
) -> None:
    store = ObjectStore(tmp_path)
    store.put("a", b"content")
    blob = store.path("a")
    blob.chmod(0o644)
    blob.write_bytes(b"c0ntent")
    with pytest.raises(DamagedState, match="has changed"):
        store.get("a")
    blob.unlink()
    with pytest.raises(DamagedState, match="is missing"):
        store.get("a")
    assert [problem.path for problem in store.verify()] == ["a"]
    assert store.put("a", b"content") == store.versions("a")[0]
    assert store.get("a") == b"content"


def test_broken_index(tmp_path: Path) -> None:
    ObjectStore(tmp_path).put("a", b"1")
    for extra in tmp_path.glob("index.db-*"):
        extra.unlink()
    (tmp_path / "index.db").write_bytes(b"not a database" * 100)
    with pytest.raises(DamagedState, match="index is unreadable"):
        ObjectStore(tmp_path)


def _put_many(arguments: tuple[str, int]) -> list[str]:
    store = ObjectStore(Path(arguments[0]))
    number = arguments[1]
    made = []
    for each in range(20):
        made.append(store.put(f"own/{number}", f"{number}-{each}".encode()).version_id)
        store.put("shared", f"{each}".encode())
        if each % 7 == 0:
            store.prune(50)
    return made


def test_many_processes_at_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, get_context("spawn")) as pool:
        made = list(pool.map(_put_many, [(str(tmp_path), number) for number in range(4)]))
    store = ObjectStore(tmp_path)
    for number, ids in enumerate(made):
        found = [each.version_id for each in store.versions(f"own/{number}")]
        assert found == ids[::-1]
    assert store.verify() == []


_WRITER = """
import sys, pathlib
from workloads.data.objects import ObjectStore
store = ObjectStore(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    store.put(f"k{number % 5}", bytes([number % 251]) * 2_000_000)
    number += 1
"""


@pytest.mark.parametrize("delay_puts", [1, 3, 6])
def test_killed_in_the_middle_of_a_put(tmp_path: Path, delay_puts: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        incoming = tmp_path / "incoming"
        blobs = tmp_path / "blobs"
        wait_until(lambda: len(list(blobs.glob("*/*"))) >= delay_puts)
        wait_until(lambda: any(incoming.iterdir()))
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    store = ObjectStore(tmp_path)
    assert store.verify() == []
    for version in store.current():
        content = store.get(version.key)
        assert len(content) == 2_000_000
        assert len(set(content)) == 1
    store.prune(1)
    assert list(incoming.iterdir()) == []


_FILL = """
from pathlib import Path
from infra.core.errors import MissingTool
from workloads.data.objects import ObjectStore
import os, sys
store = ObjectStore(Path(sys.argv[1] if len(sys.argv) > 1 else {disk!r}))
store.put("small", b"x" * 1000)
fill()
for content in (os.urandom(2_000_000), Path({big!r})):
    try:
        store.put("big", content)
    except MissingTool as error:
        print(error)
    else:
        raise SystemExit("the disk was not full")
assert store.versions("big") == []
assert store.get("small") == b"x" * 1000
assert list((store.root / "incoming").iterdir()) == []
assert len(list((store.root / "blobs").glob("*/*"))) == 1
"""


def test_full_disk(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(2_000_000))
    disk = tmp_path / "disk"
    said = run_on_small_disk(disk, _FILL.format(disk=str(disk), big=str(big)))
    assert said.count("no space left to write") == 2
    assert f"{disk}/big" in said
    assert "MiB free" in said
    assert "at least 1.9 MiB" in said
