"""Runs one Pulumi program inside the process that the language host started for it.

The settings come as JSON on standard input; exit code 32 means that the error was already
reported to the engine (the code that the official host uses too).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import runpy
import signal
import sys
import traceback

BAIL_EXIT_CODE = 32


def main() -> None:
    """Configure the SDK from the settings and run the program to its end."""
    import pulumi
    import pulumi.runtime
    from pulumi.runtime.stack import run_in_stack

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine ends the operation, not the program
    settings = json.load(sys.stdin)
    pulumi.runtime.set_all_config(settings["config"], settings["secret_keys"])
    pulumi.runtime.configure(pulumi.runtime.Settings(**settings["settings"]))
    program = settings["program"]
    sys.argv = [program, *settings["args"]]
    sys.path.insert(0, os.path.dirname(program))  # noqa: PTH120 - as the official host does it
    # Unfinished tasks of a failed program are reported by the SDK already.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(run_in_stack(lambda: _run(program)))
    except pulumi.RunError as error:
        _bail(str(error))
    except Exception:  # noqa: BLE001 - whatever a program raises goes to the engine
        _bail("Program failed with an unhandled exception:\n" + traceback.format_exc())


def _run(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


def _bail(message: str) -> None:
    import pulumi

    pulumi.log.error(message)
    sys.stderr.flush()
    os._exit(BAIL_EXIT_CODE)


if __name__ == "__main__":
    main()
