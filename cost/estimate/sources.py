"""One side of an estimate or a difference: a file, a stack, or a stack at a git revision."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from cost.estimate.preview import Preview, parse, read
from infra.core.errors import BadInput, Problem

Runner = Callable[[str, Path | None], str]
"""Previews a stack in a folder (None: here) and returns the JSON."""


def load(side: str, run: Runner) -> Preview:
    """``preview.json``, ``prod``, ``main:prod`` (git revision and stack), or ``deployed:FILE``.

    ``deployed:FILE`` is what a recorded preview found in place. BadInput when a file is meant that
    isn't there; the engine's own errors otherwise.
    """
    if side.startswith("deployed:"):
        return read(Path(side.removeprefix("deployed:")), deployed=True)
    path = Path(side)
    if path.is_file():
        return read(path)
    if path.suffix == ".json" or ("/" in side and ":" not in side):
        raise BadInput(
            Problem("no such preview", file=side, expected="a file, a stack or REVISION:STACK")
        )
    revision, colon, stack = side.rpartition(":")
    if colon:
        return parse(_at_revision(revision, stack, run), side)
    return parse(run(side, None), side)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BadInput(
            Problem(
                f"git {arguments[0]}: {done.stderr.strip()}",
                expected="REVISION:STACK inside a git checkout",
            )
        )
    return done.stdout.strip()


def _at_revision(revision: str, stack: str, run: Runner) -> str:
    """Preview the stack in a detached work tree of the revision, which is removed again."""
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="mlscale-cost-") as folder:
        tree = str(Path(folder) / "tree")
        _git("worktree", "add", "--detach", tree, commit)
        try:
            _lend_environment(Path(_git("rev-parse", "--show-toplevel")), Path(tree))
            return run(stack, Path(tree))
        finally:
            _git("worktree", "remove", "--force", tree)


def _lend_environment(home: Path, tree: Path) -> None:
    """The work tree has no virtual environment of its own: the checkout's serves it too."""
    venv = home / ".venv"
    if venv.is_dir() and not (tree / ".venv").exists():
        (tree / ".venv").symlink_to(venv)
