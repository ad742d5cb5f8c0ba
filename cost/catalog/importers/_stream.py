"""Read the members of chosen objects of a large JSON file without holding the file in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import IO, Any

from infra.core.errors import BadInput, Problem

_CHUNK = 1 << 18
_MARKS = re.compile(r'\\.|["{}\[\]]', re.DOTALL)
_DECODER = json.JSONDecoder()

Path = tuple[str, ...]


class _Reader:
    """A window over the text that grows until a value is complete."""

    def __init__(self, handle: IO[str], where: str) -> None:
        self._handle = handle
        self._where = where
        self._text = ""
        self._at = 0

    def _more(self) -> None:
        chunk = self._handle.read(_CHUNK)
        if not chunk:
            raise BadInput(
                Problem("the file ends in the middle", file=self._where, fix="download it again")
            )
        self._text = self._text[self._at :] + chunk
        self._at = 0

    def peek(self) -> str:
        """The next character that isn't white space."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            self._more()

    def take(self, wanted: str) -> None:
        """Step over one character that must be there."""
        found = self.peek()
        if found != wanted:
            problem = f"{found!r} where {wanted!r} should be"
            raise BadInput(Problem(f"not JSON: {problem}", file=self._where))
        self._at += 1

    def value(self) -> Any:
        """The next complete value."""
        self.peek()
        while True:
            try:
                found, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                self._more()
                continue
            # A number or word at the very end may go on in the next chunk.
            if end == len(self._text) and not isinstance(found, str | dict | list):
                self._more()
                continue
            self._at = end
            return found

    def skip(self) -> None:
        """Step over the next value; objects and arrays are never held as a whole."""
        if self.peek() not in "{[":
            self.value()
            return
        depth, quoted = 0, False
        while True:
            seen = self._at
            for match in _MARKS.finditer(self._text, self._at):
                mark, seen = match.group(), match.end()
                if quoted:
                    quoted = mark != '"'
                elif mark == '"':
                    quoted = True
                elif mark in "{[":
                    depth += 1
                elif mark in "}]":
                    depth -= 1
                    if depth == 0:
                        self._at = match.end()
                        return
            # An escape must not be torn apart between two chunks.
            torn = seen < len(self._text) and self._text[-1] == "\\"
            self._at = len(self._text) - torn
            self._more()


def members(handle: IO[str], where: str, wanted: Collection[Path]) -> Iterator[tuple[Path, Any]]:
    """(path, value) of each member of the objects at ``wanted``, in the file's order.

    Objects on the way are entered, everything else is read over. BadInput when the text ends in
    the middle or isn't JSON.
    """
    yield from _object(_Reader(handle, where), (), wanted)


def _object(reader: _Reader, path: Path, wanted: Collection[Path]) -> Iterator[tuple[Path, Any]]:
    reader.take("{")
    if reader.peek() == "}":
        reader.take("}")
        return
    while True:
        key = reader.value()
        reader.take(":")
        here = (*path, str(key))
        enter = any(target[: len(here)] == here for target in wanted)
        if enter and reader.peek() == "{":
            yield from _object(reader, here, wanted)
        elif path in wanted:
            yield here, reader.value()
        else:
            reader.skip()
        if reader.peek() == "}":
            reader.take("}")
            return
        reader.take(",")
