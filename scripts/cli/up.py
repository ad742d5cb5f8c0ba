"""``mlscale up``: bring a stack up through the real engine, and say what to try next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.core.places import ROOT
from scripts.cli._output import emit

if TYPE_CHECKING:
    from rich.console import Console

    from infra.spec import PlatformSpec


def command(
    stack: Annotated[str, typer.Argument(help="The stack's name.")] = "local",
    refresh: Annotated[
        bool, typer.Option(help="Look first at what really runs, and mend it.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Only the outputs, as JSON.")] = False,
) -> None:
    """Bring a stack up: checks it, makes it if it is new, runs `pulumi up`, says what to try next.

    Run it again after any death: it goes on where it was.

    Example: mlscale up local
    """
    from infra.program import from_file
    from scripts.cli._engine import Engine

    platform, _ = from_file(stack)
    engine = Engine(stack)
    if not engine.prepare():
        engine.make()
    options = ["--refresh"] if refresh else []
    engine.run("up", "--yes", "--suppress-outputs", *options, quiet=as_json)
    outputs = engine.outputs()
    emit(outputs, as_json, lambda console: _closing(console, stack, platform, outputs))


def _closing(console: Console, stack: str, platform: PlatformSpec, outputs: dict[str, Any]) -> None:
    console.print(f"\n[bold green]{stack} is up.[/]\n")
    rows = [
        ("endpoint", outputs["endpoints"], "/v2/health/ready"),
        ("tracking", outputs["tracking"], ""),
        ("metrics", outputs["metrics"], ""),
        ("stream", outputs["streams"], ""),
        ("store", outputs["stores"], ""),
    ]
    for kind, entries, page in rows:
        for name, where in entries.items():
            console.print(f"  {kind:<9} {name:<10} {where}{page}", markup=False, soft_wrap=True)
    for name, url in outputs["endpoints"].items():
        model = _digits_model(platform, name.partition("@")[0])
        if model is not None:
            console.print("\nTry it (a handwritten eight, 8 by 8 pixels):\n")
            console.print(f"  {example(model, url)}", markup=False, soft_wrap=True)
            break
    console.print(f"\n  mlscale status {stack}      what runs, since when")
    console.print(f"  mlscale logs {stack} --follow")
    console.print(f"  mlscale down {stack}        stops everything\n")


def _digits_model(platform: PlatformSpec, endpoint: str) -> str | None:
    """The model behind ``endpoint`` if it is one of the package ``digits``, which the example is for."""
    served = platform.endpoints[endpoint].model.removeprefix("models:/").split("@")[0]
    for name, training in platform.training.items():
        registered = training.registers.model if training.registers else name
        if (registered, training.package) == (served, "digits"):
            return served
    return None


def example(model: str, url: str) -> str:
    """A ``curl`` that asks ``url`` for the digit in a handwritten image; works as pasted."""
    image = json.loads((ROOT / "docs" / "examples" / "digit.json").read_text(encoding="utf-8"))
    body = json.dumps(image, separators=(",", ":"))
    return f"curl -si {url}/v2/models/{model}/infer -d '{body}'"
