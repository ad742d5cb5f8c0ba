"""``mlscale env``: the shell lines that make ``pulumi`` work from here."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts.cli._output import emit


def engine_environment() -> dict[str, str]:
    """What ``pulumi`` needs in its environment beyond what is set; a set value is kept.

    The passphrase of the local stack is empty: its secrets are guarded by the file system
    (docs/local.md says how to change that).
    """
    path = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    tools = str(Path(sys.executable).parent)
    wanted = {
        "PATH": os.pathsep.join(path if tools in path else [tools, *path]),
        "PULUMI_SKIP_UPDATE_CHECK": os.environ.get("PULUMI_SKIP_UPDATE_CHECK", "1"),
    }
    if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & os.environ.keys():
        wanted["PULUMI_CONFIG_PASSPHRASE"] = ""
    return wanted


def command(
    as_json: Annotated[bool, typer.Option("--json", help="The variables as JSON.")] = False,
) -> None:
    """Print the shell lines that make `pulumi` work from here.

    Example: eval "$(mlscale env)" && pulumi up -s local
    """
    wanted = engine_environment()
    emit(wanted, as_json, lambda console: _lines(wanted))


def _lines(wanted: dict[str, str]) -> None:
    for name, value in wanted.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
