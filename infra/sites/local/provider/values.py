"""Between the engine's property structs and plain Python values.

Sentinels and signatures: pulumi sdk/go/common/resource (``UnknownStringValue``, ``SigKey``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf import json_format, struct_pb2

_UNKNOWN_ON_THE_WIRE: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
_SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"


class _Unknown:
    """A value that is not known before an update; there is one of it."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()


def from_struct(struct: struct_pb2.Struct) -> tuple[dict[str, Any], frozenset[str]]:
    """Plain values of ``struct`` and the names of the top-level properties that hold a secret."""
    raw = json_format.MessageToDict(struct)
    secrets = frozenset(name for name, value in raw.items() if _holds_secret(value))
    return {name: _plain(value) for name, value in raw.items()}, secrets


def to_struct(values: Mapping[str, Any], secrets: Iterable[str] = ()) -> struct_pb2.Struct:
    """The reverse: properties named in ``secrets`` are wrapped, so that state holds them encrypted."""
    hidden = frozenset(secrets)
    struct = struct_pb2.Struct()
    for name, value in values.items():
        wire = _wire(value)
        if name in hidden:
            wire = {_SIGNATURE_KEY: _SECRET_SIGNATURE, "value": wire}
        struct.update({name: wire})
    return struct


def is_unknown(value: Any) -> bool:
    """True when ``value`` is, or holds anywhere, something not known yet."""
    if isinstance(value, Mapping):
        return any(map(is_unknown, value.values()))
    if isinstance(value, list):
        return any(map(is_unknown, value))
    return value is UNKNOWN


def _holds_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE_KEY) == _SECRET_SIGNATURE:
            return True
        return any(map(_holds_secret, value.values()))
    return isinstance(value, list) and any(map(_holds_secret, value))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        signature = value.get(_SIGNATURE_KEY)
        if signature == _SECRET_SIGNATURE:
            return _plain(value.get("value"))
        if signature == _OUTPUT_SIGNATURE:
            return _plain(value["value"]) if "value" in value else UNKNOWN
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if value == _UNKNOWN_ON_THE_WIRE:
        return UNKNOWN
    # The wire knows doubles only; a whole one was an integer to whoever wrote it.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _wire(value: Any) -> Any:
    if value is UNKNOWN:
        return _UNKNOWN_ON_THE_WIRE
    if isinstance(value, Mapping):
        return {name: _wire(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_wire(inner) for inner in value]
    return value
