"""A preview -> money: every resource priced, usage-based, free, or refused with its reason.

from cost.estimate import estimate_file, estimate_stack

result = estimate_file(Path("preview.json"))
result.usd_per_month, result.of(Outcome.REFUSED)
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from cost.estimate.diff import Difference, diff
from cost.estimate.engine import estimate
from cost.estimate.model import Charge, Estimate, Outcome, Priced, Resource
from cost.estimate.preview import Preview, parse, read, run
from cost.estimate.pricebook import PriceBook
from cost.estimate.usage import Usage, read_usage

__all__ = [
    "Charge",
    "Difference",
    "Estimate",
    "Outcome",
    "Preview",
    "PriceBook",
    "Priced",
    "Resource",
    "Usage",
    "diff",
    "estimate",
    "estimate_file",
    "estimate_stack",
    "parse",
    "read",
    "read_usage",
    "run",
]


def estimate_file(
    preview: Path,
    usage: Path | None = None,
    today: date | None = None,
    exact_region: bool = False,
    deployed: bool = False,
) -> Estimate:
    """Price a recorded preview (``pulumi preview --json --show-sames``) or an exported state.

    ``deployed`` prices what the preview found in place, before its changes.
    """
    book = PriceBook(read_usage(usage), today, exact_region)
    return estimate(read(preview, deployed), book)


def estimate_stack(
    stack: str,
    usage: Path | None = None,
    today: date | None = None,
    exact_region: bool = False,
    cwd: Path | None = None,
) -> Estimate:
    """Preview a stack with the engine and price it."""
    book = PriceBook(read_usage(usage), today, exact_region)
    return estimate(parse(run(stack, cwd), stack), book)
