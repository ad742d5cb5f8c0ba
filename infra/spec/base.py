"""What every subject of a stack shares: frozen models that refuse what they don't know.

A model says its own cross-field rules in ``findings``; the base runs them after the fields are
valid and hands all of them to pydantic at once, each at the place that it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

RULE_ERROR = "mlscale_rule"
Loc = tuple[str | int, ...]


@dataclass(frozen=True)
class Finding:
    """A broken rule: where (relative to the model), what, what was expected, what to do."""

    loc: Loc
    message: str
    expected: str | None = None
    fix: str | None = None

    def as_error(self) -> InitErrorDetails:
        """The same, in the shape that pydantic merges with its own errors."""
        context = {"message": self.message, "expected": self.expected, "fix": self.fix}
        error = PydanticCustomError(RULE_ERROR, "{message}", context)
        return InitErrorDetails(type=error, loc=self.loc, input=None)


@dataclass(frozen=True)
class Also:
    """Other words that people use for a field, for the "did you mean" of an unknown key."""

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)


class Spec(BaseModel):
    """Base of every model in a stack: immutable, closed, no number that isn't finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, serialize_by_alias=True
    )

    def findings(self, _context: Mapping[str, Any]) -> Iterator[Finding]:
        """Cross-field rules that this declaration breaks; ``_context`` comes from the loader."""
        return iter(())

    @model_validator(mode="after")
    def _hold_to_the_rules(self, info: ValidationInfo) -> Self:
        found = [finding.as_error() for finding in self.findings(info.context or {})]
        if found:
            raise ValidationError.from_exception_data(type(self).__name__, found)
        return self
