"""What the models look like from outside: which model, field and words stand at a place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from infra.spec.base import Also, Loc, Spec


def fields_of(model: type[Spec]) -> dict[str, FieldInfo]:
    """Fields by the key that a stack writes, aliases followed."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def words_of(model: type[Spec]) -> dict[str, tuple[str, ...]]:
    """Each key with the other words that people use for it."""
    return {
        key: tuple(word for also in _also(field) for word in also.words)
        for key, field in fields_of(model).items()
    }


def model_at(root: type[Spec], loc: Loc) -> type[Spec] | None:
    """The model whose mapping stands at ``loc``, or None where that is no model."""
    kind: Any = root
    for part in loc:
        kind = _inside(kind, part)
        if kind is None:
            return None
    return next(_models(kind), None)


def field_at(root: type[Spec], loc: Loc) -> FieldInfo | None:
    """The field that ``loc`` ends in, or None."""
    model = model_at(root, loc[:-1]) if loc else None
    return None if model is None else fields_of(model).get(str(loc[-1]))


def _inside(kind: Any, part: str | int) -> Any:
    for option in _options(kind):
        origin = get_origin(option)
        arguments = get_args(option)
        if isinstance(option, type) and issubclass(option, Spec):
            field = fields_of(option).get(str(part))
            if field is not None:
                return field.annotation
        elif origin is tuple and isinstance(part, int):
            return arguments[0] if Ellipsis in arguments else arguments[part % len(arguments)]
        elif isinstance(origin, type) and issubclass(origin, Mapping):
            return arguments[1]
    return None


def _models(kind: Any) -> Iterator[type[Spec]]:
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, Spec):
            yield option


def _options(kind: Any) -> Iterator[Any]:
    """The kinds that a value may have, with ``Annotated`` and unions taken apart."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _options(get_args(kind)[0])
    elif origin in (Union, UnionType):
        for option in get_args(kind):
            yield from _options(option)
    else:
        yield kind


def _also(field: FieldInfo) -> Iterator[Also]:
    yield from (entry for entry in field.metadata if isinstance(entry, Also))
    for option in get_args(field.annotation):
        if get_origin(option) is Annotated:
            yield from (entry for entry in get_args(option)[1:] if isinstance(entry, Also))


def models_in(kind: Any) -> Iterator[type[Spec]]:
    """Models in an annotation, entries of mappings and lists included."""
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, Spec):
            yield option
        for argument in get_args(option):
            yield from models_in(argument)
