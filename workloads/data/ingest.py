"""Step 1: a source file becomes a snapshot of an Iceberg table, if it keeps its contract.

Request ``{"store", "table", "package", "source": null | file, "max_rejected_fraction"}``, result
``{"snapshot_id", "rows", "rejected_rows", "quarantine", "content_sha256", "table"}``. The same
content again gives the same snapshot and writes nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.core.errors import Problem, Refused
from workloads import jobs
from workloads.data.files import replacing
from workloads.package import Package, load

if TYPE_CHECKING:
    import polars as pl

    from workloads.data.contract import Verdict

_FIRST_BAD_ROWS = 10
_RULES_SHOWN = 5


def ingest(job: jobs.Job) -> dict[str, Any]:
    """Run the step; see the module. Raises ``BadInput`` (source), ``Refused`` (contract)."""
    from workloads.data.contract import judge, with_split
    from workloads.data.tables import NAMESPACE, TableStore

    request = job.request
    package = load(request["package"])
    dataset = package.manifest.dataset
    store, name = Path(request["store"]), request["table"]
    source = Path(request["source"]) if request["source"] else None

    job.progress(f"reading {source or 'the bundled data of ' + package.name}", 0.1)
    raw = package.entry("source")(source)
    job.progress(f"validating {raw.height} rows", 0.3)
    verdict = judge(raw, dataset)
    quarantine = _set_aside(verdict, store / "quarantine" / name)
    _refuse_if_too_bad(verdict, raw.height, float(request["max_rejected_fraction"]), quarantine)

    rows = with_split(verdict.good, dataset)
    digest = content_sha256(rows, package)
    job.progress(f"writing {rows.height} rows to {NAMESPACE}.{name}", 0.6)
    tables = TableStore(store)
    arrow = rows.to_arrow()
    tables.create(name, arrow.schema)
    properties = {
        "mlscale.content-sha256": digest,
        "mlscale.package": package.name,
        "mlscale.rows": str(rows.height),
        "mlscale.rejected-rows": str(verdict.bad.height),
    }
    snapshot_id = tables.overwrite(name, arrow, key=f"content:{digest}", properties=properties)
    job.progress(f"{rows.height} rows are snapshot {snapshot_id}", 1.0)
    return {
        "snapshot_id": snapshot_id,
        "rows": rows.height,
        "rejected_rows": verdict.bad.height,
        "quarantine": str(quarantine) if quarantine else "",
        "content_sha256": digest,
        "table": f"{NAMESPACE}.{name}",
    }


def content_sha256(rows: pl.DataFrame, package: Package) -> str:
    """Hash of the rows' values and the columns' names and types, in order, free of any encoding."""
    digest = hashlib.sha256(repr([package.name, *rows.schema.items()]).encode())
    for row in rows.iter_rows():
        # Python's repr of ints, floats, strings and lists of them is exact and the same everywhere.
        digest.update(repr(row).encode())
    return digest.hexdigest()


def _set_aside(verdict: Verdict, folder: Path) -> Path | None:
    """Keep the bad rows, with their reasons, in a file named by its content."""
    if verdict.bad.is_empty():
        return None
    digest = hashlib.sha256(repr(list(verdict.bad.iter_rows())).encode()).hexdigest()
    path = folder / f"{digest}.parquet"
    if not path.is_file():
        with replacing(path) as stream:
            verdict.bad.write_parquet(stream)
    return path


def _refuse_if_too_bad(
    verdict: Verdict, total: int, allowed_fraction: float, quarantine: Path | None
) -> None:
    bad = verdict.bad
    if bad.height <= allowed_fraction * total and not verdict.good.is_empty():
        return
    first = ", ".join(str(row + 1) for row in bad["_row"].head(_FIRST_BAD_ROWS))
    more = " …" if bad.height > _FIRST_BAD_ROWS else ""
    problems = [
        Problem(
            f"{bad.height} of {total} rows break the data contract (rows {first}{more})",
            file=str(quarantine),
            expected=f"at most {allowed_fraction:.2%} of the rows",
            fix="mend the source or raise max_rejected_fraction; the rows and their reasons are in"
            " the file named here",
        )
    ]
    for rule, count in list(verdict.rules.items())[:_RULES_SHOWN]:
        column, _, text = rule.partition(": ")
        problems.append(Problem(f"{count} rows: {text}", path=column))
    if len(verdict.rules) > _RULES_SHOWN:
        problems.append(Problem(f"{len(verdict.rules) - _RULES_SHOWN} more rules are broken"))
    raise Refused(problems)


if __name__ == "__main__":
    jobs.main(ingest)
