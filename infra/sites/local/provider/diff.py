"""What an update would change: pure, so that it can be tested without an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.sites.local.provider.handler import Handler
from infra.sites.local.provider.values import is_unknown


@dataclass(frozen=True)
class Difference:
    """Names of the properties that change, and of those that force a replacement."""

    changes: tuple[str, ...]
    replaces: tuple[str, ...]


def difference(
    handler: Handler[Any],
    old_inputs: Mapping[str, Any],
    new_inputs: Mapping[str, Any],
    state: Mapping[str, Any],
) -> Difference:
    """Compare inputs; something that a refresh found broken counts as a change too.

    An unknown input counts as changed but never as a replacement: most unknowns turn out equal,
    and a preview that cries replacement is read by nobody.
    """
    names = sorted(set(old_inputs) | set(new_inputs))
    changes = [name for name in names if old_inputs.get(name) != new_inputs.get(name)]
    replaces = [
        name
        for name in changes
        if name in handler.replace_on and not is_unknown(new_inputs.get(name))
    ]
    broken = handler.needs_mending(state)
    if broken is not None:
        changes.append(broken)
    return Difference(tuple(changes), tuple(replaces))
