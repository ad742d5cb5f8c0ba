"""The one way for a secret to enter: a reference by name, resolved by the engine at run time.

``pulumi.Config.require`` hands a secret on as plain text, into the state and every plan; so
programs of this project read secrets through ``secret`` and nothing else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from infra.core.errors import InvalidStack, Problem
from infra.core.places import PROJECT
from infra.spec.base import Spec

if TYPE_CHECKING:
    import pulumi

SECRET_NAME_PATTERN = "^[A-Za-z][A-Za-z0-9_-]{0,62}$"
SECRET_LOOKING = re.compile(
    r"passw(or)?d|passphrase|secret|credential|private_?key|(access|api|auth)_?key"
    r"|(access|api|auth|bearer|refresh|hf|hub|github|gitlab)_?token",
    re.I,
)


class SecretRef(Spec):
    """Names a secret of the stack; the value never stands in the declaration."""

    secret: Annotated[str, StringConstraints(pattern=SECRET_NAME_PATTERN)] = Field(
        description="Config key of the secret: `pulumi config set --secret mlscale:<name>`."
    )


def set_command(name: str) -> str:
    """The command that stores the secret, encrypted; the value is asked for, not shown."""
    return f"pulumi config set --secret {PROJECT}:{name}"


def plain_secret(name: str, file: str | None = None, line: int | None = None) -> Problem:
    """The secret exists but was stored readable by anyone who has the file."""
    return Problem(
        f"the secret `{name}` is stored in plain text",
        file=file,
        line=line,
        path=f"{PROJECT}:{name}",
        expected="an encrypted value (`secure: ...`)",
        fix=f"run `{set_command(name)}`, and replace the value where it came from: it has leaked",
    )


def missing_secret(
    name: str, file: str | None = None, line: int | None = None, path: str | None = None
) -> Problem:
    """The declaration names a secret that the stack's configuration doesn't have."""
    return Problem(
        f"the secret `{name}` is not set",
        file=file,
        line=line,
        path=path or f"{PROJECT}:{name}",
        expected=f"an encrypted config key `{PROJECT}:{name}`",
        fix=f"run `{set_command(name)}`",
    )


def secret(ref: SecretRef) -> pulumi.Output[str]:
    """The secret as an output that the engine keeps encrypted in state, plan and preview.

    For Pulumi programs only. Raises ``InvalidStack`` where the key is missing or was set
    without ``--secret``.
    """
    import pulumi
    from pulumi.runtime import is_config_secret

    config = pulumi.Config(PROJECT)
    value = config.get_secret(ref.secret)
    if value is None:
        raise InvalidStack(missing_secret(ref.secret))
    if not is_config_secret(config.full_key(ref.secret)):
        raise InvalidStack(plain_secret(ref.secret))
    return value
