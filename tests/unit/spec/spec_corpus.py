"""The corpus: a file's name says what it shows, comments in it say what is expected.

``#! path :: part of the message :: part of the fix`` stands on the very line that the problem
has to name (the last part may be left out, a path of ``-`` means none); several may follow each
other. The first line says what the JSON Schema makes of the file: what it can't know, it accepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from infra.core.errors import InvalidStack, Problem
from infra.spec.loader import declaration, parse
from infra.spec.platform import PlatformSpec
from infra.spec.positions import Source, read_yaml

FOLDER = Path(__file__).with_name("corpus")


@dataclass(frozen=True)
class Expected:
    """One problem that a file has to be refused for."""

    line: int
    path: str | None
    message: str
    fix: str


def files(kind: str) -> list[Path]:
    """Corpus files of a kind, ``happy`` or ``error``."""
    return sorted(FOLDER.glob(f"{kind}.*.yaml"))


def source_of(path: Path) -> Source:
    """The file as the loader would see it."""
    return read_yaml(path, f"stacks/{path.name}")


def spec_of(path: Path) -> PlatformSpec:
    """The declaration in a corpus file."""
    source = source_of(path)
    return parse(declaration(source), source)


def problems_of(path: Path) -> list[Problem]:
    """What a corpus file is refused for; nothing where it isn't."""
    try:
        spec_of(path)
    except InvalidStack as error:
        return list(error.problems)
    return []


def expected_of(path: Path) -> list[Expected]:
    """What the file's own comments expect."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        for note in line.split("#!")[1:]:
            place, message, *fix = (part.strip() for part in note.split(" :: "))
            where = None if place == "-" else place
            found.append(Expected(number, where, message, fix[0] if fix else ""))
    return found


def schema_verdict(path: Path) -> str:
    """``accepts``, ``refuses`` or ``unreadable``, from the file's ``# schema:`` line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line[10:].strip() for line in lines if line.startswith("# schema: ")), "accepts")
