"""Reads a stack's declaration: from its file, or from the engine with lines from its file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.core.errors import InvalidStack, Problem
from infra.core.places import PROJECT
from infra.spec.base import Loc, Spec
from infra.spec.collect import Collected, collect, one_in_other
from infra.spec.platform import PlatformSpec
from infra.spec.positions import Source, read_yaml
from infra.spec.secrets import SecretRef, missing_secret, plain_secret
from infra.spec.suggest import did_you_mean
from infra.spec.wording import PLATFORM, path_of, problem

CONFIG, KEY = PLATFORM
STACKS = "stacks"
# Keys that the engine itself keeps in a stack's file.
ENGINE_KEYS = ("config", "encryptedkey", "encryptionsalt", "environment", "secretsprovider")
_STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def load(stack: str, root: Path) -> PlatformSpec:
    """The declaration in ``stacks/Pulumi.<stack>.yaml`` under ``root``.

    Raises ``InvalidStack`` with every problem at once.
    """
    source = read(stack, root)
    return parse(declaration(source), source)


def read(stack: str, root: Path) -> Source:
    """The file of ``stack`` with the line of everything in it; nothing is judged but its syntax."""
    name = stack.rpartition("/")[2]
    if not _STACK_NAME.fullmatch(name):
        expected = "letters, digits, `_`, `.` and `-`"
        raise InvalidStack(Problem(f"`{stack}` is not a stack's name", expected=expected))
    file = f"{STACKS}/Pulumi.{name}.yaml"
    path = root / file
    if not path.is_file():
        raise InvalidStack(_no_such_stack(name, file, stacks_in(root)))
    return read_yaml(path, file)


def stacks_in(root: Path) -> list[str]:
    """Names of the stacks that have a file under ``root``."""
    paths = (root / STACKS).glob("Pulumi.*.yaml")
    return sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in paths)


def declaration(source: Source) -> Any:
    """What stands under ``mlscale:platform``; ``InvalidStack`` where the file has no such key."""
    document = source.document
    if not isinstance(document, Mapping):
        what = "is empty" if document is None else "is not a mapping"
        raise InvalidStack(Problem(what, source.file, 1, None, f"`config:` with `{KEY}:` in it"))
    config = document.get(CONFIG)
    if isinstance(config, Mapping) and KEY in config:
        return config[KEY]
    problems = list(_file_problems(source))
    if CONFIG in document and not isinstance(config, Mapping):
        message = f"`{CONFIG}` is not a mapping"
        problems.append(_here(source, (CONFIG,), message, f"`{KEY}:` under it"))
    elif CONFIG in document:
        candidates = [key for key in config or () if str(key).partition(":")[0] == PROJECT]
        near = [key for key in candidates if did_you_mean(key, [KEY])] or ["platform"]
        misspelt = near[0] in (config or ())
        loc = (CONFIG, near[0]) if misspelt else (CONFIG,)
        fix = f"write `{KEY}`" if misspelt else "declare the platform under it"
        problems.append(_here(source, loc, f"there is no key `{KEY}`", f"`{KEY}:`", fix))
    elif not any(did_you_mean(key, [CONFIG]) for key in document):
        problems.append(_here(source, (), f"there is no `{CONFIG}`", f"`{KEY}:` under `{CONFIG}:`"))
    raise InvalidStack(_sorted(problems))


def parse(data: Any, source: Source | None = None) -> PlatformSpec:
    """The declaration in ``data`` (``pulumi.Config().require_object("platform")``, say).

    ``source`` lends file and lines to what is wrong. Raises ``InvalidStack`` with every problem.
    """
    problems = list(_file_problems(source)) if source else []
    if not isinstance(data, Mapping):
        raise InvalidStack([*problems, _not_a_mapping(data, source)])
    if set(data) == {"secure"}:
        message = f"the whole of `{KEY}` is encrypted"
        fix = "write it in plain text; secrets enter as `{secret: <name>}`"
        raise InvalidStack([*problems, _here(source, PLATFORM, message, "a mapping", fix)])
    collected = collect(data)
    problems += [problem(fault, source) for fault in collected.faults]
    if source is not None:
        problems += _secret_problems(collected, source)
    if problems or collected.spec is None:
        raise InvalidStack(_sorted(problems))
    return collected.spec


def _not_a_mapping(data: Any, source: Source | None) -> Problem:
    what = "is empty" if data is None else "is not a mapping"
    fix = "write the platform as a mapping: `name:`, `environment:`, `owner:`, `sites:`"
    return _here(source, PLATFORM, f"`{KEY}` {what}", "a mapping", fix)


def _no_such_stack(name: str, file: str, stacks: list[str]) -> Problem:
    expected = f"one of {', '.join(stacks)}" if stacks else f"a file {file}"
    fix = did_you_mean(name, stacks) or f"write {file}"
    return Problem(f"there is no stack `{name}`", file=file, expected=expected, fix=fix)


def _here(
    source: Source | None, loc: Loc, message: str, expected: str | None, fix: str | None = None
) -> Problem:
    return Problem(
        message,
        file=source.file if source else None,
        line=(source.line(loc) or 1) if source else None,
        path="platform" if loc[:2] == PLATFORM else (".".join(map(str, loc)) or None),
        expected=expected,
        fix=fix,
    )


def _file_problems(source: Source) -> Iterator[Problem]:
    """What is wrong with the file around the declaration."""
    yield from source.problems
    document = source.document
    for key in document if isinstance(document, Mapping) else ():
        if key not in ENGINE_KEYS:
            expected = f"one of {', '.join(ENGINE_KEYS)}"
            fix = did_you_mean(key, ENGINE_KEYS) or f"remove `{key}`"
            yield _here(source, (key,), f"unknown key `{key}`", expected, fix)


def _secret_problems(collected: Collected, source: Source) -> Iterator[Problem]:
    """Secrets that the declaration names itself: each has to be set, and encrypted."""
    for place, ref in _secret_refs(collected.spec, ()):
        loc = collected.original(place)
        if any(one_in_other(loc, fault.loc) for fault in collected.faults):
            continue
        key = (CONFIG, f"{PROJECT}:{ref.secret}")
        stored = source.at(key)
        written = source.at((*PLATFORM, *loc)) is not None
        if stored is None:
            # An environment of the engine's own service may bring it; only the engine knows.
            if written and source.at(("environment",)) is None:
                line = source.line((*PLATFORM, *loc))
                yield missing_secret(ref.secret, source.file, line, path_of(loc))
        elif not (isinstance(stored, Mapping) and set(stored) == {"secure"}):
            yield plain_secret(ref.secret, source.file, source.line(key))


def _secret_refs(value: Any, loc: Loc) -> Iterator[tuple[Loc, SecretRef]]:
    if isinstance(value, SecretRef):
        yield loc, value
    elif isinstance(value, Spec):
        for name, field in type(value).model_fields.items():
            yield from _secret_refs(getattr(value, name), (*loc, field.alias or name))
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _secret_refs(entry, (*loc, key))
    elif isinstance(value, tuple):
        for index, entry in enumerate(value):
            yield from _secret_refs(entry, (*loc, index))


def _sorted(problems: list[Problem]) -> list[Problem]:
    unique = list(dict.fromkeys(problems))
    return sorted(unique, key=lambda found: (found.line or 0, found.path or "", found.message))
