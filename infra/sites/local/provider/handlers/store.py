"""``mlscale:local:Store``: a folder with versioned objects and Iceberg tables."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from infra.core.errors import DamagedState, Problem
from infra.sites.local import told
from infra.sites.local.provider.handler import Context, Failure, Handler, Inputs, Properties
from infra.sites.local.provider.handlers._service import remove_if_empty
from workloads.jobs import write_json_atomically

_MARK = "store.json"
_GIB = 1 << 30


class StoreInputs(Inputs):
    """``path`` is absolute; ``protect`` keeps the folder when the resource is deleted."""

    path: str
    name: str
    protect: bool = False
    retention_days: int | None = Field(default=None, ge=1)
    min_free_gib: float = Field(default=0.5, ge=0)


class StoreHandler(Handler[StoreInputs]):
    """A store on this machine's disk; its id is its path."""

    token = "mlscale:local:Store"
    inputs = StoreInputs
    outputs: ClassVar[tuple[str, ...]] = told.STORE
    stable: ClassVar[frozenset[str]] = frozenset({"catalog", "objects"})
    replace_on: ClassVar[frozenset[str]] = frozenset({"path"})

    def check(self, known: Properties) -> list[Failure]:
        """Room on the disk, and no stranger's files in the folder."""
        if "path" not in known:
            return []
        path = Path(known["path"])
        failures = []
        free_gib = shutil.disk_usage(_existing(path)).free / _GIB
        wanted_gib = known.get("min_free_gib", 0)
        if free_gib < wanted_gib:
            reason = (
                f"the disk under {path} has {free_gib:.2f} GiB free, expected {wanted_gib} GiB. "
                "Fix: make room, or lower stores.*.min_free_gib"
            )
            failures.append(Failure("path", reason))
        if path.is_dir() and not (path / _MARK).exists() and any(map(_is_strange, path.iterdir())):
            reason = f"{path} holds files that are no store of ours. Fix: choose another folder"
            failures.append(Failure("path", reason))
        return failures

    def create(self, inputs: StoreInputs, context: Context) -> tuple[str, Properties]:
        """Make the folder; a kept store is adopted as it is."""
        path = Path(inputs.path)
        if (path / _MARK).exists():
            context.warn(f"store {inputs.name}: goes on with what was kept in {path}")
        write_json_atomically(path / _MARK, inputs.model_dump(mode="json"))
        for folder in ("objects", "warehouse"):
            (path / folder).mkdir(exist_ok=True)
        return inputs.path, _outputs(path)

    def update(
        self, resource_id: str, state: Properties, inputs: StoreInputs, context: Context
    ) -> Properties:
        """Only the rules change; the data stays."""
        path = Path(inputs.path)
        write_json_atomically(path / _MARK, inputs.model_dump(mode="json"))
        return _outputs(path)

    def read(self, resource_id: str, state: Properties) -> tuple[Properties, Properties] | None:
        """From the mark in the folder."""
        import json

        mark = Path(resource_id) / _MARK
        if not mark.exists():
            return None
        try:
            known = json.loads(mark.read_text(encoding="utf-8"))
        except ValueError as error:
            fix = "restore the file from a backup, or delete it and run `pulumi up`"
            raise DamagedState(
                Problem(f"the store's mark can't be read: {error}", file=str(mark), fix=fix)
            ) from error
        inputs = {name: value for name, value in known.items() if value is not None}
        return inputs, _outputs(Path(resource_id))

    def delete(self, resource_id: str, state: Properties, context: Context) -> None:
        """Take it away, unless it is protected: then say where it stays."""
        path = Path(resource_id)
        if state.get("protect"):
            context.warn(f"store {state.get('name')} is protected: kept in {path}")
            return
        if (path / _MARK).exists():
            # The mark goes last: after a kill half-way it still says whose files these are.
            for entry in path.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != _MARK:
                    entry.unlink()
            (path / _MARK).unlink()
        remove_if_empty(path, path.parent, path.parent.parent, path.parent.parent.parent)


def _outputs(path: Path) -> Properties:
    return {"catalog": str(path / "catalog.db"), "objects": str(path / "objects")}


def _is_strange(entry: Path) -> bool:
    """Not what a kill while the mark was first written leaves."""
    return not entry.name.startswith(f".{_MARK}.")


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
