"""Finds every problem of a declaration in one go.

A misspelt key is renamed, a number in the wrong unit converted and anything else that is wrong
cut out of a copy, and the copy is validated again, until only whole parts are left; so rules
between subjects are checked although a subject is broken elsewhere. What is reported once hides
what merely follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from infra.spec.base import Loc
from infra.spec.platform import PlatformSpec
from infra.spec.references import NAMED
from infra.spec.secrets import SecretRef
from infra.spec.shape import field_at, model_at, words_of
from infra.spec.suggest import KeyHint, key_hint
from infra.spec.units import converted, plain_copy

_MOST_ROUNDS = 200
_KEY_MARK = "[key]"
# What stands in for the whole of a broken part that nothing works without.
_STAND_INS: Mapping[str, Any] = {
    "name": "stand-in",
    "environment": "dev",
    "owner": {"team": "none", "cost_center": "none", "contact": "none@example.com"},
    "sites": {"stand-in": {"cloud": "local"}},
}


@dataclass(frozen=True)
class Fault:
    """One validation error: where the user wrote it, where that is once keys are spelt right,
    pydantic's account, the field that was meant.
    """

    loc: Loc
    place: Loc
    error: Mapping[str, Any]
    is_key: bool = False
    hint: KeyHint | None = None
    number: float | None = None


@dataclass
class _Copy:
    """The declaration as repaired so far, and the way back to where things stood."""

    data: dict[str, Any]
    renamed: dict[Loc, str] = field(default_factory=dict)
    items: dict[Loc, list[int]] = field(default_factory=dict)

    def original(self, loc: Loc) -> Loc:
        """Where the user wrote what now stands at ``loc``."""
        back: list[str | int] = []
        for end, part in enumerate(loc):
            left = self.items.get(loc[:end])
            if left is not None and isinstance(part, int) and part < len(left):
                back.append(left[part])
            else:
                back.append(self.renamed.get(loc[: end + 1], part))
        return tuple(back)

    def at(self, loc: Loc) -> Any:
        value: Any = self.data
        for part in loc:
            try:
                value = value[part]
            except (LookupError, TypeError):
                return None
        return value

    def rename(self, loc: Loc, hint: KeyHint) -> None:
        holder = self.at(loc[:-1])
        value = holder.pop(loc[-1])
        if hint.field not in holder:
            holder[hint.field] = value if hint.value is None else hint.value
            self.renamed[(*loc[:-1], hint.field)] = str(loc[-1])

    def cut(self, loc: Loc) -> None:
        """Take out what stands at ``loc``, or what is around it where nothing does."""
        while loc:
            holder = self.at(loc[:-1])
            last = loc[-1]
            if isinstance(holder, dict) and last in holder:
                del holder[last]
                return
            if isinstance(holder, list) and isinstance(last, int) and last < len(holder):
                left = self.items.setdefault(loc[:-1], list(range(len(holder))))
                del holder[last], left[last]
                return
            if len(loc) == 1 and last in _STAND_INS:
                self.data[str(last)] = plain_copy(_STAND_INS[str(last)])
                return
            loc = loc[:-1]


@dataclass(frozen=True)
class Collected:
    """What is whole of a declaration (None: nothing), what is wrong, and the way back."""

    spec: PlatformSpec | None
    faults: list[Fault]
    original: Callable[[Loc], Loc]


def collect(data: Mapping[str, Any]) -> Collected:
    """Validate ``data`` and find everything that is wrong with it."""
    copy = _Copy(plain_copy(data))
    faults: list[Fault] = []
    names: dict[str, set[str]] = {subject: set() for subject in NAMED}
    for _ in range(_MOST_ROUNDS):
        _note_names(copy.data, names)
        try:
            spec = PlatformSpec.model_validate(copy.data, context={"names": names})
            return Collected(spec, faults, copy.original)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        misspelt = _misspelt(copy, errors)
        faults += misspelt or _faults(copy, errors, faults)
    return Collected(None, faults, copy.original)


def _note_names(data: Mapping[str, Any], names: dict[str, set[str]]) -> None:
    for subject, known in names.items():
        entries = data.get(subject)
        if isinstance(entries, Mapping):
            known.update(name for name in entries if isinstance(name, str))


def _misspelt(copy: _Copy, errors: list[Any]) -> list[Fault]:
    """Unknown keys that were meant to be another; they are renamed at once."""
    found = []
    for error in errors:
        if error["type"] != "extra_forbidden":
            continue
        loc = error["loc"]
        model = model_at(PlatformSpec, loc[:-1])
        if model is SecretRef:
            # Nothing in it is taken for a name: it may be the secret itself.
            found.append(Fault(copy.original(loc), loc, error))
            copy.cut(loc[:-1])
            continue
        if model is None:
            continue
        hint = key_hint(str(loc[-1]), copy.at(loc), words_of(model), copy.at(loc[:-1]))
        if hint:
            found.append(Fault(copy.original(loc), loc, error, hint=hint))
            copy.rename(loc, hint)
    return found


def _faults(copy: _Copy, errors: list[Any], before: list[Fault]) -> list[Fault]:
    """What is wrong and not a consequence; all of it is mended or cut out of the copy."""
    reported = {fault.loc for fault in before}
    found: list[Fault] = []
    cuts: list[Loc] = []
    for error in errors:
        is_key = error["loc"][-1:] == (_KEY_MARK,)
        loc: Loc = error["loc"][:-1] if is_key else error["loc"]
        origin = copy.original(loc)
        if any(one_in_other(origin, other) for other in reported):
            cuts.append(loc)
            continue
        number = _meant(copy, loc, error)
        found.append(Fault(origin, loc, error, is_key=is_key, number=number))
        if number is None:
            cuts.append(loc)
        else:
            copy.at(loc[:-1])[loc[-1]] = number
    # From the back, so that the places of list items before a cut stay what they are.
    for loc in sorted(set(cuts), key=_order, reverse=True):
        copy.cut(loc)
    return found


def _order(loc: Loc) -> list[tuple[bool, int, str]]:
    return [(isinstance(p, int), p if isinstance(p, int) else 0, str(p)) for p in loc]


def one_in_other(one: Loc, other: Loc) -> bool:
    short = min(len(one), len(other))
    return one[:short] == other[:short]


def _meant(copy: _Copy, loc: Loc, error: Mapping[str, Any]) -> float | None:
    """The number that a text such as "24h" stands for, where the field is a number."""
    is_text = isinstance(copy.at(loc), str) and not isinstance(loc[-1], int)
    if not is_text or error["type"] not in ("float_type", "int_type", "value_error"):
        return None
    if field_at(PlatformSpec, loc) is None:
        return None
    return converted(copy.at(loc), str(loc[-1]))
