"""Units, suggestions and cron lines, each by itself."""

from __future__ import annotations

from typing import Any

import pytest

from infra.spec.cron import cron_problem
from infra.spec.suggest import KeyHint, closest, did_you_mean, key_hint
from infra.spec.units import converted, plain, plain_copy, split_unit, unit_of

_FIELDS: dict[str, tuple[str, ...]] = {
    "deadline_hours": (),
    "mib_per_second": ("bandwidth",),
    "monthly_usd": ("monthly",),
    "requests_per_second": ("rps",),
    "cost_center": (),
    "cloud": ("provider",),
}


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("deadline_hours", "hours"),
        ("p95_ms_max", "milliseconds"),
        ("mib_per_second", "MiB a second"),
        ("requests_per_second", "a rate per second"),
        ("min_free_gib", "GiB"),
        ("error_rate_max", "a fraction from 0 to 1"),
    ],
)
def test_a_fields_name_has_its_unit(field: str, said: str) -> None:
    unit = unit_of(field)
    assert unit is not None
    assert unit.said == said


@pytest.mark.parametrize("field", ["partitions", "alarms", "seed", "ms"])
def test_a_name_without_a_unit_has_none(field: str) -> None:
    unit = unit_of(field)
    assert unit is None or field == "ms"
    assert split_unit("alarms")[0] == "alarms"


@pytest.mark.parametrize(
    ("value", "field", "number"),
    [
        ("24h", "deadline_hours", 24),
        ("1.5 days", "deadline_hours", 36),
        ("90", "deadline_hours", 90),
        ("64 GiB", "memory_gib", 64),
        ("64GB", "memory_gib", 64e9 / 2**30),
        ("80 Mbps", "mib_per_second", 1e7 / 2**20),
        ("20ms", "p95_ms_max", 20),
        ("0.2s", "p95_ms", 200),
        ("80%", "keep_base_fraction", 0.8),
        ("$1,500", "monthly_usd", 1500),
        ("180k USD", "monthly_usd", None),
        ("180k", "monthly_usd", 180_000),
        ("7B", "parameters", 7e9),
        ("3 bananas", "deadline_hours", None),
        ("soon", "deadline_hours", None),
        ("5 GB", "deadline_hours", None),
        (True, "deadline_hours", None),
        (3, "deadline_hours", 3),
        ([3], "deadline_hours", None),
    ],
)
def test_the_number_to_write_is_known(value: Any, field: str, number: float | None) -> None:
    assert converted(value, field) == (None if number is None else pytest.approx(number))


def test_numbers_are_written_plainly() -> None:
    assert [plain(n) for n in (24.0, 59.604644775, 0.8)] == ["24", "59.6046", "0.8"]


def test_whole_floats_are_counts() -> None:
    data = {"tokens": 2e10, "rate": 0.5, "inf": float("inf"), "list": (1.0, "1.0")}
    copy = plain_copy(data)
    assert copy == {"tokens": 20_000_000_000, "rate": 0.5, "inf": float("inf"), "list": [1, "1.0"]}
    assert isinstance(copy["tokens"], int)


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("deadline", "24h", KeyHint("deadline_hours", 24, "hours")),
        ("deadline", 24, KeyHint("deadline_hours", None, "hours")),
        ("deadline_days", 2, KeyHint("deadline_hours", 48, "hours")),
        (
            "bandwidth_mb",
            40,
            KeyHint("mib_per_second", pytest.approx(38.147, 1e-4), "MiB a second"),
        ),
        ("monthly_eur", 40, KeyHint("monthly_usd", None, "US dollars")),
        ("rps", 90, KeyHint("requests_per_second", 90, "a rate per second")),
        ("costCenter", "1", KeyHint("cost_center", "1")),
        ("cost-center", "1", KeyHint("cost_center", "1")),
        ("provider", "aws", KeyHint("cloud", "aws")),
        ("cluod", "aws", KeyHint("cloud", "aws")),
        ("zebra", 1, None),
    ],
)
def test_an_unknown_key_is_understood(key: str, value: Any, hint: KeyHint | None) -> None:
    assert key_hint(key, value, _FIELDS) == hint


def test_a_field_that_is_taken_is_not_guessed() -> None:
    assert key_hint("colour", "blue", _FIELDS) == KeyHint("cloud", "blue")
    assert key_hint("colour", "blue", _FIELDS, taken={"cloud"}) is None


def test_the_nearest_word_is_found() -> None:
    assert closest("prod-eu", ["prod", "dev"]) == "prod"
    assert closest("PROD", ["prod", "dev"]) == "prod"
    assert closest("zzz", ["prod", "dev"]) is None
    assert did_you_mean("stagin", ["staging"]) == "write `staging`"
    assert did_you_mean("zzz", []) is None


@pytest.mark.parametrize(
    "line",
    ["0 3 * * *", "*/5 8-18/2 1,15 jan-jun mon-fri", "@daily", "0 0 29 2 *", "5/10 * * * 7"],
)
def test_a_schedule_that_can_come_true(line: str) -> None:
    assert cron_problem(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "@sometimes",
        "0 3 * *",
        "0 3 * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "9-3 * * * *",
        "a * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6 *",
    ],
)
def test_a_schedule_that_can_not(line: str) -> None:
    assert cron_problem(line)


def test_a_weekday_saves_an_impossible_day() -> None:
    assert cron_problem("0 0 31 2 mon") is None
