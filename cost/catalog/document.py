"""The generated part of ``docs/catalogue.md``: ``python -m cost.catalog.document``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from cost.catalog.model import Offer
from cost.catalog.store import catalogue_date, load_offers, load_services

PAGE = Path(__file__).parents[2] / "docs" / "catalogue.md"
_BEGIN, _END = "<!-- begin generated -->", "<!-- end generated -->"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)


def with_section(page: str, section: str) -> str:
    """The page with its generated part replaced."""
    head, _, rest = page.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    return f"{head}{_BEGIN}\n\n{section}\n\n{_END}{tail}"


def _providers(offers: Iterable[Offer]) -> list[list[object]]:
    groups: dict[str, list[Offer]] = defaultdict(list)
    for row in offers:
        groups[row.provider].append(row)
    return [
        [name, len(rows), len({row.instance_type for row in rows}), len({row.region for row in rows}),
         sum(row.spot_usd_per_hour is not None for row in rows), sum(row.derived for row in rows),
         min(row.as_of for row in rows), max(row.as_of for row in rows)]
        for name, rows in sorted(groups.items())
    ]  # fmt: skip


def section() -> str:
    """What is shipped, counted."""
    offers = load_offers()
    counts = Counter((row.accelerator, row.provider) for row in offers if row.accelerator)
    names = sorted({name for name, _ in counts})
    providers = sorted({row.provider for row in offers})
    services = Counter(row.provider for row in load_services())
    return "\n\n".join([
        f"{len(offers):,} offers and {sum(services.values())} service prices; "
        f"the newest is of {catalogue_date()}.",
        markdown_table(["Provider", "Offers", "Types", "Regions", "With spot", "Derived", "Oldest",
                        "Newest"], _providers(offers)),
        "Service prices: " + ", ".join(f"{name} {services[name]}" for name in providers) + ".",
        markdown_table(["Accelerator", *providers], (
            [name, *(counts[name, provider] or "" for provider in providers)] for name in names)),
    ])  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), section()), encoding="utf-8")
