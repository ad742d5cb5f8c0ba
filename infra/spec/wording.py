"""Turns validation errors into problems that say what, where, what was expected and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from infra.core.errors import Problem
from infra.spec.base import RULE_ERROR, Loc
from infra.spec.collect import Fault
from infra.spec.platform import PlatformSpec
from infra.spec.positions import Source
from infra.spec.secrets import SECRET_LOOKING, SecretRef, set_command
from infra.spec.shape import field_at, fields_of, model_at
from infra.spec.suggest import did_you_mean
from infra.spec.units import MEANINGS, plain, unit_of

PLATFORM = ("config", "mlscale:platform")
Words = tuple[str, str | None, str | None]
_QUOTED = re.compile(r"'([^']*)'")
_SHOWN = 60
_COMPARISONS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_LENGTHS = {
    "too_short": ("min_length", "at least"),
    "string_too_short": ("min_length", "at least"),
    "too_long": ("max_length", "at most"),
    "string_too_long": ("max_length", "at most"),
}
_KINDS = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
    "scalar_type": "a number, true, false or text",
    "value_error": "a number",
    "decimal_max_places": "an amount with at most two decimals",
    "decimal_max_digits": "an amount of at most 15 digits",
    "decimal_whole_digits": "an amount of at most 15 digits",
}


def problem(fault: Fault, source: Source | None) -> Problem:
    """One fault as a problem, with file and line where the source is known."""
    message, expected, fix = _words(fault)
    return Problem(
        message,
        file=source.file if source else None,
        line=source.line((*PLATFORM, *fault.loc)) if source else None,
        path=path_of(fault.loc),
        expected=expected,
        fix=fix,
    )


def path_of(loc: Loc) -> str:
    """``platform.training.ranker.sites[0]``."""
    steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return "platform" + "".join(steps)


def _words(fault: Fault) -> Words:
    kind = fault.error["type"]
    context: Mapping[str, Any] = fault.error.get("ctx") or {}
    if kind == RULE_ERROR:
        return context["message"], context["expected"], context["fix"]
    if _is_secret(fault):
        return _secret_words(fault)
    for kinds, say in _SAYERS:
        if kind in kinds:
            return say(fault, context)
    return str(fault.error["msg"]), None, None


def _is_secret(fault: Fault) -> bool:
    context = fault.error.get("ctx") or {}
    return context.get("class_name") == SecretRef.__name__ or (
        fault.error["type"] == "extra_forbidden"
        and (fault.loc[-1] == "secure" or model_at(PlatformSpec, fault.place[:-1]) is SecretRef)
    )


def _secret_words(fault: Fault) -> Words:
    expected = "a reference `{secret: <name>}`"
    store = f"run `{set_command('<name>')}`, and write `{{secret: <name>}}` here"
    if fault.error["type"] == "extra_forbidden":
        return f"unknown key `{fault.loc[-1]}` in a secret's reference", expected, store
    fix = f"{store}; replace the value where it came from if it was ever committed"
    return "a secret can't be written here in plain text", expected, fix


def _unknown(fault: Fault, _context: Mapping[str, Any]) -> Words:
    key = fault.loc[-1]
    message = f"unknown key `{key}`"
    model = model_at(PlatformSpec, fault.place[:-1])
    expected = f"one of {', '.join(sorted(fields_of(model)))}" if model else None
    hint = fault.hint
    if hint is None:
        fix = f"remove `{key}`"
        if SECRET_LOOKING.search(str(key)):
            fix += "; a secret enters only as `{secret: <name>}` where a field asks for one"
        return message, expected, fix
    if hint.unit is None:
        return message, expected, f"write `{hint.field}`"
    unit = hint.unit if hint.unit.startswith("a ") else f"in {hint.unit}"
    message += f": the field is `{hint.field}`, {unit}"
    value = f": {plain(hint.value)}" if isinstance(hint.value, int | float) else ""
    return message, expected, f"write `{hint.field}{value}`"


def _missing(fault: Fault, _context: Mapping[str, Any]) -> Words:
    key = fault.loc[-1]
    if isinstance(key, int):
        return "a pair has two names", "two names, such as [core, burst]", None
    field = field_at(PlatformSpec, fault.place)
    about = (field.description or "").rstrip(".") if field else ""
    return f"`{key}` is missing", about[:1].lower() + about[1:] or None, f"add `{key}`"


def _choice(fault: Fault, context: Mapping[str, Any]) -> Words:
    choices = _QUOTED.findall(str(context.get("expected", "")))
    given = fault.error["input"]
    return f"{_shown(given)} is not known here", _one_of(choices), did_you_mean(given, choices)


def _pattern(fault: Fault, context: Mapping[str, Any]) -> Words:
    meaning = MEANINGS.get(str(context.get("pattern")), f"text like {context.get('pattern')}")
    what = "is not a legal name" if fault.is_key else "is not legal here"
    return f"{_shown(fault.error['input'])} {what}", meaning, None


def _comparison(fault: Fault, context: Mapping[str, Any]) -> Words:
    key, words = _COMPARISONS[fault.error["type"]]
    expected = f"{words} {plain(float(context[key]))}{_unit_words(fault.place)}"
    return f"{_shown(fault.error['input'])} is out of range", expected, None


def _length(fault: Fault, context: Mapping[str, Any]) -> Words:
    key, words = _LENGTHS[fault.error["type"]]
    one, more = (
        ("character", "characters")
        if fault.error["type"].startswith("string")
        else ("entry", "entries")
    )
    what = one if context[key] == 1 else more
    short = "short" if key == "min_length" else "long"
    expected = f"{words} {context[key]} {what}"
    return f"is empty or too {short}" if short == "short" else f"is too {short}", expected, None


def _wrong_kind(fault: Fault, _context: Mapping[str, Any]) -> Words:
    given, kind = fault.error["input"], fault.error["type"]
    expected = _KINDS[kind] + _unit_words(fault.place)
    field = str(fault.loc[-1]) if fault.loc else "platform"
    if given is None:
        return "is empty", expected, f"give `{field}` a value or remove it"
    if fault.number is not None:
        return f"{_shown(given)} is text", expected, f"write `{field}: {plain(fault.number)}`"
    if kind == "string_type" and isinstance(given, bool | int | float):
        return f"{_shown(given)} is no text", "text", f'quote it: "{given}"'
    if kind == "tuple_type" and isinstance(given, str) and not isinstance(fault.loc[-1], int):
        return f"{_shown(given)} is no list", expected, f"write `{field}: [{given}]`"
    return f"{_shown(given)} is not {_KINDS[kind]}", expected, None


_SAYERS: tuple[tuple[frozenset[str], Callable[[Fault, Mapping[str, Any]], Words]], ...] = (
    (frozenset({"extra_forbidden"}), _unknown),
    (frozenset({"missing"}), _missing),
    (frozenset({"literal_error"}), _choice),
    (frozenset({"string_pattern_mismatch"}), _pattern),
    (frozenset(_COMPARISONS), _comparison),
    (frozenset(_LENGTHS), _length),
    (frozenset(_KINDS), _wrong_kind),
)


def _unit_words(loc: Loc) -> str:
    unit = unit_of(str(loc[-1])) if loc else None
    if unit is None:
        return ""
    return f", {unit.said}" if unit.said.startswith("a ") else f" in {unit.said}"


def _one_of(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if len(text) <= _SHOWN else f"`{text[:_SHOWN]}…`"
