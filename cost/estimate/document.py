"""The generated part of ``docs/estimate.md``: ``python -m cost.estimate.document``."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from cost.catalog.document import markdown_table, with_section
from cost.estimate.engine import load_resolvers
from cost.estimate.registry import free_types, known_types, resolver_of

PAGE = Path(__file__).parents[2] / "docs" / "estimate.md"


def _short(token: str) -> str:
    """``aws:eks/cluster:Cluster`` as ``aws:eks:Cluster``."""
    parts = token.split(":")
    return ":".join([parts[0], parts[1].split("/")[0], *parts[2:]])


def section() -> str:
    """Every type that has a resolver, with what is billed, and everything free with the reason."""
    load_resolvers()
    billed: dict[str, list[str]] = defaultdict(list)
    for token in known_types():
        resolver = resolver_of(token)
        words = (resolver.__doc__ or "").strip().splitlines()[0] if resolver else ""
        billed[words].append(f"`{_short(token)}`")
    rows = sorted((", ".join(tokens), words) for words, tokens in billed.items())
    reasons: dict[str, int] = defaultdict(int)
    for reason in free_types().values():
        reasons[reason] += 1
    return "\n\n".join([
        f"{len(known_types())} types have a resolver:",
        markdown_table(["Type", "What is billed"], rows),
        "Free, by the beginning of their type:",
        markdown_table(["Why", "Entries"], sorted(reasons.items())),
    ])  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), section()), encoding="utf-8")
