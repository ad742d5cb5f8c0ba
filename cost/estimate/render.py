"""Estimates and differences for people: tables for a terminal, Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from cost import money
from cost.catalog import HOURS_PER_MONTH, catalogue_date
from cost.estimate.diff import Difference
from cost.estimate.local import UNPRICED
from cost.estimate.model import Estimate, Outcome, Priced

if TYPE_CHECKING:
    from rich.console import Console


def usd(amount: Decimal, sign: bool = False) -> str:
    """``1,234.50``, with its sign when asked."""
    return f"{money.to_cents(amount):{'+' if sign else ''},.2f}"


def summary(result: Estimate) -> list[str]:
    """What has to be said of an estimate besides its total."""
    counts = {outcome: len(result.of(outcome)) for outcome in Outcome}
    lines = [
        f"{counts[Outcome.PRICED]} priced, {counts[Outcome.USAGE]} usage-based, "
        f"{counts[Outcome.FREE]} free, {counts[Outcome.REFUSED]} refused; "
        f"a month is {HOURS_PER_MONTH} h; catalogue of {catalogue_date()}"
    ]
    if counts[Outcome.REFUSED]:
        lines.append("the total is a lower bound: what is refused comes on top")
    if result.stale_charges:
        lines.append(f"{result.stale_charges} charges rest on stale prices (marked *)")
    stand_ins = sum("stands in" in line.note for item in result.resources for line in item.charges)
    if stand_ins:
        lines.append(
            f"{stand_ins} charges use another region's price (--exact-region refuses them)"
        )
    lines += [f"{item.resource.name}: {item.reason}" for item in result.resources
              if item.reason == UNPRICED]  # fmt: skip
    lines += [f"usage file: nothing took {name}" for name in result.unused]
    return lines


def _shown(result: Estimate) -> list[Priced]:
    every = [item for item in result.resources if item.outcome is not Outcome.FREE]
    return sorted(every, key=lambda item: (-item.usd_per_month, item.resource.name))


def table(result: Estimate, console: Console) -> None:
    """The estimate as a table with its notes beneath; free resources are counted, not listed."""
    from rich.markup import escape
    from rich.table import Table

    grid = Table(title=f"{result.stack}: {usd(result.usd_per_month)} USD a month")
    for name in ("Resource", "Charge", "Quantity", "USD/unit", "USD/month"):
        grid.add_column(name, justify="left" if name in {"Resource", "Charge"} else "right")
    notes: dict[str, int] = {}
    for item in _shown(result):
        name = escape(item.resource.name)
        for charge in item.charges:
            mark = "*" if charge.stale else ""
            if charge.note:
                mark += f" [{notes.setdefault(charge.note, len(notes) + 1)}]"
            grid.add_row(
                name,
                escape(charge.name),
                f"{charge.quantity.normalize():,f} {charge.unit}",
                f"{charge.usd_per_unit.normalize():f}",
                usd(charge.usd_per_month) + mark,
            )
            name = ""
        if item.outcome is Outcome.REFUSED:
            number = notes.setdefault(item.reason, len(notes) + 1)
            grid.add_row(name, "refused", "", "", f"? [{number}]")
    if grid.row_count:
        console.print(grid, markup=False)
    else:
        console.print(grid.title)
    for note, number in notes.items():
        console.print(f"[{number}] {note}", markup=False)
    for line in summary(result):
        console.print(line, markup=False)


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(header), line(["---"] * len(header)), *map(line, rows)]


def _details(title: str, lines: Sequence[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""]


def markdown(result: Estimate) -> str:
    """The estimate for a pull request or a report; details fold."""
    out = [f"### {result.stack}: {usd(result.usd_per_month)} USD a month", ""]
    out += [f"- {line}" for line in summary(result)] + [""]
    rows = [
        [item.resource.name, charge.name, f"{charge.quantity.normalize():,f} {charge.unit}",
         usd(charge.usd_per_month) + ("*" if charge.stale else ""), charge.note]
        for item in _shown(result) for charge in item.charges
    ]  # fmt: skip
    out += _details(f"{len(rows)} charges", _markdown_table(
        ["Resource", "Charge", "Quantity", "USD a month", "Note"], rows))  # fmt: skip
    out += _refused(result)
    return "\n".join(out)


def _refused(result: Estimate) -> list[str]:
    refused = result.of(Outcome.REFUSED)
    if not refused:
        return []
    rows = [[item.resource.name, item.resource.type, item.reason] for item in refused]
    return _details(
        f"{len(refused)} not priced", _markdown_table(["Resource", "Type", "Why"], rows)
    )


def diff_markdown(found: Difference) -> str:
    """The difference for a pull request: one line, a table of what changed, folded details."""
    delta = found.usd_delta
    percent = ""
    if found.a.usd_per_month:
        percent = f" ({delta / found.a.usd_per_month * 100:+.1f} %)"
    out = [
        f"### Cost: {usd(delta, sign=True)} USD a month{percent}",
        "",
        f"{usd(found.a.usd_per_month)} → {usd(found.b.usd_per_month)} USD a month of "
        f"{HOURS_PER_MONTH} h, {found.a.stack} → {found.b.stack}.",
        "",
    ]
    rows = [
        [change.name, change.kind, usd(change.usd_before), usd(change.usd_after),
         usd(change.usd_delta, sign=True)]
        for change in found.relevant if change.usd_delta or change.kind == "changed"
    ]  # fmt: skip
    if rows:
        header = ["Resource", "Change", "Before", "After", "USD a month"]
        out += _details(f"{len(rows)} resources", _markdown_table(header, rows))
    else:
        out += ["No resource changes its cost.", ""]
    out += _refused(found.b)
    out += [f"- {line}" for line in summary(found.b)]
    return "\n".join(out) + "\n"


def diff_table(found: Difference, console: Console) -> None:
    """The difference as a table."""
    from rich.table import Table

    grid = Table(
        title=f"{found.a.stack} → {found.b.stack}: {usd(found.usd_delta, True)} USD a month"
    )
    for name in ("Resource", "Change", "Before", "After", "USD a month"):
        grid.add_column(name, justify="left" if name in {"Resource", "Change"} else "right")
    for change in found.relevant:
        grid.add_row(change.name, change.kind, usd(change.usd_before), usd(change.usd_after),
                     usd(change.usd_delta, sign=True))  # fmt: skip
    console.print(grid)
    console.print(f"{usd(found.a.usd_per_month)} → {usd(found.b.usd_per_month)} USD a month")
    for line in summary(found.b):
        console.print(line)
