"""A table's snapshot as the arrays that training and evaluation read."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.core.errors import BadInput, Problem
from workloads.data.files import replacing
from workloads.package import Package

if TYPE_CHECKING:
    import numpy.typing as npt


def split_arrays(
    package: Package, store: Path, table: str, snapshot_id: str, split: str
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """``(features [rows, ...] in the model's input type, labels int64 [rows])`` of one split.

    The order is that of the contract's first unique column. Raises ``BadInput`` where the table,
    the snapshot or every row of the split is missing.
    """
    import numpy as np

    from workloads.data.tables import TableStore

    dataset = package.manifest.dataset
    rows = TableStore(store).read(table, snapshot_id, f"{dataset.split.column} = '{split}'")
    if not rows.num_rows:
        raise BadInput(
            Problem(f"snapshot {snapshot_id} of {table} has no {split} rows", path=table)
        )
    unique = [name for name, column in dataset.columns.items() if column.unique]
    if unique:
        rows = rows.sort_by(unique[0])
    features = np.asarray(rows[dataset.features].to_pylist(), package.manifest.inputs[0].dtype)
    return features, rows[dataset.label].to_numpy().astype(np.int64)


def lay_down(package: Package, store: Path, table: str, snapshot_id: str, path: Path) -> None:
    """Write the training rows to ``path`` (npz: ``features``, ``labels``), unless they're there."""
    import numpy as np

    if _is_whole(path):
        return
    features, labels = split_arrays(package, store, table, snapshot_id, "train")
    with replacing(path) as stream:
        np.savez(stream, features=features, labels=labels)


def _is_whole(path: Path) -> bool:
    """True where every array's checksum holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False
