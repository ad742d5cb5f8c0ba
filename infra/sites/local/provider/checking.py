"""Typed inputs out of what the engine sends, with every failure at once."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from infra.core.errors import MlscaleError
from infra.sites.local.provider.handler import Failure, Handler, Properties
from infra.sites.local.provider.values import is_unknown


def checked(handler: Handler[Any], news: Properties) -> tuple[Properties, list[Failure]]:
    """The inputs with defaults filled in, and what is wrong with them.

    A property that is not known yet is passed on as it is, and the engine asks again once it is.
    """
    unknown = {name: value for name, value in news.items() if is_unknown(value)}
    known = {name: value for name, value in news.items() if name not in unknown}
    try:
        inputs = handler.inputs.model_validate(known)
    except ValidationError as error:
        wrong = [detail for detail in error.errors() if not _only_unknown(detail, unknown)]
        if wrong:
            return news, [Failure(".".join(map(str, one["loc"])), _reason(one)) for one in wrong]
        filled = known
    else:
        filled = inputs.model_dump(mode="json", exclude_none=True)
    return {**filled, **unknown}, _machine_checks(handler, filled)


def _only_unknown(detail: ErrorDetails, unknown: Properties) -> bool:
    return detail["type"] == "missing" and detail["loc"][0] in unknown


def _machine_checks(handler: Handler[Any], known: Properties) -> list[Failure]:
    try:
        return handler.check(known)
    except MlscaleError as error:
        return [Failure("", str(problem)) for problem in error.problems]


def _reason(detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return "is not a property of this resource type"
    return f"{detail['msg']} (got {detail['input']!r})"
