"""How verbs speak: tables for people, JSON for scripts, nothing extra when piped."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from infra.core.errors import MlscaleError


def console(stderr: bool = False) -> Console:
    """A Rich console; plain and unwrapped when its stream is not a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=not stream.isatty())


def emit(value: Any, as_json: bool, render: Callable[[Console], None]) -> None:
    """Print ``value`` as JSON on stdout, or let ``render`` draw it for a person."""
    if as_json:
        json.dump(value, sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
    else:
        render(console())


def print_error(error: MlscaleError, as_json: bool) -> None:
    """Say what is wrong, one line a problem; on stdout as JSON when asked for."""
    if as_json:
        document = {
            "error": type(error).__name__,
            "exit_code": error.exit_code,
            "problems": [problem.as_json() for problem in error.problems],
        }
        json.dump(document, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    from rich.text import Text

    out = console(stderr=True)
    for problem in error.problems:
        line = Text("error: ", style="bold red")
        line.append(str(problem), style="default")
        out.print(line)
