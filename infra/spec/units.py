"""Scalar types with their ranges, and the units that field names carry.

Numbers are never taken from text: ``"24h"`` in ``deadline_hours`` is refused, and
``converted`` knows the number to write instead. Sources: SI and IEC 80000-13 prefixes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AllowInfNan,
    BeforeValidator,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

NAME_PATTERN = "^[a-z]([a-z0-9-]{0,22}[a-z0-9])?$"
TABLE_PATTERN = "^[a-z][a-z0-9_]{0,62}$"
MODEL_NAME_PATTERN = "^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$"
ALIAS_PATTERN = "^[a-z][a-z0-9_-]{0,62}$"
LABEL_PATTERN = "^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
KEY_PATTERN = "^[A-Za-z_][A-Za-z0-9_.]{0,62}$"

MEANINGS: dict[str, str] = {
    NAME_PATTERN: (
        "lower-case letters, digits and hyphens, from a letter to a letter or digit, "
        "at most 24 characters"
    ),
    TABLE_PATTERN: "lower-case letters, digits and underscores, starting with a letter",
    MODEL_NAME_PATTERN: "letters, digits, `_`, `.` and `-`, at most 63 characters",
    ALIAS_PATTERN: "lower-case letters, digits, `_` and `-`, starting with a letter",
    LABEL_PATTERN: "letters, digits, `_`, `.` and `-`, at most 63 characters",
    KEY_PATTERN: "letters, digits, `_` and `.`, starting with a letter",
}


def plain_copy(value: Any) -> Any:
    """A copy of plain data that can be changed, with whole floats as integers.

    7e9 is a float in YAML and maybe in the engine's JSON, and a count all the same; 1.0 may
    come back from the engine as 1.
    """
    if isinstance(value, Mapping):
        return {key: plain_copy(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_copy(entry) for entry in value]
    return _integral(value)


def _integral(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value


def _money(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("money is a number")
    return value if isinstance(value, Decimal) else Decimal(repr(value))


def _scalar(value: Any) -> Any:
    # Said once here; a union would complain once for each of its members.
    if not isinstance(value, bool | int | float | str):
        raise PydanticCustomError("scalar_type", "not a scalar")
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("finite_number", "not finite")
    return _integral(value)


def _plain_money(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
TableName = Annotated[str, StringConstraints(pattern=TABLE_PATTERN)]
ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)]
Alias = Annotated[str, StringConstraints(pattern=ALIAS_PATTERN)]
Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]
Count = Annotated[int, Strict()]
Number = Annotated[float, Strict(), AllowInfNan(False)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Flag = Annotated[bool, Strict()]
Usd = Annotated[
    Decimal,
    BeforeValidator(_money),
    Field(gt=0, max_digits=15, decimal_places=2),
    PlainSerializer(_plain_money, return_type=int | float, when_used="json"),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
]
Scalar = Annotated[
    bool | int | float | str,
    BeforeValidator(_scalar),
    WithJsonSchema({"type": ["boolean", "integer", "number", "string"]}),
]


@dataclass(frozen=True)
class Unit:
    """A unit: what it measures, its size in the dimension's base unit, how people say it."""

    dimension: str
    factor: float
    said: str


_SHARES = ("fraction", "error_rate", "availability")
_FIELD_UNITS: dict[str, Unit] = {
    "mib_per_second": Unit("data rate", 2**20, "MiB a second"),
    "per_second": Unit("rate", 1, "a rate per second"),
    "per_million": Unit("share", 1e-6, "per million"),
    "kib": Unit("data", 2**10, "KiB"),
    "mib": Unit("data", 2**20, "MiB"),
    "gib": Unit("data", 2**30, "GiB"),
    "tib": Unit("data", 2**40, "TiB"),
    "ms": Unit("time", 0.001, "milliseconds"),
    "seconds": Unit("time", 1, "seconds"),
    "minutes": Unit("time", 60, "minutes"),
    "hours": Unit("time", 3600, "hours"),
    "days": Unit("time", 86400, "days"),
    "usd": Unit("US dollars", 1, "US dollars"),
    **{word: Unit("share", 1, "a fraction from 0 to 1") for word in _SHARES},
    "percent": Unit("share", 0.01, "percent"),
}
_COUNTS = Unit("count", 1, "a plain number")

# What people write behind a number, or at the end of a misspelt key; lower case.
_WRITTEN_UNITS: dict[str, Unit] = {
    **_FIELD_UNITS,
    **dict.fromkeys(("s", "sec", "secs", "second"), _FIELD_UNITS["seconds"]),
    **dict.fromkeys(("min", "mins", "minute"), _FIELD_UNITS["minutes"]),
    **dict.fromkeys(("h", "hr", "hrs", "hour"), _FIELD_UNITS["hours"]),
    **dict.fromkeys(("d", "day"), _FIELD_UNITS["days"]),
    **dict.fromkeys(("%", "pct"), _FIELD_UNITS["percent"]),
    **dict.fromkeys(("$", "dollar", "dollars"), _FIELD_UNITS["usd"]),
    **dict.fromkeys(("/s", "rps", "qps", "req/s", "hz"), _FIELD_UNITS["per_second"]),
    "rpm": Unit("rate", 1 / 60, "a minute"),
    "/min": Unit("rate", 1 / 60, "a minute"),
    "w": Unit("time", 604800, "weeks"),
    "weeks": Unit("time", 604800, "weeks"),
    "us": Unit("time", 1e-6, "microseconds"),
    **{word: Unit("data", 1, "bytes") for word in ("bytes", "byte")},
    **{word: Unit(word, 1, word.upper()) for word in ("eur", "gbp", "chf", "jpy")},
    "kb": Unit("data", 1e3, "kB"),
    "mb": Unit("data", 1e6, "MB"),
    "gb": Unit("data", 1e9, "GB"),
    "tb": Unit("data", 1e12, "TB"),
    "ki": Unit("data", 2**10, "KiB"),
    "mi": Unit("data", 2**20, "MiB"),
    "gi": Unit("data", 2**30, "GiB"),
    "ti": Unit("data", 2**40, "TiB"),
    "kb/s": Unit("data rate", 1e3, "kB a second"),
    "mb/s": Unit("data rate", 1e6, "MB a second"),
    "gb/s": Unit("data rate", 1e9, "GB a second"),
    "kib/s": Unit("data rate", 2**10, "KiB a second"),
    "mib/s": Unit("data rate", 2**20, "MiB a second"),
    "gib/s": Unit("data rate", 2**30, "GiB a second"),
    "mbps": Unit("data rate", 1e6 / 8, "megabit a second"),
    "mbit/s": Unit("data rate", 1e6 / 8, "megabit a second"),
    "gbps": Unit("data rate", 1e9 / 8, "gigabit a second"),
    "gbit/s": Unit("data rate", 1e9 / 8, "gigabit a second"),
    "k": Unit("count", 1e3, "thousand"),
    "m": Unit("count", 1e6, "million"),
    "b": Unit("count", 1e9, "billion"),
    "t": Unit("count", 1e12, "trillion"),
}
_QUANTITY = re.compile(
    r"\s*\$?\s*([-+]?[0-9][0-9,_]*(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)\s*(\S.*)?", re.I
)
_BOUND = re.compile(r"_(max|min)$")


def unit_of(field: str) -> Unit | None:
    """The unit in a field's name: ``deadline_hours`` is in hours, ``p95_ms_max`` in ms."""
    return split_unit(field, _FIELD_UNITS)[1]


def split_unit(key: str, table: Mapping[str, Unit] | None = None) -> tuple[str, Unit | None]:
    """Part a key into what it is about and its unit, if it names one."""
    key = _BOUND.sub("", key)
    units = _WRITTEN_UNITS if table is None else table
    for suffix in sorted(units, key=len, reverse=True):
        if key == suffix and len(suffix) > 1:
            return "", units[suffix]
        if key.endswith(f"_{suffix}"):
            return key.removesuffix(f"_{suffix}"), units[suffix]
    return key, None


def converted(value: Any, field: str, written: Unit | None = None) -> float | None:
    """The number to write into ``field`` for ``value``, or None where that can't be said.

    ``value`` is a number in ``written`` units, or text such as ``"24h"`` or ``"64 GB"``.
    """
    wanted = unit_of(field) or _COUNTS
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        if match is None:
            return None
        number = float(match[1].replace(",", "").replace("_", ""))
        word = (match[2] or "").strip().lower()
        if word:
            written = _WRITTEN_UNITS.get(word)
            if written is None:
                return None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    else:
        number = float(value)
    if written is None:
        return number
    factor = _factor(written, wanted)
    return None if factor is None else number * factor


def _factor(written: Unit, wanted: Unit) -> float | None:
    if written.dimension == wanted.dimension:
        return written.factor / wanted.factor
    # `bandwidth_mb: 40` means 40 MB a second, and `180k` of dollars a count of them.
    if (written.dimension, wanted.dimension) == ("data", "data rate"):
        return written.factor / wanted.factor
    if written.dimension == "count" and wanted.dimension in ("US dollars", "rate"):
        return written.factor
    return None


def plain(number: float) -> str:
    """A number as a person writes it: no trailing zeros, at most six digits that matter."""
    return str(int(number)) if number == int(number) else f"{number:.6g}"
