"""The raw rows: scikit-learn's bundled digits, or a file of the same layout.

The data set is "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI
Machine Learning Repository, 1998): 1797 images of 8 x 8 grey levels from 0 to 16.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from infra.core.errors import MissingTool, Problem
from workloads.data.sources import read_lines, read_parquet

if TYPE_CHECKING:
    import polars as pl

_PIXELS = 64


def read(path: Path | None) -> pl.DataFrame:
    """Columns ``id``, ``label``, ``pixels``, a row for each line, unparsable values as null.

    ``path`` is a CSV (plain or gzip) of 64 pixels and the label without a header, or a parquet
    file with these columns; None reads the file inside the installed scikit-learn.
    """
    source = path or bundled_file()
    if source.suffix == ".parquet":
        return read_parquet(source)
    return _parse(read_lines(source))


def bundled_file() -> Path:
    """The CSV inside scikit-learn, found without the seconds that importing it takes."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise MissingTool(
            Problem(
                "scikit-learn, whose bundled digits are this package's data, is not installed",
                fix="pip install 'mlscale[train]', or give a source file",
            )
        )
    return Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"


def _parse(lines: pl.Series) -> pl.DataFrame:
    import polars as pl

    fields = pl.col("line").str.split(",")
    # A line that is too short or too long keeps its length, so that the contract can refuse it.
    numbers = fields.list.eval(pl.element().str.strip_chars().cast(pl.Float64, strict=False))
    return (
        lines.to_frame("line")
        .with_row_index("id")
        .select(
            pl.col("id").cast(pl.Int64),
            numbers.list.last().cast(pl.Int64, strict=False).alias("label"),
            numbers.list.head(numbers.list.len() - 1).alias("pixels"),
        )
        .with_columns(pl.col("pixels").cast(pl.List(pl.Float64)))
    )
