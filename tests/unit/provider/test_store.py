"""The store's life: made, changed, imported, kept or taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.core.errors import DamagedState
from infra.sites.local.provider.handler import Context
from infra.sites.local.provider.handlers.store import StoreHandler, StoreInputs


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def context(said: list[str]) -> Context:
    return Context(warn=said.append)


def _made(path: Path, context: Context, protect: bool = False) -> StoreHandler:
    handler = StoreHandler()
    handler.create(StoreInputs(path=str(path), name="lake", protect=protect), context)
    return handler


def test_a_store_goes_without_a_trace(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "stores" / "p-s" / "lake"
    handler = _made(path, context)
    assert (path / "objects").is_dir()
    handler.delete(str(path), {"protect": False}, context)
    assert not (tmp_path / "stores").exists()


def test_a_delete_that_was_killed_half_way_is_finished_by_the_next(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stores" / "p-s" / "lake"
    handler = _made(path, context)
    (path / "catalog.db").write_text("x")
    (tmp_path / "mine").write_text("x")
    (path / "elsewhere").symlink_to(tmp_path)

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("infra.sites.local.provider.handlers.store.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            handler.delete(str(path), {"protect": False}, context)
    assert handler.read(str(path), {}) is not None
    assert handler.check({"path": str(path), "min_free_gib": 0}) == []
    handler.delete(str(path), {"protect": False}, context)
    assert not (tmp_path / "stores").exists()
    assert (tmp_path / "mine").exists()


def test_what_a_kill_left_of_the_mark_is_no_strangers_file(tmp_path: Path) -> None:
    (tmp_path / ".store.json.abc123").write_text("{")
    known = {"path": str(tmp_path), "min_free_gib": 0}
    assert StoreHandler().check(known) == []
    (tmp_path / "thesis.tex").write_text("mine")
    assert "no store of ours" in StoreHandler().check(known)[0].reason
    assert StoreHandler().check({"min_free_gib": 1e9}) == []


def test_a_protected_store_survives_and_says_so(
    tmp_path: Path, context: Context, said: list[str]
) -> None:
    path = tmp_path / "lake"
    handler = _made(path, context, protect=True)
    (path / "objects" / "kept").write_text("data")
    handler.delete(str(path), {"protect": True, "name": "lake"}, context)
    assert (path / "objects" / "kept").read_text() == "data"
    assert said == [f"store lake is protected: kept in {path}"]
    _made(path, context, protect=True)
    assert (path / "objects" / "kept").read_text() == "data"
    assert "goes on with what was kept" in said[-1]


def test_import_reads_the_inputs_from_the_folder(tmp_path: Path, context: Context) -> None:
    handler = _made(tmp_path / "lake", context, protect=True)
    found = handler.read(str(tmp_path / "lake"), {})
    assert found is not None
    inputs, outputs = found
    assert inputs["protect"] is True
    assert outputs["catalog"] == str(tmp_path / "lake" / "catalog.db")
    assert handler.read(str(tmp_path / "nowhere"), {}) is None


def test_an_update_changes_the_rules_only(tmp_path: Path, context: Context) -> None:
    handler = _made(tmp_path / "lake", context)
    (tmp_path / "lake" / "objects" / "kept").write_text("data")
    changed = StoreInputs(path=str(tmp_path / "lake"), name="lake", protect=True)
    handler.update(str(tmp_path / "lake"), {}, changed, context)
    found = handler.read(str(tmp_path / "lake"), {})
    assert found is not None
    assert found[0]["protect"] is True
    assert (tmp_path / "lake" / "objects" / "kept").exists()


def test_a_torn_mark_is_one_clear_error(tmp_path: Path, context: Context) -> None:
    handler = _made(tmp_path / "lake", context)
    (tmp_path / "lake" / "store.json").write_text("{")
    with pytest.raises(DamagedState, match=r"store\.json: the store's mark can't be read"):
        handler.read(str(tmp_path / "lake"), {})
