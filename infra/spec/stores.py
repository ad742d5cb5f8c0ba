"""Object stores with tables in them, kept or not when the stack goes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.spec.base import Also, Spec
from infra.spec.units import Count, Flag, Name, Number


class OnlineStore(Spec):
    """A low-latency copy of feature tables, for lookups while serving."""

    memory_gib: Annotated[Number, Field(gt=0, le=100_000)] = Field(
        description="Memory that the online copy may take, in GiB."
    )
    replicas: Annotated[Count, Field(ge=1, le=16)] = Field(
        default=1, description="Copies, the first one included."
    )


class Store(Spec):
    """Versioned objects, and tables in the given format."""

    site: Name = Field(description="Site that holds it.")
    table_format: Annotated[Literal["iceberg", "delta", "none"], Also("format")] = Field(
        default="iceberg", description="Format of the tables in it."
    )
    retention_days: Annotated[Count, Field(ge=1, le=36_500), Also("ttl", "keep")] | None = Field(
        default=None, description="Days that an old version is kept; not given: for ever."
    )
    protect: Flag = Field(default=False, description="Survives the destruction of its stack.")
    min_free_gib: Annotated[Number, Field(ge=0, le=1_000_000)] = Field(
        default=1.0,
        description="Space that has to stay free on its disk, in GiB; less stops a step early.",
    )
    shared_files_gib: Annotated[Number, Field(gt=0, le=100_000_000)] | None = Field(
        default=None,
        description="Size of a shared POSIX file system in front of it for training, in GiB.",
    )
    online: OnlineStore | None = Field(
        default=None, description="Online copy of feature tables; not given: none."
    )
