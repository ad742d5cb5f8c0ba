"""The data contract: each rule refuses what it should, each bad row keeps all its reasons."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.core.errors import BadInput
from workloads.data.contract import judge, with_split
from workloads.manifest import Column, Dataset, Split


def dataset_of(**columns: Column) -> Dataset:
    columns = {"id": Column(dtype="int64", unique=True), **columns}
    return Dataset(
        table="t",
        columns=columns,
        split=Split(by=["id"], test_fraction=0.25),
        features="id",
        label="id",
    )


RULES: list[tuple[Column, list[Any], list[Any], str]] = [
    (Column(dtype="int64", minimum=0), [0, 5], [-1], "must be at least 0"),
    (Column(dtype="float64", maximum=1), [1.0, -2.5], [1.5], "must be at most 1"),
    (Column(dtype="float64"), [1.0], [math.nan, math.inf], "must be finite"),
    (Column(dtype="string", one_of=["a", "b"]), ["a"], ["c", ""], "must be one of a, b"),
    (Column(dtype="string", pattern="[a-z]+"), ["ab"], ["aB", ""], "must be like [a-z]+"),
    (Column(dtype="boolean"), [True, False], [None], "missing"),
    (Column(dtype="int64"), [1], ["x", "1.5"], "not Int64"),
    (Column(dtype="int32"), [1], [2**40], "not Int32"),
    (Column(dtype="list[float64]", length=2), [[1.0, 2.0]], [[1.0], [], None], "2 elements"),
    (Column(dtype="list[int64]"), [[1], []], [[1, None]], "every element a number"),
    (Column(dtype="list[float64]"), [[0.5]], [[float("nan")]], "every element a number"),
    (Column(dtype="list[float64]", element_minimum=0), [[0.0], []], [[1.0, -1.0]], "at least 0"),
    (Column(dtype="list[float64]", element_maximum=16), [[16.0]], [[17.0, 1.0]], "at most 16"),
]


@pytest.mark.parametrize(("column", "good", "bad", "reason"), RULES)
def test_each_rule(column: Column, good: list[Any], bad: list[Any], reason: str) -> None:
    values = [*good, *bad]
    mixed = {type(value) for value in values if value is not None} == {int, str}
    series = pl.Series("v", [str(value) for value in values] if mixed else values)
    raw = pl.DataFrame({"id": range(len(values)), "v": series})
    verdict = judge(raw, dataset_of(v=column))
    assert verdict.good["id"].to_list() == list(range(len(good)))
    assert verdict.bad["_row"].to_list() == list(range(len(good), len(values)))
    for value, reasons in zip(bad, verdict.bad["_reasons"], strict=True):
        no_value = str(value) in {"None", "nan"}  # a NaN is no value either
        expected = "v: missing" if no_value else reason
        assert any(expected in each for each in reasons), reasons


def test_a_nullable_column_may_be_empty() -> None:
    raw = pl.DataFrame({"id": [1, 2], "v": [None, 3.0]})
    nullable = dataset_of(v=Column(dtype="float64", nullable=True, minimum=1))
    assert judge(raw, nullable).bad.is_empty()


def test_every_reason_of_a_row_is_kept_and_counted() -> None:
    raw = pl.DataFrame({"id": ["1", "1", "x"], "v": ["-1", "2", ""]})
    verdict = judge(raw, dataset_of(v=Column(dtype="int64", minimum=0)))
    assert verdict.good.is_empty()
    assert verdict.bad["_reasons"].to_list() == [
        ["id: not unique", "v: must be at least 0"],
        ["id: not unique"],
        ["id: not Int64", "v: not Int64"],
    ]
    assert verdict.rules["id: not unique"] == 2
    assert next(iter(verdict.rules)) == "id: not unique"
    assert verdict.bad.select("id", "v").rows() == raw.rows()


def test_columns_missing_and_unknown() -> None:
    with pytest.raises(BadInput) as refused:
        judge(pl.DataFrame({"id": [1], "w": [1]}), dataset_of(v=Column(dtype="int64")))
    assert [problem.path for problem in refused.value.problems] == ["v", "w"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(-3, 12), st.none()),
            st.lists(st.one_of(st.floats(-1, 17), st.none()), max_size=3),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_agrees_with_plain_python(rows: list[tuple[int | None, list[float | None]]]) -> None:
    dataset = dataset_of(
        label=Column(dtype="int64", minimum=0, maximum=9),
        v=Column(dtype="list[float64]", length=2, element_minimum=0, element_maximum=16),
    )
    raw = pl.DataFrame(
        {"id": range(len(rows)), "label": [row[0] for row in rows], "v": [row[1] for row in rows]},
        schema={"id": pl.Int64, "label": pl.Int64, "v": pl.List(pl.Float64)},
    )

    def fits(label: int | None, values: list[float | None]) -> bool:
        whole = len(values) == 2 and all(each is not None and 0 <= each <= 16 for each in values)
        return label is not None and 0 <= label <= 9 and whole

    verdict = judge(raw, dataset)
    expected = [number for number, row in enumerate(rows) if fits(*row)]
    assert verdict.good["id"].to_list() == expected
    assert verdict.good.height + verdict.bad.height == len(rows)


def test_the_split_follows_content_and_not_order() -> None:
    dataset = dataset_of()
    rows = pl.DataFrame({"id": range(2000)})
    split = with_split(rows, dataset)
    again = with_split(rows.reverse(), dataset).reverse()
    assert split.equals(again)
    assert 0.2 < (split["split"] == "test").mean() < 0.3
    assert with_split(rows.head(10), dataset).equals(split.head(10))
