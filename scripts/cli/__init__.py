"""The ``mlscale`` command: one module a verb, loaded when it is asked for.

``mlscale --help`` has to answer at once, and most verbs import much; so the table below knows
each verb's name and help, and only the verb on the command line is imported.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import NamedTuple

from scripts.cli._main import complete_or_run


class Verb(NamedTuple):
    """Where a verb lives and what ``mlscale --help`` says of it."""

    module: str
    help: str
    panel: str


_STACK, _RUN, _MONEY, _MACHINE = "The stack", "What runs here", "Capacity and money", "This machine"

VERBS: dict[str, Verb] = {
    "validate": Verb("validate", "Check a stack's declaration; every problem at once.", _STACK),
    "support": Verb("support", "Which site can do what, and why not, from the classes.", _STACK),
    "up": Verb("up", "Bring a local stack up, and say what to try next.", _RUN),
    "down": Verb("down", "Take a local stack down; protected stores are kept.", _RUN),
    "status": Verb("status", "What runs in a local stack, where, and how it feels.", _RUN),
    "logs": Verb("logs", "Show or follow the log of a local stack's processes.", _RUN),
    "size": Verb("size", "Size the work: larger machines, or more of them, and why.", _MONEY),
    "cost": Verb("cost", "Price a preview, audit prices, report what was spent.", _MONEY),
    "doctor": Verb("doctor", "What is there, what is missing, what mends it.", _MACHINE),
    "setup": Verb("setup", "Build or fetch the tools that doctor misses.", _MACHINE),
    "env": Verb("env", "Print the shell lines that make `pulumi` work from here.", _MACHINE),
}


def main() -> None:
    """Entry point of the ``mlscale`` command."""
    words = os.environ.get("COMP_WORDS", "").split() or sys.argv
    asked = next((word for word in words[1:] if word in VERBS), None)
    complete_or_run(
        {name: (verb.help, verb.panel) for name, verb in VERBS.items()},
        asked,
        lambda name: import_module(f"scripts.cli.{VERBS[name].module}"),
    )
