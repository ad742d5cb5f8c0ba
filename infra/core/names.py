"""Names that are legal wherever they are used, stable, and still readable.

The common ground of the clouds' rules (AWS S3 bucket names, GCP RFC 1035 names, Azure naming rules
and abbreviations, Kubernetes RFC 1123 labels): lower case, digits and single hyphens, beginning
with a letter, not ending with a hyphen, at most 63 characters. Azure's storage accounts and
registries take neither hyphens nor more than 24 characters: ``compact`` is for those.
"""

from __future__ import annotations

import hashlib
import re

_DIGEST_LENGTH = 6


def legal(*parts: str, max_length: int = 63) -> str:
    """Join ``parts`` with hyphens into a legal name of at most ``max_length`` (>= 12) characters.

    What is too long is cut and gets a digest of the whole, so that two long names stay two names.
    """
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
    if not name or not name[0].isalpha():
        name = f"m-{name}".rstrip("-")
    return _cut(name, max_length, "-")


def compact(*parts: str, max_length: int = 24) -> str:
    """The same without hyphens, for Azure's storage accounts and registries."""
    name = re.sub(r"[^a-z0-9]+", "", "".join(parts).lower())
    if not name or not name[0].isalpha():
        name = f"m{name}"
    return _cut(name, max_length, "")


def _cut(name: str, max_length: int, joint: str) -> str:
    if len(name) <= max_length:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    kept = name[: max_length - _DIGEST_LENGTH - len(joint)].rstrip("-")
    return f"{kept}{joint}{digest}"
