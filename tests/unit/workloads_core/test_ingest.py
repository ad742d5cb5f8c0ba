"""Step 1: the bundled digits and files like them become a snapshot, or are refused whole."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from infra.core.errors import BadInput, MissingTool, Refused
from tests.support.workload_packages import job_of, progress_of
from workloads.data.ingest import ingest
from workloads.data.tables import TableStore
from workloads.packages.digits.source import bundled_file, read


def run(folder: Path, source: Path | None = None, allowed: float = 0.0) -> dict[str, Any]:
    request = {
        "store": str(folder / "store"),
        "table": "digits",
        "package": "digits",
        "source": str(source) if source else None,
        "max_rejected_fraction": allowed,
    }
    return ingest(job_of(request, folder))


def lines() -> list[str]:
    return gzip.decompress(bundled_file().read_bytes()).decode().splitlines()


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def files(folder: Path) -> set[Path]:
    return {path for path in (folder / "store" / "warehouse").rglob("*") if path.is_file()}


def test_the_bundled_digits_twice(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result["rows"] == 1797
    assert (result["rejected_rows"], result["quarantine"]) == (0, "")
    assert result["table"] == "mlscale.digits"
    before = files(tmp_path)
    assert run(tmp_path) == result
    assert files(tmp_path) == before
    assert progress_of(tmp_path)[-1]["fraction"] == 1.0

    stored = pl.from_arrow(TableStore(tmp_path / "store").read("digits", result["snapshot_id"]))
    assert isinstance(stored, pl.DataFrame)
    assert stored.columns == ["id", "label", "pixels", "split"]
    assert stored["id"].to_list() == list(range(1797))
    first = [float(field) for field in lines()[0].split(",")]
    assert stored.row(0)[1:3] == (int(first[-1]), first[:-1])
    assert set(stored["split"]) == {"train", "test"}
    summary = TableStore(tmp_path / "store").open("digits").current_snapshot().summary
    assert summary["mlscale.content-sha256"] == result["content_sha256"]


def test_a_file_of_the_same_rows_is_the_same_content(tmp_path: Path) -> None:
    result = run(tmp_path)
    plain = write(tmp_path / "digits.csv", "\r\n".join(lines()) + "\r\n\r\n")
    assert run(tmp_path, plain) == result
    parquet = tmp_path / "digits.parquet"
    read(None).write_parquet(parquet)
    assert run(tmp_path, parquet) == result


def broken() -> str:
    """Ten rows, of which 2 (bad pixel), 5 (short), 7 (label 11, pixel 99) and 9 (text) are bad."""
    some = [line.split(",") for line in lines()[:10]]
    some[1][3] = "-1"
    some[4] = some[4][5:]
    some[6][-1], some[6][0] = "11", "99"
    some[8][2] = "x"
    return "\n".join(map(",".join, some))


def test_bad_rows_are_kept_aside_and_refused(tmp_path: Path) -> None:
    run(tmp_path)
    before = files(tmp_path)
    source = write(tmp_path / "broken.csv", broken())
    with pytest.raises(Refused) as refused:
        run(tmp_path, source, allowed=0.3)
    head, *rules = refused.value.problems
    assert "4 of 10 rows break the data contract (rows 2, 5, 7, 9)" in head.message
    assert head.expected == "at most 30.00% of the rows"
    said = {(rule.path, rule.message) for rule in rules}
    assert ("pixels", "1 rows: must be 64 elements") in said
    assert ("label", "1 rows: must be at most 9") in said
    assert files(tmp_path) == before

    kept = pl.read_parquet(head.file or "")
    assert kept["_row"].to_list() == [1, 4, 6, 8]
    assert kept["_reasons"].list.len().to_list() == [1, 1, 2, 1]
    assert len(kept["pixels"][1]) == 59
    assert Path(head.file or "").parent == tmp_path / "store" / "quarantine" / "digits"


def test_few_enough_bad_rows_are_left_out(tmp_path: Path) -> None:
    source = write(tmp_path / "broken.csv", broken())
    result = run(tmp_path, source, allowed=0.4)
    assert (result["rows"], result["rejected_rows"]) == (6, 4)
    assert Path(result["quarantine"]).is_file()
    stored = TableStore(tmp_path / "store").read("digits")
    assert stored["id"].to_pylist() == [0, 2, 3, 5, 7, 9]


def test_nothing_good_is_refused_whatever_is_allowed(tmp_path: Path) -> None:
    many = "\n".join(f"{number},{number}" for number in range(20))
    with pytest.raises(Refused, match=r"20 of 20 rows .*, 10 …"):
        run(tmp_path, write(tmp_path / "bad.csv", many), allowed=1.0)


def test_many_rules_are_summed_up(tmp_path: Path) -> None:
    bad = ["-1" + line[1:] for line in lines()[:1]]
    bad += ["99" + line[1:] for line in lines()[1:2]]
    bad += [lines()[2].rpartition(",")[0] + ",-5", lines()[3].rpartition(",")[0] + ",55"]
    bad += [lines()[4].rpartition(",")[0] + ",", lines()[5].partition(",")[2]]
    bad += ["x," + lines()[6].partition(",")[2]]
    with pytest.raises(Refused, match="more rules are broken"):
        run(tmp_path, write(tmp_path / "bad.csv", "\n".join(bad)))


SOURCES: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "the file is empty"),
    "blank.csv": (b"\n\n", "the file has no rows"),
    "cut.csv.gz": (gzip.compress(b"1,2\n" * 1000)[:-9], "the gzip stream is cut short"),
    "bad.csv.gz": (gzip.compress(b"1,2\n" * 1000)[:-8] + b"12345678", "gzip stream is corrupt"),
    "binary.csv": (b"1,2\n\xff\xfe", "not UTF-8 text"),
    "cut.parquet": (b"PAR1" + b"x" * 50, "cut short, corrupt, or not parquet"),
    "empty.parquet": (b"", "the file is empty"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_unreadable_source(tmp_path: Path, name: str) -> None:
    content, says = SOURCES[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=says) as refused:
        run(tmp_path, path)
    (problem,) = refused.value.problems
    assert problem.file == str(path)
    assert problem.line == (2 if name == "binary.csv" else None)
    assert not (tmp_path / "store").exists()


def test_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such source file"):
        run(tmp_path, tmp_path / "nope.csv")
    with pytest.raises(BadInput, match="Is a directory"):
        run(tmp_path, tmp_path)


def test_parquet_without_rows_or_with_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    read(None).head(0).write_parquet(path)
    with pytest.raises(BadInput, match="the file has no rows"):
        run(tmp_path, path)
    read(None).rename({"label": "digit"}).write_parquet(path)
    with pytest.raises(BadInput) as refused:
        run(tmp_path, path)
    assert [problem.path for problem in refused.value.problems] == ["label", "digit"]


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingTool, match=r"pip install 'mlscale\[train\]'"):
        bundled_file()
