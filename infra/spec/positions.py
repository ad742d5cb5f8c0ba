"""A stack's YAML with the line of every key and item, and every syntax problem said plainly.

The composed node tree is read rather than loaded objects, so that merge keys, anchors and
duplicate keys keep their lines and scalars mean what they mean to the engine (YAML 1.2 core).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from infra.core.errors import InvalidStack, Problem
from infra.spec.base import Loc

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_PLAIN = frozenset(f"{_TAG}{kind}" for kind in ("str", "timestamp", "value"))
_MOST_NODES = 200_000


@dataclass(frozen=True)
class Source:
    """A stack's file: its name for messages, its content, and the line of every place in it."""

    file: str
    document: Any = None
    lines: Mapping[Loc, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line(self, loc: Loc) -> int | None:
        """The 1-based line of ``loc``, or of the nearest thing around it that is in the file."""
        for length in range(len(loc), 0, -1):
            found = self.lines.get(loc[:length])
            if found is not None:
                return found
        return None

    def at(self, loc: Loc) -> Any:
        """What stands at ``loc`` in the file, or None."""
        value = self.document
        for part in loc:
            try:
                value = value[part]
            except (LookupError, TypeError):
                return None
        return value


def read_yaml(path: Path, file: str) -> Source:
    """Read ``path``, called ``file`` in messages; ``InvalidStack`` where it can't be parsed."""
    text = _text(path, file)
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
        reader = _Reader(yaml, file)
        document = reader.value(node, ()) if node is not None else None
    except YAMLError as error:
        raise InvalidStack(_syntax(error, text, file)) from error
    except RecursionError as error:
        raise InvalidStack(Problem("is nested too deeply to be a stack", file=file)) from error
    return Source(file, document, reader.lines, tuple(reader.problems))


def _text(path: Path, file: str) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidStack(Problem(f"can't be read: {reason}", file=file)) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8: byte 0x{raw[error.start]:02x}"
        fix = "save the file as UTF-8"
        raise InvalidStack(
            Problem(message, file=file, line=line, expected="UTF-8 text", fix=fix)
        ) from error


def _syntax(error: YAMLError, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = None if mark is None else mark.line + 1
    what = (error.problem or error.context) if isinstance(error, MarkedYAMLError) else None
    said = what or next(iter(str(error).splitlines()), "not readable")
    lines = text.splitlines()
    here = lines[line - 1] if line is not None and line <= len(lines) else ""
    if "\t" in here[: len(here) - len(here.lstrip())]:
        fix = "indent with spaces"
        return Problem("a tab stands in the indentation", file, line, None, "spaces", fix)
    return Problem(f"is not YAML: {said}", file=file, line=line)


class _Reader:
    def __init__(self, yaml: Any, file: str) -> None:
        self._constructor = yaml.constructor
        self._file = file
        self._open: set[int] = set()
        self._count = 0
        self.lines: dict[Loc, int] = {}
        self.problems: list[Problem] = []

    def value(self, node: Node, loc: Loc) -> Any:
        """Plain data of ``node``, which stands at ``loc``."""
        self._count += 1
        if self._count > _MOST_NODES:
            self._refuse(node, "its anchors grow to more than 200,000 values")
        if id(node) in self._open:
            self._refuse(node, "an anchor contains itself")
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, loc)
            if isinstance(node, SequenceNode):
                return self._sequence(node, loc)
            return self._scalar(node)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, loc: Loc) -> dict[Any, Any]:
        data: dict[Any, Any] = {}
        for key_node, value_node in self._pairs(node):
            key = self._scalar(key_node)
            self.lines[(*loc, key)] = _line(key_node)
            data[key] = self.value(value_node, (*loc, key))
        return data

    def _sequence(self, node: SequenceNode, loc: Loc) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            self.lines[(*loc, index)] = _line(item)
            items.append(self.value(item, (*loc, index)))
        return items

    def _pairs(self, node: MappingNode) -> Iterator[tuple[ScalarNode, Node]]:
        """Key and value nodes; own keys win over merged ones, earlier merges over later."""
        own: dict[Any, tuple[ScalarNode, Node]] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._refuse(key_node, "a key is a list or a mapping")
            if str(key_node.tag) == _MERGE:
                merged += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                continue
            key = self._scalar(key_node)
            first = own.setdefault(key, (key_node, value_node))
            if first[0] is not key_node:
                self._duplicate(key, key_node, first[0])
        for other in merged:
            if not isinstance(other, MappingNode) or id(other) in self._open:
                self._refuse(other, "`<<` merges something that is no mapping")
            self._open.add(id(other))
            for key_node, value_node in self._pairs(other):
                own.setdefault(self._scalar(key_node), (key_node, value_node))
            self._open.discard(id(other))
        yield from own.values()

    def _scalar(self, node: Node) -> Any:
        tag = str(node.tag)
        if tag in _PLAIN:
            return self._characters(node)
        kind = tag.removeprefix(_TAG)
        if kind not in ("int", "float", "bool", "null"):
            self._refuse(node, f"the tag `{tag}` has no meaning in a stack")
        try:
            return getattr(self._constructor, f"construct_yaml_{kind}")(node)
        except ValueError:
            self._refuse(node, f"`{str(node.value)[:40]}` is no {kind}")

    def _characters(self, node: Node) -> str:
        """Text, with the pairs of escapes that JSON writes beyond U+FFFF put together."""
        try:
            return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._refuse(node, "half of an escaped pair is no character")

    def _duplicate(self, key: Any, node: Node, first: Node) -> None:
        self.problems.append(
            Problem(
                f"`{key}` is given a second time; the first is on line {_line(first)}",
                file=self._file,
                line=_line(node),
                expected="each key once",
                fix="remove one of them",
            )
        )

    def _refuse(self, node: Node, message: str) -> NoReturn:
        raise InvalidStack(Problem(message, file=self._file, line=_line(node)))


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
