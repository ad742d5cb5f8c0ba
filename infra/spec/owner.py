"""Who answers for a stack: team, cost centre, where to reach them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from infra.spec.base import Also, Spec
from infra.spec.units import MEANINGS, Label

# An address or a page: enough to catch a name put where a contact belongs, RFC 5322 is not meant.
CONTACT_PATTERN = r"^([^@\s]+@[^@\s]+\.[^@\s]+|https://\S+)$"
MEANINGS[CONTACT_PATTERN] = "an e-mail address or an https:// link"


class Owner(Spec):
    """Every resource carries these as tags, and the cost report groups by them."""

    team: Label = Field(description="Team that owns the stack.")
    cost_center: Annotated[Label, Also("cost_centre", "costcenter")] = Field(
        description='Cost centre that is charged; quote it when it is a number: "4711".'
    )
    contact: Annotated[str, StringConstraints(pattern=CONTACT_PATTERN, max_length=254)] = Field(
        description="Whom to call: an e-mail address or an https:// link."
    )
