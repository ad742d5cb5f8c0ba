"""Errors say where, what, what was expected and the way out; each class has its own exit code."""

from __future__ import annotations

import inspect

from infra.core import errors
from infra.core.errors import InvalidStack, MlscaleError, Problem


def _classes() -> list[type[MlscaleError]]:
    found = [value for _, value in inspect.getmembers(errors, inspect.isclass)]
    return [cls for cls in found if issubclass(cls, MlscaleError)]


def test_a_problem_reads_as_one_line() -> None:
    problem = Problem("unknown key", "stacks/x.yaml", 7, "platform.sites", "`sites`", "rename it")
    assert str(problem) == (
        "stacks/x.yaml:7: platform.sites: unknown key; expected `sites`. Fix: rename it"
    )
    assert str(Problem("just this")) == "just this"


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = [cls.exit_code for cls in _classes()]
    assert len(set(codes)) == len(codes) >= 9
    assert 0 not in codes
    assert 2 not in codes  # the command line's own usage errors


def test_several_problems_are_said_together() -> None:
    error = InvalidStack([Problem("one"), Problem("two")])
    assert str(error) == "one\ntwo"
    assert [problem.as_json()["message"] for problem in error.problems] == ["one", "two"]
    assert InvalidStack("alone").problems == (Problem("alone"),)
