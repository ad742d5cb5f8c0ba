"""The provider's Pulumi package schema, from the handlers' input models.

Shape: https://www.pulumi.com/docs/iac/guides/building-extending/packages/schema/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infra.sites.local.provider.handler import Handler


def package_schema(handlers: Iterable[Handler[Any]], version: str) -> dict[str, Any]:
    """What ``pulumi package get-schema`` prints."""
    return {
        "name": "mlscale",
        "version": version,
        "description": "Real processes and stores of one machine, as Pulumi resources",
        "resources": {handler.token: _resource(handler) for handler in handlers},
    }


def _resource(handler: Handler[Any]) -> dict[str, Any]:
    model = handler.inputs.model_json_schema()
    inputs = {name: _type(definition) for name, definition in model["properties"].items()}
    outputs = {name: {"type": "string"} for name in handler.outputs}
    return {
        "description": (handler.__doc__ or "").split("\n")[0],
        "inputProperties": inputs,
        "requiredInputs": sorted(model.get("required", [])),
        "properties": {**inputs, **outputs},
        "required": sorted(model.get("required", [])),
    }


def _type(definition: dict[str, Any]) -> dict[str, Any]:
    kind = definition.get("type")
    if kind in ("string", "integer", "number", "boolean"):
        return {"type": kind}
    if kind == "array":
        return {"type": "array", "items": _type(definition.get("items", {}))}
    if kind == "object":
        extra = definition.get("additionalProperties")
        return {
            "type": "object",
            "additionalProperties": _type(extra if isinstance(extra, dict) else {}),
        }
    options = [one for one in definition.get("anyOf", ()) if one.get("type") != "null"]
    return _type(options[0]) if len(options) == 1 else {"$ref": "pulumi.json#/Any"}
