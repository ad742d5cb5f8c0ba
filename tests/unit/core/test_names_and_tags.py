"""Names and tags that every cloud accepts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.core.names import compact, legal
from infra.core.tags import label, tags_of

_LEGAL = re.compile(r"[a-z](?:[a-z0-9]|-(?!-))*[a-z0-9]|[a-z]")


@given(st.lists(st.text(max_size=40), min_size=1, max_size=4), st.integers(12, 63))
def test_a_name_is_legal_whatever_it_is_made_of(parts: list[str], max_length: int) -> None:
    name = legal(*parts, max_length=max_length)
    assert _LEGAL.fullmatch(name)
    assert len(name) <= max_length


@given(st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_a_compact_name_fits_a_storage_account(parts: list[str]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]{0,23}", compact(*parts))


def test_long_names_that_differ_at_the_end_stay_different() -> None:
    one, other = legal("a" * 80, "x"), legal("a" * 80, "y")
    assert one != other
    assert len(one) == 63


def test_short_names_stay_readable() -> None:
    assert legal("Ranking", "prod", "GPU_pool") == "ranking-prod-gpu-pool"
    assert compact("ranking", "prod", "lake") == "rankingprodlake"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ml@example.com", "ml_at_example_com"),
        ("4711", "4711"),
        ("Größe!", "gr__e"),
        ("--", "none"),
    ],
)
def test_labels_keep_to_their_alphabet(value: str, expected: str) -> None:
    assert label(value) == expected


def test_tags_carry_who_pays_and_what_for() -> None:
    owner = {"team": "ranking", "cost_center": "4711", "contact": "ml@example.com"}
    tags = tags_of(owner, "shop", "prod", "aws-prod").of("training/ranker")
    assert tags.as_tags() == {
        "platform": "shop",
        "stack": "aws-prod",
        "environment": "prod",
        "team": "ranking",
        "cost-center": "4711",
        "contact": "ml@example.com",
        "workload": "training/ranker",
        "managed-by": "mlscale",
    }
    assert all(re.fullmatch(r"[a-z0-9_-]{1,63}", value) for value in tags.as_labels().values())
