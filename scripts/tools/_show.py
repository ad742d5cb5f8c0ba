"""Progress of a set-up: a bar on a terminal, a line now and then where the output is piped."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scripts.tools._tool import Progress

_LINE_EVERY_SECONDS = 5.0


@contextmanager
def shown(name: str) -> Iterator[Progress]:
    """Yield a callable that shows how far ``name`` is."""
    if sys.stderr.isatty():
        with _bar(name) as progress:
            yield progress
    else:
        yield _lines(name)


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    from rich.console import Console

    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)

        def progress(message: str, fraction: float | None) -> None:
            bar.update(task, description=f"{name}: {message}", completed=fraction or 0)
            bar.update(task, total=None if fraction is None else 1.0)

        yield progress


def _lines(name: str, clock: Callable[[], float] = time.monotonic) -> Progress:
    last_at, last_message = -_LINE_EVERY_SECONDS, ""

    def progress(message: str, fraction: float | None) -> None:
        nonlocal last_at, last_message
        kind = message.split("(", maxsplit=1)[0]
        if clock() - last_at < _LINE_EVERY_SECONDS and kind == last_message:
            return
        last_at, last_message = clock(), kind
        share = "" if fraction is None else f" {fraction:4.0%}"
        print(f"{name}:{share} {message}", file=sys.stderr, flush=True)

    return progress
