"""Where a resource runs, in the catalogue's spelling."""

from __future__ import annotations

import re
from typing import Any

from cost.estimate.bill import Stack, is_unknown
from cost.estimate.model import Resource
from cost.estimate.registry import normalise

_ZONE = re.compile(r"^([a-z]+-[a-z]+\d+)-[a-z]$")
_AWS_ZONE = re.compile(r"^([a-z]{2}(?:-[a-z]+)+-\d)[a-z]$")


def cloud_of(token: str) -> str:
    """aws, gcp, azure, or "" for types that belong to no cloud."""
    package = token.split(":", maxsplit=1)[0]
    return {"aws": "aws", "aws-native": "aws", "gcp": "gcp", "azure-native": "azure"}.get(
        package, ""
    )


def to_region(cloud: str, location: str) -> str:
    """A zone's region, and Azure's "East US" as eastus.

    >>> to_region("gcp", "us-central1-a"), to_region("azure", "East US")
    ('us-central1', 'eastus')
    """
    if cloud == "azure":
        return location.replace(" ", "").lower()
    match = (_ZONE if cloud == "gcp" else _AWS_ZONE).fullmatch(location)
    return match.group(1) if match else location


def _known(value: Any) -> str:
    return value if isinstance(value, str) and value and not is_unknown(value) else ""


def _own(cloud: str, resource: Resource) -> str:
    keys = {
        "aws": ("region", "availabilityZone"),
        "gcp": ("location", "region", "zone"),
        "azure": ("location",),
    }[cloud]
    inputs = resource.inputs
    found = next((text for key in keys if (text := _known(inputs.get(key)))), "")
    return to_region(cloud, found) if found else ""


def _provider(cloud: str, resource: Resource, stack: Stack) -> str:
    """The explicit provider's region, else the stack's configuration for default providers."""
    urn = resource.provider.rsplit("::", maxsplit=1)[0]
    explicit = stack.by_urn(urn)
    if explicit is not None and (found := _own(cloud, explicit)):
        return found
    names = {
        "aws": ("aws:region",),
        "gcp": ("gcp:region", "gcp:zone"),
        "azure": ("azure-native:location",),
    }[cloud]
    found = next((text for name in names if (text := _known(stack.config.get(name)))), "")
    return to_region(cloud, found) if found else ""


def region_of(resource: Resource, stack: Stack) -> str:
    """The region of a resource: its own, its provider's, else that of what it depends on."""
    cloud = cloud_of(normalise(resource.type))
    if not cloud:
        return ""
    if found := _own(cloud, resource) or _provider(cloud, resource, stack):
        return found
    for urn in (*resource.dependencies, resource.parent):
        other = stack.by_urn(urn)
        if other is not None and cloud_of(other.type) == cloud and (found := _own(cloud, other)):
            return found
    return ""
