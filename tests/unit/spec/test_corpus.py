"""Every corpus file gives exactly what its name and comments say."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.spec.loader import parse
from tests.unit.spec.spec_corpus import (
    Expected,
    expected_of,
    files,
    problems_of,
    source_of,
    spec_of,
)


def _case(path: Path) -> str:
    return path.stem.partition(".")[2]


@pytest.mark.parametrize("path", files("happy"), ids=_case)
def test_a_happy_file_is_accepted(path: Path) -> None:
    spec = spec_of(path)
    assert parse(spec.as_data()) == spec


@pytest.mark.parametrize("path", files("error"), ids=_case)
def test_an_error_file_gives_exactly_the_problems_noted_in_it(path: Path) -> None:
    expected = expected_of(path)
    found = problems_of(path)
    assert expected, f"{path.name} expects nothing"
    places = sorted((problem.line or 0, problem.path or "") for problem in found)
    assert places == sorted((note.line, note.path or "") for note in expected)
    for note in expected:
        matching = [p for p in found if (p.line, p.path) == (note.line, note.path)]
        assert any(note.message in p.message and note.fix in (p.fix or "") for p in matching), note


@pytest.mark.parametrize("path", files("error"), ids=_case)
def test_problems_name_their_file_and_come_in_its_order(path: Path) -> None:
    found = problems_of(path)
    assert {problem.file for problem in found} == {f"stacks/{path.name}"}
    lines = [problem.line or 0 for problem in found]
    assert lines == sorted(lines)


@pytest.mark.parametrize("path", files("error"), ids=_case)
def test_no_problem_repeats_a_secret(path: Path) -> None:
    assert "hunter2" not in "".join(map(str, problems_of(path)))


def test_the_notes_of_the_corpus_are_read() -> None:
    path = next(path for path in files("error") if _case(path) == "overlapping-networks")
    message = "overlaps the network of site `core`"
    assert expected_of(path) == [Expected(12, "platform.sites.burst.cidr", message, "")]


def test_what_a_problem_sets_off_is_not_reported_again() -> None:
    path = next(path for path in files("error") if _case(path) == "unknown-key")
    # `stroes` hides neither the store in it nor what refers to that store.
    assert "stores" not in " ".join(p.message for p in problems_of(path))
    assert source_of(path).line(("config", "mlscale:platform", "stroes", "lake", "sit")) == 14
