"""The capacity lock ``stacks/capacity.<stack>.yaml``: what was chosen, for what, and with what.

``pulumi up`` reads it, so that the same declaration gives the same machines until somebody sizes
again. It is stale, and refused, when what the stack demands, the catalogue or the method changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.core.errors import DamagedState, Problem, StaleLock

if TYPE_CHECKING:
    from infra.spec import PlatformSpec

FORMAT = 1
_TEXTS = ("stack", "demand_digest", "catalogue_date", "catalogue_digest", "model_version")
_SUBJECTS = ("training", "endpoints", "streams", "pipelines")
_HEADER = (
    "# Written by `mlscale size {stack} --write`; read by `pulumi up`. Don't edit: size again.\n"
)


@dataclass(frozen=True)
class Capacity:
    """What a lock holds: plain data by subject and name (``training.ranker.choice.nodes`` ...)."""

    stack: str
    demand_digest: str
    catalogue_date: str
    catalogue_digest: str
    model_version: str
    training: Mapping[str, Any] = field(default_factory=dict)
    endpoints: Mapping[str, Any] = field(default_factory=dict)
    streams: Mapping[str, Any] = field(default_factory=dict)
    pipelines: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """The mapping that is written, in reading order."""
        return {
            "format": FORMAT,
            "stack": self.stack,
            "demand_digest": self.demand_digest,
            "catalogue_date": self.catalogue_date,
            "catalogue_digest": self.catalogue_digest,
            "model_version": self.model_version,
            **{name: dict(getattr(self, name)) for name in _SUBJECTS},
        }


def path_of(stack: str, root: Path) -> Path:
    """Where the lock of ``stack`` lies."""
    return root / "stacks" / f"capacity.{stack.rpartition('/')[2]}.yaml"


def renewal(stack: str) -> str:
    """The command that makes the lock anew."""
    return f"mlscale size {stack.rpartition('/')[2]} --write"


def demand_digest(spec: PlatformSpec) -> str:
    """SHA-256 of what sizing looks at: sites, work, promises, streams, pipelines, budget.

    Names of owners, releases, monitoring and the like may change without staling the lock.
    """
    data = spec.as_data()
    demand = {
        "environment": data.get("environment"),
        "budget": (data.get("budget") or {}).get("monthly_usd"),
        "sites": _only(data, "sites", ("cloud", "region", "accelerators")),
        "training": _only(
            data, "training", ("sites", "work", "parallelism", "deadline_hours", "preemptible")
        ),
        "endpoints": _only(
            data, "endpoints",
            ("sites", "model", "runtime", "replicas", "scale_to_zero", "slo", "batching"),
        ),
        "streams": _only(
            data, "streams", ("site", "mib_per_second", "partitions", "retention_hours")
        ),
        "pipelines": _only(data, "pipelines", ("site", "engine", "executors", "schedule")),
    }  # fmt: skip
    text = json.dumps(demand, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _only(data: Mapping[str, Any], subject: str, keys: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: {key: value[key] for key in keys if key in value}
        for name, value in (data.get(subject) or {}).items()
    }


def write(capacity: Capacity, root: Path) -> Path:
    """Write the lock whole or not at all; the path."""
    import io

    from ruamel.yaml import YAML

    from cost.sizing.tables import write_text

    yaml = YAML()
    yaml.width = 100
    stream = io.StringIO()
    stream.write(_HEADER.format(stack=capacity.stack))
    yaml.dump(capacity.as_data(), stream)
    path = path_of(capacity.stack, root)
    write_text(path, stream.getvalue())
    return path


def read(stack: str, root: Path, spec_digest: str) -> Capacity | None:
    """The lock of ``stack`` for a declaration whose ``demand_digest`` is ``spec_digest``; None
    when the stack has no lock.

    StaleLock, with the command that renews it, when the declaration's demand, the catalogue or
    the method is not the one that it was made for; DamagedState when it can't be read.
    """
    from cost.catalog.store import catalogue_digest
    from cost.sizing.throughput import shipped_model

    path = path_of(stack, root)
    if not path.is_file():
        return None
    capacity = _parsed(path, stack)
    changed = [
        what
        for what, held, now in (
            ("what the stack asks for", capacity.demand_digest, spec_digest),
            ("the price catalogue", capacity.catalogue_digest, catalogue_digest()),
            ("the sizing model", capacity.model_version, shipped_model().version),
        )
        if held != now
    ]
    if changed:
        raise StaleLock(
            Problem(
                f"the capacity lock is stale: {' and '.join(changed)} changed since it was made",
                file=str(path),
                expected=f"a lock made for this declaration and catalogue (it has prices of "
                f"{capacity.catalogue_date})",
                fix=renewal(stack),
            )
        )
    return capacity


def _parsed(path: Path, stack: str) -> Capacity:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}")
        cells: dict[str, Any] = {name: str(data[name]) for name in _TEXTS}
        cells |= {name: dict(data.get(name) or {}) for name in _SUBJECTS}
        return Capacity(**cells)
    except (OSError, UnicodeDecodeError, YAMLError, KeyError, TypeError, ValueError) as error:
        raise DamagedState(
            Problem(
                f"the capacity lock can't be read: {type(error).__name__}: {error}",
                file=str(path),
                fix=renewal(stack),
            )
        ) from error
