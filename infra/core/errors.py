"""Typed errors: every refusal carries where it was found, what was expected and the way out.

Each class has an exit code of its own, so that a script can tell a bad stack from a missing
tool. The codes are part of the interface; ``docs/cli.md`` prints this table from the classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import ClassVar


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong, said so that it can be mended without reading our code.

    ``file`` and ``line`` (1-based) locate it where it was written; ``path`` is the dotted config
    path (``platform.stores.lake.site``) or the subject; ``fix`` is what to do, often a command.
    """

    message: str
    file: str | None = None
    line: int | None = None
    path: str | None = None
    expected: str | None = None
    fix: str | None = None

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        text = ": ".join(part for part in (where, self.path, self.message) if part)
        if self.expected:
            text += f"; expected {self.expected}"
        if self.fix:
            text += f". Fix: {self.fix}"
        return text

    def as_json(self) -> dict[str, str | int | None]:
        """The same, for ``--json``."""
        return asdict(self)


class MlscaleError(Exception):
    """Base of every error that a user is meant to read; never shown with a traceback."""

    exit_code: ClassVar[int] = 1
    meaning: ClassVar[str] = "something failed that this project has no better name for"

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        if isinstance(problems, Problem):
            problems = (problems,)
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class InvalidStack(MlscaleError):
    """The stack's declaration is wrong; nothing was touched."""

    exit_code = 3
    meaning = "the stack's declaration is invalid"


class Unsupported(MlscaleError):
    """A site can't serve what the stack asks of it; the message is the reason."""

    exit_code = 4
    meaning = "a site can't serve what the stack asks for"


class MissingTool(MlscaleError):
    """A program, library or port that the work needs isn't there; the fix is a command."""

    exit_code = 5
    meaning = "this machine lacks something (mlscale doctor says what)"


class Refused(MlscaleError):
    """A gate said no: a data contract, an accuracy gate, a budget, a policy."""

    exit_code = 6
    meaning = "a gate refused (data contract, accuracy, budget, policy)"


class DamagedState(MlscaleError):
    """Something that should have survived is unreadable: state, checkpoint, jar, store."""

    exit_code = 7
    meaning = "state, a checkpoint or a stored file is unreadable or damaged"


class StaleLock(MlscaleError):
    """A capacity lock or a promotion record no longer matches what it was made for."""

    exit_code = 8
    meaning = "a capacity lock or record is stale"


class EngineFailed(MlscaleError):
    """The Pulumi engine reported a failure; its own output has the details."""

    exit_code = 9
    meaning = "the Pulumi engine reported a failure"


class BadInput(MlscaleError):
    """A file or an argument given to a verb is wrong (a table, a bill, a date)."""

    exit_code = 10
    meaning = "an input file or argument of a verb is wrong"
