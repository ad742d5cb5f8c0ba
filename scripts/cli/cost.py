"""``mlscale cost``: audit and import prices, price a preview, compare two, report what was spent."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli._output import emit

if TYPE_CHECKING:
    from rich.console import Console

    from cost.catalog.audit import Audit
    from cost.estimate import Preview, PriceBook

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

_Json = Annotated[bool, typer.Option("--json", help="Machine-readable, to stdout.")]
_Markdown = Annotated[bool, typer.Option("--markdown", help="Markdown, for a pull request.")]
_UsageFile = Annotated[
    Path | None, typer.Option("--usage", help="Quantities and prices of your own (YAML).")
]
_Today = Annotated[
    datetime | None,
    typer.Option("--today", formats=["%Y-%m-%d"], help="The day that decides what is stale."),
]
_Exact = Annotated[
    bool, typer.Option("--exact-region", help="Refuse instead of using another region's price.")
]


@app.command("audit")
def audit_command(
    file: Annotated[Path | None, typer.Argument(help="A price table (CSV).")] = None,
    shipped: Annotated[bool, typer.Option("--shipped", help="The shipped catalogue.")] = False,
    alone: Annotated[
        bool, typer.Option("--alone", help="Don't use the catalogue as a second source.")
    ] = False,
    today: _Today = None,
    as_json: _Json = False,
) -> None:
    """Refuse rows of a price table that can't be true; exits with 6 when there are any.

    Example: mlscale cost audit prices.csv
    """
    from cost.catalog.audit import audit, shipped_references
    from cost.catalog.prices import read_prices
    from cost.catalog.store import DATA
    from infra.core.errors import BadInput, Refused

    if shipped == (file is not None):
        raise BadInput("give a price table, or --shipped")
    rows = read_prices(file or DATA / "offers.csv")
    second = {} if shipped or alone else shipped_references()
    result = audit(rows, _day(today), second)
    emit(result.as_json(), as_json, lambda console: _audit_table(result, console))
    if result.findings:
        raise typer.Exit(Refused.exit_code)


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None


def _audit_table(result: Audit, console: Console) -> None:
    from rich.table import Table

    if result.findings:
        grid = Table("Line", "Offer", "Gate", "Why")
        for found in result.findings:
            grid.add_row(str(found.line), found.row, found.gate, found.message)
        console.print(grid)
    console.print(f"{result.rows} rows, {len(result.bad_lines)} refused")


@app.command("import")
def import_command(
    source: Annotated[str, typer.Argument(help="aws, azure, gcp or onprem.")],
    out: Annotated[Path, typer.Option("--out", help="Where the table goes (CSV).")],
    region: Annotated[
        list[str] | None, typer.Option("--region", help="Only these regions; repeat it.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A downloaded offer file, or the on-prem file.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option("--api-key", envvar="GOOGLE_API_KEY", help="For gcp.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Fetch list prices from a public API, audit them, and write those that pass.

    Example: mlscale cost import azure --region eastus --out azure.csv
    """
    from cost.catalog.importers import import_prices

    result = import_prices(source, out, regions=tuple(region or ()), file=file, api_key=api_key)
    emit(result.as_json(), as_json, lambda console: console.print(result.in_words()))


def _run(stack: str, cwd: Path | None) -> str:
    """Previews with the engine of this checkout, found as every other verb finds it."""
    import os

    from cost.estimate import run
    from infra.core.places import ROOT
    from scripts.cli.env import engine_environment
    from scripts.tools.engine import executable

    program = executable()
    environment = {**os.environ, **engine_environment()}
    if cwd is not None:  # the program of that revision, not the installed one
        environment["PYTHONPATH"] = os.pathsep.join([str(cwd), environment.get("PYTHONPATH", "")])
    return run(stack, cwd or ROOT, str(program) if program else None, environment)


def _book(usage: Path | None, today: datetime | None, exact_region: bool) -> PriceBook:
    from cost.estimate import PriceBook, read_usage

    return PriceBook(read_usage(usage), _day(today), exact_region)


def _load(side: str) -> Preview:
    from cost.estimate.sources import load

    return load(side, _run)


@app.command("estimate")
def estimate_command(
    *,
    stack: Annotated[
        str | None, typer.Argument(help="A stack, REVISION:STACK, or a recorded preview.")
    ] = None,
    preview: Annotated[
        Path | None, typer.Option("--preview", help="A recorded preview or exported state.")
    ] = None,
    usage: _UsageFile = None,
    today: _Today = None,
    exact_region: _Exact = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 6 when anything is refused.")
    ] = False,
    as_json: _Json = False,
    as_markdown: _Markdown = False,
) -> None:
    """Price what a stack would make, resource by resource; nothing is silently zero.

    Example: mlscale cost estimate prod --usage usage.yaml
    """
    from cost.estimate import Outcome, estimate
    from cost.estimate.render import markdown, table
    from infra.core.errors import BadInput, Problem, Refused

    side = stack or (str(preview) if preview else "")
    if not side or (stack and preview):
        raise BadInput("give a stack, or --preview with a file")
    result = estimate(_load(side), _book(usage, today, exact_region))
    if as_markdown:
        typer.echo(markdown(result))
    else:
        emit(result.as_json(), as_json, lambda console: table(result, console))
    refused = result.of(Outcome.REFUSED)
    if strict and refused and as_json:
        raise typer.Exit(Refused.exit_code)
    if strict and refused:
        raise Refused([Problem(item.reason, path=item.resource.urn) for item in refused])


@app.command("diff")
def diff_command(
    *,
    a: Annotated[str, typer.Argument(help="A stack, REVISION:STACK, a preview, deployed:FILE.")],
    b: Annotated[str, typer.Argument(help="The same, for what comes after.")],
    usage: _UsageFile = None,
    today: _Today = None,
    exact_region: _Exact = False,
    as_json: _Json = False,
    as_markdown: _Markdown = False,
) -> None:
    """What a change costs a month, resource by resource.

    Example: mlscale cost diff main:prod HEAD:prod --markdown
    """
    from cost.estimate import diff, estimate
    from cost.estimate.render import diff_markdown, diff_table

    sides: list[Any] = [estimate(_load(side), _book(usage, today, exact_region)) for side in (a, b)]
    found = diff(*sides)
    if as_markdown:
        typer.echo(diff_markdown(found))
    else:
        emit(found.as_json(), as_json, lambda console: diff_table(found, console))


@app.command("report")
def report_command(  # noqa: PLR0913  one parameter an option
    *,
    bills: Annotated[
        list[str] | None,
        typer.Argument(help="Bills: files, folders or patterns; the folder bills/ unless given."),
    ] = None,
    period: Annotated[str, typer.Option("--period", help="The month, such as 2026-10.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")],
    estimate: Annotated[
        Path | None, typer.Option("--estimate", help="What was planned (cost estimate --json).")
    ] = None,
    budget: Annotated[Path | None, typer.Option("--budget", help="Budgets (JSON).")] = None,
    rates: Annotated[Path | None, typer.Option("--rates", help="Exchange rates (JSON).")] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="How shared cost is allocated (JSON).")
    ] = None,
    units: Annotated[
        Path | None, typer.Option("--units", help="Counts for unit costs (JSON).")
    ] = None,
    currency: Annotated[str, typer.Option("--currency", help="The report's currency.")] = "USD",
    metric: Annotated[
        str, typer.Option("--metric", help="BilledCost or EffectiveCost.")
    ] = "BilledCost",
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of", formats=["%Y-%m-%d"], help="The last day that the bills are complete for."
        ),
    ] = None,
    as_json: _Json = False,
) -> None:
    """What was spent in a month: FOCUS rows, a workbook and a page, against plan and budget.

    Example: mlscale cost report bills/ --period 2026-10 --out report
    """
    from cost.allocation import load_rules
    from cost.budget import read_json
    from cost.report import Options, main_report

    given = load_rules(read_json(rules)) if rules else ()
    options = Options(
        currency=currency, metric=metric, as_of=_day(as_of), rules=tuple(given), units=units
    )
    result = main_report(
        period,
        out,
        sources=bills or ["bills"],
        estimate=estimate,
        budget=budget,
        rates=rates,
        options=options,
    )
    files = {name: str(path) for name, path in result.files.items()}

    def show(console: Console) -> None:
        for path in files.values():
            console.print(path)

    emit({"period": period, "files": files}, as_json, show)
