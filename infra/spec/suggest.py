"""Did you mean: the nearest legal word, and the field that a key with a wrong unit meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.spec.units import converted, split_unit, unit_of

_ALIKE = 0.6  # share of matching letters, difflib's ratio
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class KeyHint:
    """The field that an unknown key meant; ``value`` is the number in the field's unit."""

    field: str
    value: Any
    unit: str | None = None


def closest(word: object, candidates: Iterable[str]) -> str | None:
    """The candidate that ``word`` was most likely meant to be, or None."""
    ours = {_normal(candidate): candidate for candidate in candidates}
    wanted = _normal(str(word))
    if wanted in ours:
        return ours[wanted]
    longer = [key for key in ours if len(key) > 2 and wanted.startswith(key)]
    if longer:
        return ours[max(longer, key=len)]
    near = difflib.get_close_matches(wanted, ours, n=1, cutoff=_ALIKE)
    return ours[near[0]] if near else None


def did_you_mean(word: object, candidates: Iterable[str]) -> str | None:
    """``write `x` `` for the nearest candidate, as the fix of a problem."""
    near = closest(word, candidates)
    return f"write `{near}`" if near else None


def key_hint(
    key: str, value: Any, fields: Mapping[str, tuple[str, ...]], taken: Collection[str] = ()
) -> KeyHint | None:
    """What an unknown ``key`` meant among ``fields`` (field -> other words for it).

    A field that is ``taken`` already is not guessed from likeness alone.
    """
    normal = _CAMEL.sub("_", key).replace("-", "_").lower()
    if normal in fields:
        return KeyHint(normal, value)
    stem, written = split_unit(normal)
    for field, words in fields.items():
        unit = unit_of(field)
        about = split_unit(field)[0]
        if normal in words or (unit and stem and (stem == about or stem in words)):
            if unit is None:
                return KeyHint(field, value)
            number = None
            if written is not None or isinstance(value, str):
                number = converted(value, field, written)
            return KeyHint(field, number, unit.said)
    near = closest(key, [field for field in fields if field not in taken])
    return KeyHint(near, value) if near else None


def _normal(word: str) -> str:
    return _CAMEL.sub("_", word).lower().replace("-", "_")
