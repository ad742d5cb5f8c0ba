"""Just enough of JSON Schema 2020-12 to judge instances by our generated schema.

A keyword that is not known here is an error, so a schema that begins to use one can't pass
unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and value.is_integer())
    ),
}
_NOTES = {"$schema", "$defs", "title", "description", "default", "then", "else"}
_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
}
_SIZES: dict[str, tuple[type | tuple[type, ...], Callable[[int, int], bool]]] = {
    "minItems": (list, lambda size, bound: size >= bound),
    "maxItems": (list, lambda size, bound: size <= bound),
    "minLength": (str, lambda size, bound: size >= bound),
    "maxLength": (str, lambda size, bound: size <= bound),
    "minProperties": (dict, lambda size, bound: size >= bound),
}


def accepts(schema: Any, value: Any, root: Mapping[str, Any]) -> bool:
    """Whether ``value`` is an instance of ``schema``; references are looked up in ``root``."""
    if isinstance(schema, bool):
        return schema
    return all(_holds(key, schema, value, root) for key in schema if key not in _NOTES)


def _holds(key: str, schema: Mapping[str, Any], value: Any, root: Mapping[str, Any]) -> bool:
    asked = schema[key]
    if key in _NUMBERS:
        return not _TYPES["number"](value) or _NUMBERS[key](value, asked)
    if key in _SIZES:
        kind, holds = _SIZES[key]
        return not isinstance(value, kind) or holds(len(value), asked)
    return _RULES[key](asked, schema, value, root)


def _type(asked: Any, _schema: Any, value: Any, _root: Any) -> bool:
    return any(_TYPES[kind](value) for kind in ([asked] if isinstance(asked, str) else asked))


def _required(asked: Any, _schema: Any, value: Any, _root: Any) -> bool:
    return not isinstance(value, Mapping) or set(asked) <= set(value)


def _properties(asked: Any, _schema: Any, value: Any, root: Any) -> bool:
    if not isinstance(value, Mapping):
        return True
    return all(accepts(asked[key], value[key], root) for key in asked if key in value)


def _patterns(asked: Any, _schema: Any, value: Any, root: Any) -> bool:
    if not isinstance(value, Mapping):
        return True
    return all(
        accepts(inner, entry, root)
        for pattern, inner in asked.items()
        for key, entry in value.items()
        if re.search(pattern, str(key))
    )


def _additional(asked: Any, schema: Any, value: Any, root: Any) -> bool:
    if not isinstance(value, Mapping):
        return True
    patterns = schema.get("patternProperties", {})
    return all(
        accepts(asked, entry, root)
        for key, entry in value.items()
        if key not in schema.get("properties", {})
        and not any(re.search(pattern, str(key)) for pattern in patterns)
    )


def _items(asked: Any, _schema: Any, value: Any, root: Any) -> bool:
    return not isinstance(value, list) or all(accepts(asked, entry, root) for entry in value)


def _if(asked: Any, schema: Any, value: Any, root: Any) -> bool:
    branch = "then" if accepts(asked, value, root) else "else"
    return accepts(schema.get(branch, True), value, root)


_RULES: dict[str, Callable[[Any, Any, Any, Any], bool]] = {
    "$ref": lambda asked, _s, value, root: accepts(
        root["$defs"][asked.removeprefix("#/$defs/")], value, root
    ),
    "type": _type,
    "enum": lambda asked, _s, value, _r: value in asked,
    "const": lambda asked, _s, value, _r: value == asked,
    "required": _required,
    "properties": _properties,
    "patternProperties": _patterns,
    "additionalProperties": _additional,
    "items": _items,
    "uniqueItems": lambda asked, _s, value, _r: (
        not (asked and isinstance(value, list)) or len(value) == len({repr(v) for v in value})
    ),
    "pattern": lambda asked, _s, value, _r: (
        not isinstance(value, str) or re.search(asked, value) is not None
    ),
    "anyOf": lambda asked, _s, value, root: any(accepts(one, value, root) for one in asked),
    "allOf": lambda asked, _s, value, root: all(accepts(one, value, root) for one in asked),
    "if": _if,
}
