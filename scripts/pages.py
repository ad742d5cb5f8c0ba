"""Fills the parts of README and docs that code prints: between ``<!-- name -->`` and ``<!-- /name -->``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.core import errors
from infra.core.errors import MlscaleError
from infra.core.places import ROOT


def support() -> str:
    """The support matrix."""
    from scripts.cli.support import as_markdown, matrix

    return as_markdown(matrix())


def local_stack() -> str:
    """The committed local stack, without what the engine adds to it."""
    lines = (ROOT / "stacks" / "Pulumi.local.yaml").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("encryptionsalt"))
    return f"```yaml\n{text}\n```\n"


def verbs() -> str:
    """The table of verbs."""
    from scripts.cli import VERBS

    rows = [f"| `mlscale {name}` | {verb.help} |" for name, verb in VERBS.items()]
    return "\n".join(["| verb | |", "|---|---|", *rows]) + "\n"


def exit_codes() -> str:
    """Every error class's code and meaning."""
    classes = [value for _, value in inspect.getmembers(errors, inspect.isclass)]
    meanings = {cls.exit_code: cls.meaning for cls in classes if issubclass(cls, MlscaleError)}
    meanings |= {0: "done", 2: "wrong usage", 141: "whoever read the output left early (`| head`)"}
    rows = [f"| {code} | {meaning} |" for code, meaning in sorted(meanings.items())]
    return "\n".join(["| code | meaning |", "|---|---|", *rows]) + "\n"


PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {"support": support, "local-stack": local_stack},
    "docs/cli.md": {"verbs": verbs, "exit-codes": exit_codes},
}


def filled(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """``text`` with each part between its marks renewed; raises ``ValueError`` for a missing mark."""
    for name, part in parts.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"no marks for {name}")
        text = pattern.sub(lambda match, part=part: f"{match[1]}{part()}{match[2]}", text)  # type: ignore[misc]
    return text


def main(root: Path = ROOT) -> None:
    """Renew every page."""
    for page, parts in PAGES.items():
        path = root / page
        path.write_text(filled(path.read_text(encoding="utf-8"), parts), encoding="utf-8")


if __name__ == "__main__":
    main()
