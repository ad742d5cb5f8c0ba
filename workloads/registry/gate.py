"""Gates on metrics: ``{"accuracy_min": 0.97, "loss_max": 0.2}``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from infra.core.errors import BadInput, Problem


def broken_bounds(gate: Mapping[str, float], metrics: Mapping[str, float]) -> list[Problem]:
    """One problem for each bound that ``metrics`` breaks; a metric that is no number breaks all.

    Raises ``BadInput`` where a bound names no metric.
    """
    _check_names(gate, metrics)
    broken = []
    for name, bound in gate.items():
        metric, _, side = name.rpartition("_")
        measured = metrics[metric]
        # Written so that NaN, which compares false with everything, doesn't pass.
        holds = measured >= bound if side == "min" else measured <= bound
        if not holds:
            sign = "at least" if side == "min" else "at most"
            broken.append(
                Problem(
                    f"{metric} is {measured:.6g}",
                    path=f"gate.{name}",
                    expected=f"{sign} {bound:g}",
                    fix="train longer or on more data, or lower the gate",
                )
            )
    return broken


def _check_names(gate: Mapping[str, float], metrics: Mapping[str, float]) -> None:
    allowed = [f"{metric}_{side}" for metric in metrics for side in ("min", "max")]
    problems = []
    for name in gate:
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            problems.append(
                Problem(
                    f"the gate {name!r} bounds no metric of this package{hint}",
                    path=f"gate.{name}",
                    expected=f"one of {', '.join(allowed)}",
                )
            )
    if problems:
        raise BadInput(problems)
