"""The JSON Schema of a whole stack file, for editors and other tools; generated, never edited.

``python -m infra.spec.schema`` writes ``stacks/schema.json``, with ``--docs`` ``docs/stack.md``.
The schema knows fields, kinds and ranges; what holds between fields (references, networks) is
checked by ``mlscale validate`` and ``pulumi up``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.spec.loader import CONFIG, ENGINE_KEYS, KEY
from infra.spec.platform import PlatformSpec

SCHEMA_FILE = "stacks/schema.json"
DOCS_FILE = "docs/stack.md"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def stack_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of ``stacks/Pulumi.<stack>.yaml``, the engine's own keys included."""
    platform = _closed(PlatformSpec.model_json_schema(mode="validation"))
    definitions = platform.pop("$defs")
    definitions[PlatformSpec.__name__] = platform
    engine = {key: {"type": "string"} for key in ENGINE_KEYS if key not in (CONFIG, "environment")}
    return {
        "$schema": DIALECT,
        "title": "A stack of mlscale",
        "type": "object",
        "properties": {
            **engine,
            "environment": {"description": "Environments of the engine's own service."},
            CONFIG: {
                "type": "object",
                "description": "Configuration by `<namespace>:<key>`.",
                "properties": {KEY: {"$ref": f"#/$defs/{PlatformSpec.__name__}"}},
                "required": [KEY],
                "patternProperties": {"^[^:]+:.+$": {}},
                "additionalProperties": False,
            },
        },
        "required": [CONFIG],
        "additionalProperties": False,
        "$defs": dict(sorted(definitions.items())),
    }


def _closed(schema: Any) -> Any:
    """Without generated titles, and with named entries closed to names that are not legal."""
    if isinstance(schema, list):
        return [_closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: _closed(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }
    if "patternProperties" in closed:
        closed["additionalProperties"] = False
    return closed


def schema_text() -> str:
    """The content of ``stacks/schema.json``."""
    return json.dumps(stack_schema(), indent=2) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the schema, or with ``--docs`` the reference page."""
    parser = argparse.ArgumentParser(prog="python -m infra.spec.schema", description=__doc__)
    parser.add_argument("--docs", action="store_true", help=f"write {DOCS_FILE} instead")
    parser.add_argument("--root", type=Path, default=Path(), help="root of the repository")
    options = parser.parse_args(arguments)
    if options.docs:
        from infra.spec.docs import page

        file, text = DOCS_FILE, page()
    else:
        file, text = SCHEMA_FILE, schema_text()
    path = options.root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
