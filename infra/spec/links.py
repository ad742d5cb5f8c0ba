"""Which sites are joined: networks, names and identities, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, WithJsonSchema

from infra.spec.base import Finding
from infra.spec.units import NAME_PATTERN, Name

Link = Annotated[
    tuple[Name, Name],
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string", "pattern": NAME_PATTERN},
            "minItems": 2,
            "maxItems": 2,
            "uniqueItems": True,
        }
    ),
]
Links = Annotated[tuple[Link, ...], Field(max_length=100)]


def link_findings(links: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """A link joins two different sites, and each pair once, whichever way round."""
    seen: dict[frozenset[str], int] = {}
    for index, link in enumerate(links):
        pair = frozenset(link)
        if len(pair) == 1:
            yield Finding(("links", index), f"links `{link[0]}` with itself", "two different sites")
        elif pair in seen:
            yield Finding(
                ("links", index),
                f"joins {link[0]} and {link[1]} a second time",
                "each pair of sites once; a link works both ways",
                "remove it",
            )
        seen.setdefault(pair, index)
