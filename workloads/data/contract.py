"""A dataset's contract: the manifest's columns as a pandera schema, and what breaks it.

Validation is lazy: every row is judged by every rule, and a bad row is kept with all its reasons.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.core.errors import BadInput, Problem
from workloads.manifest import Column, Dataset

if TYPE_CHECKING:
    import pandera.polars as pa
    import polars as pl

ROW = "_row"
REASONS = "_reasons"


@dataclass(frozen=True)
class Verdict:
    """Good rows in the contract's types; bad rows as they came, with ``_row`` and ``_reasons``.

    ``rules`` counts the broken rules, the most frequent first; a row may break several.
    """

    good: pl.DataFrame
    bad: pl.DataFrame
    rules: dict[str, int]


def judge(raw: pl.DataFrame, dataset: Dataset) -> Verdict:
    """Part ``raw`` by the contract. Raises ``BadInput`` where a column is missing or unknown."""
    import polars as pl

    _require_columns(raw, dataset)
    typed = raw.select(_typed(name, rule) for name, rule in dataset.columns.items())
    failures = pl.concat([_untypable(raw, typed), _broken_rules(typed, dataset)])
    # A value that has no type has become null; saying so once is enough.
    failures = failures.unique(["row", "column"], keep="first", maintain_order=True)
    reasons = failures.group_by("row", maintain_order=True).agg(pl.col("reason"))
    rows = raw.with_row_index(ROW).join(
        reasons.rename({"row": ROW, "reason": REASONS}), on=ROW, how="left", maintain_order="left"
    )
    is_good = rows[REASONS].is_null()
    counts = failures["reason"].value_counts(sort=True)
    return Verdict(
        good=typed.filter(is_good),
        bad=rows.filter(~is_good),
        rules=dict(zip(counts["reason"], counts["count"], strict=True)),
    )


def schema_of(dataset: Dataset) -> pa.DataFrameSchema:
    """The contract as pandera's schema."""
    import pandera.polars as pa

    columns = {
        name: pa.Column(
            _polars_type(rule.dtype),
            checks=_checks(rule),
            nullable=rule.nullable,
            unique=rule.unique,
        )
        for name, rule in dataset.columns.items()
    }
    return pa.DataFrameSchema(columns, strict=True)


def with_split(good: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """``good`` with the split's column: ``train`` or ``test``, by a hash of the row's content.

    Equal rows fall on the same side, and neither order nor other rows play a part.
    """
    import polars as pl

    threshold = int(dataset.split.test_fraction * 2**64)
    sides = [
        "test"
        if int.from_bytes(hashlib.sha256(repr(row).encode()).digest()[:8], "big") < threshold
        else "train"
        for row in good.select(dataset.split.by).iter_rows()
    ]
    return good.with_columns(pl.Series(dataset.split.column, sides, dtype=pl.String))


def _require_columns(raw: pl.DataFrame, dataset: Dataset) -> None:
    expected = ", ".join(dataset.columns)
    problems = [
        Problem(f"the source has no column {name!r}", path=name, expected=expected)
        for name in dataset.columns
        if name not in raw.columns
    ]
    problems += [
        Problem(
            f"the source has a column {name!r} that the contract lacks",
            path=name,
            expected=expected,
        )
        for name in raw.columns
        if name not in dataset.columns
    ]
    if problems:
        raise BadInput(problems)


def _polars_type(dtype: str) -> Any:
    import polars as pl

    scalar = {
        "int32": pl.Int32,
        "int64": pl.Int64,
        "float32": pl.Float32,
        "float64": pl.Float64,
        "string": pl.String,
        "boolean": pl.Boolean,
    }
    if dtype.startswith("list["):
        return pl.List(scalar[dtype.removeprefix("list[").removesuffix("]")])
    return scalar[dtype]


def _typed(name: str, rule: Column) -> pl.Expr:
    import polars as pl

    return pl.col(name).cast(_polars_type(rule.dtype), strict=False)


def _untypable(raw: pl.DataFrame, typed: pl.DataFrame) -> pl.DataFrame:
    """Values that were there and are not of their column's type."""
    import polars as pl

    found = [_no_failures()]
    for name in typed.columns:
        lost = raw[name].is_not_null() & typed[name].is_null()
        reason = f"{name}: not {typed.schema[name]}"
        found.append(
            pl.DataFrame({"row": lost.arg_true().cast(pl.UInt32)}).with_columns(
                column=pl.lit(name), reason=pl.lit(reason)
            )
        )
    return pl.concat(found)


def _broken_rules(typed: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    import pandera.errors
    import polars as pl

    try:
        schema_of(dataset).validate(typed, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        broken: pl.DataFrame = cases.select(
            row=pl.col("index").cast(pl.UInt32),
            column=pl.col("column"),
            reason=pl.col("column") + ": " + pl.col("check").replace(_PLAIN_REASONS),
        )
        return broken
    return _no_failures()


_PLAIN_REASONS = {"not_nullable": "missing", "field_uniqueness": "not unique"}


def _no_failures() -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(schema={"row": pl.UInt32, "column": pl.String, "reason": pl.String})


def _checks(rule: Column) -> list[pa.Check]:
    import polars as pl

    element = pl.element()
    conditions: list[tuple[str, Any]] = []
    if rule.minimum is not None:
        conditions.append((f"at least {rule.minimum:g}", lambda c: c >= rule.minimum))
    if rule.maximum is not None:
        conditions.append((f"at most {rule.maximum:g}", lambda c: c <= rule.maximum))
    if rule.dtype.startswith("float"):
        conditions.append(("finite", lambda c: c.is_finite()))
    if rule.one_of is not None:
        allowed = rule.one_of
        text = f"one of {', '.join(map(str, allowed))}"
        conditions.append((text, lambda c: c.is_in(allowed)))
    if rule.pattern is not None:
        pattern = f"^(?:{rule.pattern})$"
        conditions.append((f"like {rule.pattern}", lambda c: c.str.contains(pattern)))
    if rule.length is not None:
        conditions.append((f"{rule.length} elements", lambda c: c.list.len() == rule.length))
    if rule.dtype.startswith("list"):
        whole = element.is_not_null()
        if "float" in rule.dtype:
            whole &= element.is_finite()
        conditions.append(("every element a number", lambda c: c.list.eval(whole).list.all()))
    if rule.element_minimum is not None:
        least = rule.element_minimum
        conditions.append(
            (f"elements at least {least:g}", lambda c: (c.list.min() >= least).fill_null(True))
        )
    if rule.element_maximum is not None:
        most = rule.element_maximum
        conditions.append(
            (f"elements at most {most:g}", lambda c: (c.list.max() <= most).fill_null(True))
        )
    return [_check(text, condition) for text, condition in conditions]


def _check(text: str, condition: Any) -> pa.Check:
    import pandera.polars as pa
    import polars as pl

    def holds(data: Any) -> pl.LazyFrame:
        verdict: pl.LazyFrame = data.lazyframe.select(condition(pl.col(data.key)))
        return verdict

    return pa.Check(holds, name=text, error=f"must be {text}", ignore_na=True)
