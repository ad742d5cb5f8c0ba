"""Writing whole files or none."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

import pytest

from infra.core.errors import MissingTool
from workloads.data.files import explained_when_full, locked, replacing, sha256_of


def test_the_old_file_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with replacing(path) as stream:
        stream.write(b"old")
    with pytest.raises(RuntimeError), replacing(path) as stream:
        stream.write(b"half of the n")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_only_a_full_disk_is_explained(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), explained_when_full(tmp_path / "x"):
        raise PermissionError(errno.EPERM, "no")
    with (
        pytest.raises(MissingTool, match=r"no space left to write .*/x"),
        explained_when_full(tmp_path / "x", 5 * 1024 * 1024),
    ):
        raise OSError(errno.EDQUOT, "quota")


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x").startswith("ba7816bf8f01cfea")


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock"):
            order.append("second")

    with locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
