"""Run-to-completion steps under a supervisor: a request in, progress out, one result or one refusal.

A step is a program ``python -m <module> --request R --result Q --progress P``. It must be safe to
run again with the same request: the supervisor restarts it when it dies, and whoever asked for
it may die too and ask again. The result file is written once, atomically; its presence means
that the step is over.

Exit codes: 0 done, ``REFUSED_EXIT_CODE`` a refusal that no restart can cure (bad data, a failed gate,
a damaged checkpoint), anything else is a crash and is restarted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from infra.core.errors import MlscaleError

REFUSED_EXIT_CODE = 64


def write_json_atomically(path: Path, value: Any) -> None:
    """``write_text_atomically`` of ``value`` as JSON."""
    write_text_atomically(path, json.dumps(value, indent=1, sort_keys=True))


def write_text_atomically(path: Path, text: str) -> None:
    """Write ``text`` so that a reader sees the old file or the whole new one, also after a crash.

    Makes the folder where it is missing; only the owner may read the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Job:
    """What a step knows of its caller.

    ``request`` is the parsed request; ``progress`` appends one JSON line
    ``{"at": unix seconds, "fraction": 0..1 or null, "message": str}`` that the provider relays.
    """

    def __init__(self, request: Mapping[str, Any], progress_path: Path | None = None) -> None:
        self.request = request
        self._progress_path = progress_path

    def progress(self, message: str, fraction: float | None = None) -> None:
        """Say how far the step is; cheap enough to call a few times a second."""
        if self._progress_path is None:
            return
        line = json.dumps({"at": time.time(), "fraction": fraction, "message": message})
        with self._progress_path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def main(step: Callable[[Job], Mapping[str, Any]], argv: list[str] | None = None) -> None:
    """Run ``step`` as a program; never returns normally.

    The result file holds ``{"ok": true, "result": {...}}`` or
    ``{"ok": false, "error": {"kind": class name, "exit_code": n, "problems": [...]}}``.
    """
    parser = argparse.ArgumentParser()
    for name in ("request", "result", "progress"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args(argv)
    request = json.loads(arguments.request.read_text(encoding="utf-8"))
    try:
        result = step(Job(request, arguments.progress))
    except MlscaleError as error:
        refusal = {
            "kind": type(error).__name__,
            "exit_code": error.exit_code,
            "problems": [problem.as_json() for problem in error.problems],
        }
        write_json_atomically(arguments.result, {"ok": False, "error": refusal})
        print(error, file=sys.stderr)
        sys.exit(REFUSED_EXIT_CODE)
    write_json_atomically(arguments.result, {"ok": True, "result": dict(result)})
    sys.exit(0)
