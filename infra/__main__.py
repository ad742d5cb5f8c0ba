"""The Pulumi program: read the stack, build the platform, export. Nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = str(Path(__file__).resolve().parent)
# The engine puts this folder first on the path, where its modules could hide others of that name.
sys.path[:] = [str(Path(_HERE).parent), *(entry for entry in sys.path if entry != _HERE)]

import pulumi  # noqa: E402

from infra.composition import build  # noqa: E402
from infra.core.errors import MlscaleError  # noqa: E402
from infra.program import declaration  # noqa: E402


def main() -> None:
    """Every refusal is one readable error, before anything is registered."""
    try:
        platform, classes = declaration(pulumi.get_stack())
        outputs = build(platform, classes, pulumi.get_stack())
    except MlscaleError as error:
        raise pulumi.RunError(str(error)) from None
    for name, value in outputs.items():
        pulumi.export(name, value)


main()
