"""What a page shows is what the code says: printed parts are up to date, commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from infra.core.places import ROOT
from scripts.cli import VERBS
from scripts.pages import PAGES, filled

_PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_MLSCALE = Path(sys.executable).parent / "mlscale"


@pytest.mark.parametrize("page", sorted(PAGES))
def test_printed_parts_are_up_to_date(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert filled(text, PAGES[page]) == text, "run `make docs`"


def test_a_page_without_its_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="no marks for x"):
        filled("nothing here", {"x": lambda: ""})


def _commands(page: Path) -> Iterator[list[str]]:
    """The words of each `mlscale` command in a page's shell blocks."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL):
        joined = block.replace("\\\n", " ")
        for match in re.finditer(
            r"(?:^|[\s(\"])(?:\$ )?(?:\.venv/bin/)?mlscale ([^\n#|&)]*)", joined
        ):
            yield shlex.split(match[1].replace('"', ""))


@cache
def _help(*verb: str) -> str:
    done = subprocess.run(
        [str(_MLSCALE), *verb, "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"mlscale {' '.join(verb)} --help: {done.stdout}{done.stderr}"
    return done.stdout


def _shown() -> list[tuple[str, tuple[str, ...]]]:
    found = {
        (str(page.relative_to(ROOT)), tuple(words)) for page in _PAGES for words in _commands(page)
    }
    return sorted(found)


@pytest.mark.parametrize(("page", "words"), _shown(), ids=lambda value: str(value)[:60])
def test_every_command_that_a_page_shows_exists(page: str, words: tuple[str, ...]) -> None:
    verb = words[0]
    if verb.startswith("-"):
        return
    assert verb in VERBS, f"{page} shows `mlscale {verb}`"
    text = _help(verb)
    if "COMMAND" in text and len(words) > 1 and not words[1].startswith("-"):
        subcommand = words[1]
        if re.search(rf"^\W*{re.escape(subcommand)}\s", text, re.MULTILINE):
            text = _help(verb, subcommand)
    for option in words:
        if option.startswith("--"):
            assert option.split("=")[0] in text, f"{page}: `mlscale {' '.join(words)}`"


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for page in _PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []
