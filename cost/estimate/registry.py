"""Which resolver prices which type. Types are the engine's tokens, without API versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cost.estimate.bill import Bill

Resolver = Callable[["Bill"], None]

_RESOLVERS: dict[str, Resolver] = {}
_FREE: dict[str, str] = {}
_ACCESS = re.compile(r"I[Aa][Mm](?:Binding|Member|Policy|AuditConfig)$|PrivateEndpointConnection$")
"""GCP's bindings of roles to single resources, and Azure's approvals of private endpoints."""
_AZURE_VERSION = re.compile(r"^(azure-native:[a-z]+)/v\w+:")


def normalise(token: str) -> str:
    """The token without Azure's API version: ``azure-native:network/v20240501:NatGateway``."""
    return _AZURE_VERSION.sub(r"\1:", token)


def resolves(*tokens: str) -> Callable[[Resolver], Resolver]:
    """Registers the decorated function for these types."""

    def register(function: Resolver) -> Resolver:
        for token in tokens:
            if token in _RESOLVERS:
                raise ValueError(f"two resolvers for {token}")
            _RESOLVERS[token] = function
        return function

    return register


def free(reason: str, tokens: Iterable[str]) -> None:
    """Registers types, or whole modules by a token's beginning, that nobody is billed for."""
    for token in tokens:
        _FREE[token] = reason


def resolver_of(token: str) -> Resolver | None:
    """The resolver of a type."""
    return _RESOLVERS.get(normalise(token))


def why_free(token: str) -> str | None:
    """Why a type costs nothing by itself, by the longest beginning that matches; else None."""
    name = normalise(token)
    if _ACCESS.search(name):
        return "identity and access are free"
    best = max((known for known in _FREE if name.startswith(known)), key=len, default=None)
    return None if best is None else _FREE[best]


def known_types() -> tuple[str, ...]:
    """Every type with a resolver, for the documentation."""
    return tuple(sorted(_RESOLVERS))


def free_types() -> dict[str, str]:
    """Every free type or beginning of types, with the reason."""
    return dict(sorted(_FREE.items()))
