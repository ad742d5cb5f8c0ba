"""What a stack may cost, and what happens when a forecast or the bill goes over."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.spec.base import Also, Spec
from infra.spec.units import Usd


class Budget(Spec):
    """A ceiling for a calendar month, all sites together."""

    monthly_usd: Annotated[Usd, Also("monthly", "month", "limit", "amount")] = Field(
        description="Ceiling for a calendar month, in US dollars."
    )
    when_over: Literal["refuse", "warn", "stop"] = Field(
        default="warn",
        description=(
            "refuse: an `up` whose estimate is over is refused. warn: it is said and done. "
            "stop: as refuse, and preemptible work is stopped when the actual bill is over."
        ),
    )
