"""Where a stack runs: cloud regions, own clusters, this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, ip_network
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from infra.spec.base import Also, Finding, Spec
from infra.spec.units import MEANINGS, Count, Name

Cloud = Literal["aws", "gcp", "azure", "onprem", "local"]
PUBLIC_CLOUDS = ("aws", "gcp", "azure")

# Services of a local site whose ports can be fixed, beside endpoints and their streams.
LOCAL_SERVICES = ("broker", "metrics", "tracking", "units")

REGION_PATTERN = "^[a-z][a-z0-9-]{2,31}$"
CIDR_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$"
ACCELERATOR_PATTERN = "^[A-Za-z0-9][A-Za-z0-9-]{0,31}$"
MEANINGS[REGION_PATTERN] = "a region's name as its cloud writes it, such as us-east-1"
MEANINGS[CIDR_PATTERN] = "a private IPv4 network, such as 10.16.0.0/16"
MEANINGS[ACCELERATOR_PATTERN] = "an accelerator's name, such as A100-SXM-80GB"

# RFC 1918: what may be used inside without asking anyone.
_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_SMALLEST_PREFIX, _LARGEST_PREFIX = 8, 28

Port = Annotated[Count, Field(ge=1024, le=65535)]
Accelerator = Annotated[str, StringConstraints(pattern=ACCELERATOR_PATTERN)]

# The same rules for editors, in the JSON Schema.
_BY_CLOUD: dict[str, Any] = {
    "allOf": [
        {
            "if": {"properties": {"cloud": {"enum": list(PUBLIC_CLOUDS)}}, "required": ["cloud"]},
            "then": {"required": ["region", "cidr"]},
            "else": {"properties": {"region": False, "zones": False}},
        },
        {
            "if": {"properties": {"cloud": {"const": "onprem"}}, "required": ["cloud"]},
            "then": {"required": ["cidr"]},
            "else": {"properties": {"accelerators": False, "kube_context": False}},
        },
        {
            "if": {"properties": {"cloud": {"const": "local"}}, "required": ["cloud"]},
            "else": {"properties": {"ports": False}},
        },
    ]
}


class Site(Spec):
    """One place with one network; what it can do is the site's own business."""

    model_config = ConfigDict(json_schema_extra=_BY_CLOUD)

    cloud: Annotated[Cloud, Also("provider", "kind", "type")] = Field(
        description="Which cloud, `onprem` (own clusters) or `local` (this machine)."
    )
    region: Annotated[str, StringConstraints(pattern=REGION_PATTERN), Also("location")] | None = (
        Field(default=None, description="Region; required on aws, gcp, azure, refused elsewhere.")
    )
    cidr: Annotated[str, StringConstraints(pattern=CIDR_PATTERN), Also("network", "vpc")] | None = (
        Field(
            default=None,
            description=(
                "Private IPv4 network of the site (RFC 1918, /8 to /28), overlapping no other "
                "site's. Required except on local."
            ),
        )
    )
    zones: Annotated[Count, Field(ge=1, le=6)] | None = Field(
        default=None, description="Availability zones to spread over; aws, gcp, azure only."
    )
    kube_context: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="Context of the existing cluster in the kubeconfig; onprem only.",
    )
    accelerators: Mapping[Accelerator, Annotated[Count, Field(ge=1, le=1_000_000)]] = Field(
        default_factory=dict,
        description="Accelerators that are there, by type, in devices; onprem only.",
    )
    ports: Mapping[Name, Port] = Field(
        default_factory=dict,
        description=(
            "Fixed ports by endpoint, `<endpoint>-stream` (metrics of what predicts it) or service "
            f"({', '.join(LOCAL_SERVICES)}); what is not named gets a free one. local only."
        ),
    )

    def network(self) -> IPv4Network | None:
        """The site's network, or None on a local site that has none."""
        return None if self.cidr is None else IPv4Network(self.cidr)

    def findings(self, _context: Mapping[str, Any]) -> Iterator[Finding]:
        """Region, network and hardware as the kind of site demands them."""
        yield from self._region_findings()
        yield from self._only_on("onprem", ("accelerators", "kube_context"))
        yield from self._only_on("local", ("ports",))
        if self.cidr is None and self.cloud != "local":
            yield Finding(("cidr",), "`cidr` is missing", MEANINGS[CIDR_PATTERN])
        if self.cidr is not None:
            yield from _network_findings(self.cidr)
        yield from self._port_findings()

    def _region_findings(self) -> Iterator[Finding]:
        if self.cloud in PUBLIC_CLOUDS:
            if self.region is None:
                message = f"`region` is missing: a site on {self.cloud} needs one"
                yield Finding(("region",), message, MEANINGS[REGION_PATTERN])
            return
        for field in ("region", "zones"):
            if getattr(self, field) is not None:
                message = f"a site on {self.cloud} has no `{field}`"
                yield Finding((field,), message, fix=f"remove `{field}`")

    def _only_on(self, cloud: str, fields: tuple[str, ...]) -> Iterator[Finding]:
        for field in fields:
            if getattr(self, field) and self.cloud != cloud:
                message = f"`{field}` is for {cloud} sites, this one is on {self.cloud}"
                yield Finding((field,), message, fix=f"remove `{field}`")

    def _port_findings(self) -> Iterator[Finding]:
        holders: dict[int, str] = {}
        for name, port in self.ports.items():
            holder = holders.setdefault(port, name)
            if holder != name:
                message = f"port {port} is already given to `{holder}`"
                yield Finding(("ports", name), message, "a port of its own", "choose another port")


def _network_findings(cidr: str) -> Iterator[Finding]:
    expected = MEANINGS[CIDR_PATTERN]
    try:
        network = ip_network(cidr)
    except ValueError:
        yield Finding(("cidr",), f"`{cidr}` is no network", expected, _aligned(cidr))
        return
    if not any(network.subnet_of(private) for private in _PRIVATE if network.version == 4):
        ranges = ", ".join(map(str, _PRIVATE))
        yield Finding(("cidr",), f"`{cidr}` is not private", f"a network inside {ranges}")
    elif not _SMALLEST_PREFIX <= network.prefixlen <= _LARGEST_PREFIX:
        yield Finding(("cidr",), f"`{cidr}` is too small", "a prefix from /8 to /28")


def _aligned(cidr: str) -> str | None:
    try:
        return f"write `{ip_network(cidr, strict=False)}`"
    except ValueError:
        return None
