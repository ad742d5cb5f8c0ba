"""Rules that several subjects share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.spec.base import Finding
from infra.spec.secrets import SECRET_LOOKING


def repeated(field: str, names: tuple[str, ...]) -> Iterator[Finding]:
    """Names that stand in a list a second time."""
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Finding(
                (field, index), f"`{name}` is listed twice", "each once", "remove one of them"
            )


def secret_findings(field: str, values: Mapping[str, Any]) -> Iterator[Finding]:
    """Keys of a free mapping that look like secrets; the values are never repeated."""
    for key in values:
        if SECRET_LOOKING.search(key):
            yield Finding(
                (field, key),
                f"`{key}` looks like a secret, and what stands here is stored readable",
                "no secret among plain values",
                "remove it and replace the value where it came from; let the package read it "
                "from the site's identity or secret store",
            )
