"""Rules between the subjects of a stack: what is referred to exists, networks don't overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any

from infra.spec.base import Finding, Loc
from infra.spec.links import link_findings
from infra.spec.sites import LOCAL_SERVICES
from infra.spec.suggest import did_you_mean

if TYPE_CHECKING:
    from infra.spec.platform import PlatformSpec

Names = Mapping[str, Set[str]]
Reference = tuple[Loc, str, str]

NAMED = ("sites", "stores", "streams", "pipelines", "training", "endpoints")
_ONE = {
    "sites": "site",
    "stores": "store",
    "streams": "stream",
    "training": "training",
    "endpoints": "endpoint",
}

# Where names of other subjects stand (`*`: each entry), and of which subject.
_REFERENCES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("links", "*", "*"), "sites"),
    (("stores", "*", "site"), "sites"),
    (("streams", "*", "site"), "sites"),
    (("streams", "*", "replay", "training"), "training"),
    (("pipelines", "*", "site"), "sites"),
    (("pipelines", "*", "training"), "training"),
    (("training", "*", "sites", "*"), "sites"),
    (("training", "*", "dataset", "store"), "stores"),
    (("endpoints", "*", "sites", "*"), "sites"),
    (("endpoints", "*", "streaming", "from"), "streams"),
    (("endpoints", "*", "streaming", "store"), "stores"),
    (("monitoring", "drift", "retrain"), "training"),
)
_ATTRIBUTES = {"from": "stream"}


def cross_findings(spec: PlatformSpec, names: Names) -> Iterator[Finding]:
    """Everything that no subject can see alone. ``names`` adds entries that are broken."""
    known = {
        subject: set(getattr(spec, subject)) | set(names.get(subject, ())) for subject in NAMED
    }
    for loc, subject, name in references(spec):
        if name not in known[subject]:
            yield _unknown(loc, subject, name, known[subject])
    yield from link_findings(spec.links)
    yield from _overlaps(spec)
    yield from _datasets(spec)
    yield from _ports(spec, known)
    yield from _tables(spec)


def references(spec: PlatformSpec) -> Iterator[Reference]:
    """Every name that points at another subject: where, which subject, the name."""
    for way, subject in _REFERENCES:
        for loc, name in _follow(spec, way, ()):
            yield loc, subject, name


def _follow(value: Any, way: tuple[str, ...], loc: Loc) -> Iterator[tuple[Loc, Any]]:
    if value is None:
        return
    if not way:
        yield loc, value
    elif way[0] == "*":
        entries = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, entry in entries:
            yield from _follow(entry, way[1:], (*loc, key))
    else:
        attribute = _ATTRIBUTES.get(way[0], way[0])
        yield from _follow(getattr(value, attribute), way[1:], (*loc, way[0]))


def _unknown(loc: Loc, subject: str, name: str, known: Set[str]) -> Finding:
    one = _ONE[subject]
    if not known:
        message = f"there is no {one} `{name}`: the stack declares no {subject}"
        return Finding(loc, message, f"a {one} of this stack", f"declare it under `{subject}`")
    fix = did_you_mean(name, sorted(known)) or f"declare it under `{subject}`"
    return Finding(loc, f"there is no {one} `{name}`", f"one of {', '.join(sorted(known))}", fix)


def _overlaps(spec: PlatformSpec) -> Iterator[Finding]:
    networks = [(name, net) for name, site in spec.sites.items() if (net := site.network())]
    for index, (name, network) in enumerate(networks):
        for other, earlier in networks[:index]:
            if network.overlaps(earlier):
                yield Finding(
                    ("sites", name, "cidr"),
                    f"`{network}` overlaps the network of site `{other}`, {earlier}",
                    "a network that no other site uses",
                )


def _datasets(spec: PlatformSpec) -> Iterator[Finding]:
    for name, stream in spec.streams.items():
        if stream.replay is None:
            continue
        wanted = stream.replay.training
        job = spec.training.get(wanted)
        if job is not None and job.dataset is None:
            yield Finding(
                ("streams", name, "replay", "training"),
                f"training `{wanted}` names no dataset to replay",
                "a training with a `dataset`",
                f"declare `training.{wanted}.dataset`",
            )
    for name, job in spec.training.items():
        if job.dataset is not None:
            path = ("training", name, "dataset", "store")
            yield from _no_tables(spec, path, job.dataset.store)
    for name, endpoint in spec.endpoints.items():
        if endpoint.streaming is not None:
            path = ("endpoints", name, "streaming", "store")
            yield from _no_tables(spec, path, endpoint.streaming.store)


def _no_tables(spec: PlatformSpec, loc: Loc, name: str) -> Iterator[Finding]:
    store = spec.stores.get(name)
    if store is not None and store.table_format == "none":
        yield Finding(
            loc,
            f"store `{name}` has no tables (`table_format: none`)",
            "a store with table_format iceberg or delta",
        )


def _ports(spec: PlatformSpec, known: Names) -> Iterator[Finding]:
    endpoints = known["endpoints"]
    legal = {*endpoints, *LOCAL_SERVICES, *(f"{endpoint}-stream" for endpoint in endpoints)}
    holders: dict[int, str] = {}
    for site_name, site in spec.sites.items():
        for name, port in site.ports.items():
            loc = ("sites", site_name, "ports", name)
            if name not in legal:
                expected = (
                    f"an endpoint, `<endpoint>-stream`, or one of {', '.join(LOCAL_SERVICES)}"
                )
                message = f"nothing called `{name}` has a port"
                yield Finding(loc, message, expected, did_you_mean(name, sorted(legal)))
            holder = holders.setdefault(port, site_name)
            if holder != site_name:
                message = f"port {port} is already given away on site `{holder}`"
                yield Finding(loc, message, "a port of its own: both run on this machine")


def _tables(spec: PlatformSpec) -> Iterator[Finding]:
    datasets = {
        (job.dataset.store, job.dataset.table): name
        for name, job in spec.training.items()
        if job.dataset is not None
    }
    writers: dict[tuple[str, str], str] = {}
    for name, endpoint in spec.endpoints.items():
        if endpoint.streaming is None:
            continue
        table = (endpoint.streaming.store, endpoint.streaming.table)
        owner = writers.setdefault(table, f"endpoint `{name}`")
        if table in datasets:
            owner = f"training `{datasets[table]}`"
        if owner != f"endpoint `{name}`":
            yield Finding(
                ("endpoints", name, "streaming", "table"),
                f"`{table[1]}` in store `{table[0]}` already belongs to {owner}",
                "a table of its own",
            )
