"""``mlscale size``: capacity for a stack, and the predictions behind it for tables of questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from scripts.cli._output import emit

if TYPE_CHECKING:
    from rich.console import Console

    from cost.sizing.lock import Capacity
    from cost.sizing.tables import Row

_Json = Annotated[bool, typer.Option("--json", help="Machine-readable, to stdout.")]
_Out = Annotated[Path | None, typer.Option("--out", help="Write the answers here (CSV).")]


class _StackByDefault(TyperGroup):
    """``mlscale size prod`` is ``mlscale size stack prod``; the commands go first."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["stack", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", cls=_StackByDefault)


@app.command("stack")
def stack_command(
    stack: Annotated[str, typer.Argument(help="The stack, as in stacks/Pulumi.<stack>.yaml.")],
    write: Annotated[
        bool, typer.Option("--write", help="Write stacks/capacity.<stack>.yaml.")
    ] = False,
    measured: Annotated[
        Path | None,
        typer.Option("--measured", help="What has run (CSV, or a Prometheus answer as .json)."),
    ] = None,
    root: Annotated[Path, typer.Option("--root", help="Folder with stacks/.")] = Path(),
    as_json: _Json = False,
) -> None:
    """Size everything that a stack declares, and say why. `stack` may be left out.

    Example: mlscale size prod --write
    """
    from cost.sizing import lock
    from cost.sizing.stack import size_stack
    from infra.spec import load

    capacity = size_stack(stack, load(stack, root), measured)
    path = lock.write(capacity, root) if write else None
    emit(capacity.as_data(), as_json, lambda console: _show(capacity, path, console))


def _show(capacity: Capacity, path: Path | None, console: Console) -> None:
    for subject in ("training", "endpoints", "streams", "pipelines"):
        for name, answer in getattr(capacity, subject).items():
            console.print(f"{subject} {name}", style="bold")
            _show_answer(answer, console)
    console.print(f"Prices up to {capacity.catalogue_date}, model {capacity.model_version}.")
    if path is not None:
        console.print(f"Written to {path}")


def _show_answer(answer: Any, console: Console) -> None:
    if "sites" in answer:
        for site, there in answer["sites"].items():
            console.print(f"  on {site}")
            _show_answer(there, console)
        return
    for reason in answer.get("reasons", ()):
        console.print(f"  - {reason}", markup=False)
    if "choice" not in answer:
        shown = ", ".join(f"{key} {value}" for key, value in answer.items() if key != "reasons")
        console.print(f"  {shown}", markup=False)


@app.command("predict")
def predict_command(
    source: Annotated[Path, typer.Option("--in", help="Rows of training configurations (CSV).")],
    out: _Out = None,
    as_json: _Json = False,
) -> None:
    """Tokens a second, memory and fit for rows of training configurations.

    The columns are those of published tables; result columns are never read.

    Example: mlscale size predict --in rows.csv --out predicted.csv
    """
    from cost.sizing.tables import read_table
    from cost.sizing.throughput import predict_throughput

    rows = read_table(source, ("accelerator", "n_accelerators", "params"))
    answers = [
        {
            "tokens_per_s": _short(one.tokens_per_s),
            "low": _short(one.low),
            "high": _short(one.high),
            "memory_gib": _short(one.memory_gib),
            "fits": one.fits,
            "prediction_note": one.note,
        }
        for one in predict_throughput(rows)
    ]
    _answer(rows, answers, out, as_json)


@app.command("time-to-target")
def time_to_target_command(
    known: Annotated[Path, typer.Option("--known", help="Runs with their minutes (CSV).")],
    ask: Annotated[Path, typer.Option("--ask", help="Configurations in question (CSV).")],
    out: _Out = None,
    as_json: _Json = False,
) -> None:
    """Minutes to the target quality on other counts and accelerators, from runs that are known.

    Example: mlscale size time-to-target --known known.csv --ask ask.csv --out minutes.csv
    """
    from cost.sizing.tables import read_table
    from cost.sizing.target import predict_minutes

    runs = read_table(known, ("workload", "accelerator", "n_accelerators", "minutes"))
    rows = read_table(ask, ("workload", "accelerator", "n_accelerators"))
    answers = [
        {
            "minutes": _short(one.minutes),
            "low": _short(one.low),
            "high": _short(one.high),
            "assumed_global_batch": _short(one.global_batch),
            "prediction_note": one.note,
        }
        for one in predict_minutes(runs, rows)
    ]
    _answer(rows, answers, out, as_json)


@app.command("serving")
def serving_command(
    calibrate: Annotated[Path, typer.Option("--calibrate", help="Results with their value (CSV).")],
    ask: Annotated[Path, typer.Option("--ask", help="Models and accelerators in question (CSV).")],
    out: _Out = None,
    as_json: _Json = False,
) -> None:
    """Samples or tokens a second of served models on other accelerators.

    Example: mlscale size serving --calibrate h100.csv --ask others.csv --out served.csv
    """
    from cost.sizing.serving import predict_serving
    from cost.sizing.tables import read_table

    known = read_table(calibrate, ("model", "accelerator", "value"))
    rows = read_table(ask, ("model", "accelerator"))
    answers = [
        {
            "value": _short(one.value),
            "low": _short(one.low),
            "high": _short(one.high),
            "prediction_note": one.note,
        }
        for one in predict_serving(known, rows)
    ]
    _answer(rows, answers, out, as_json)


@app.command("rank")
def rank_command(
    source: Annotated[Path, typer.Option("--in", help="Candidates: workload, type, nodes (CSV).")],
    known: Annotated[
        Path | None, typer.Option("--known", help="Runs with their minutes (CSV).")
    ] = None,
    out: _Out = None,
    as_json: _Json = False,
) -> None:
    """Order (instance type, nodes) for a workload by cost and by time.

    Of the candidates, only a filled `minutes` cell counts as known; cost columns are never read.

    Example: mlscale size rank --in candidates.csv --known small-runs.csv
    """
    from cost.sizing.ranking import rank_candidates
    from cost.sizing.tables import read_table

    rows = read_table(source, ("workload", "nodes"))
    runs = read_table(known, ("workload", "minutes")) if known else []
    answers = [
        {
            "minutes": _short(one.minutes),
            "low": _short(one.low),
            "high": _short(one.high),
            "usd_per_hour": one.usd_per_hour,
            "usd": one.usd,
            "rank_by_cost": one.rank_by_cost,
            "rank_by_time": one.rank_by_time,
            "prediction_note": one.note,
        }
        for one in rank_candidates(rows, runs)
    ]
    order = sorted(
        range(len(rows)),
        key=lambda i: (rows[i].text("workload"), answers[i]["rank_by_cost"] or len(rows) + 1),
    )
    _answer([rows[i] for i in order], [answers[i] for i in order], out, as_json)


@app.command("plan")
def plan_command(
    *,
    parameters: Annotated[float, typer.Option(help="Parameters of the model.")],
    tokens: Annotated[float, typer.Option(help="Tokens to train on, all epochs.")],
    sequence_length: Annotated[int, typer.Option(help="Tokens of a sequence.")] = 2048,
    precision: Annotated[str, typer.Option(help="bf16, fp16, fp8, tf32 or fp32.")] = "bf16",
    deadline_hours: Annotated[float, typer.Option(help="0: none.")] = 0.0,
    budget_usd: Annotated[float, typer.Option(help="0: none.")] = 0.0,
    spot: Annotated[bool, typer.Option(help="Allow capacity that can be taken away.")] = False,
    as_json: _Json = False,
) -> None:
    """Plan a training run that no stack declares, over the whole catalogue.

    Example: mlscale size plan --parameters 7e9 --tokens 2e10 --deadline-hours 24 --spot
    """
    from cost.sizing.planner import TrainingWork, plan_training
    from cost.sizing.stack import choice_data

    plan = plan_training(
        TrainingWork(
            parameters, tokens, sequence_length, precision=precision,
            deadline_hours=deadline_hours, budget_usd=budget_usd, spot=spot,
        )
    )  # fmt: skip
    value = {
        "choice": choice_data(plan.choice),
        "meets_deadline": plan.meets_deadline,
        "within_budget": plan.within_budget,
        "reasons": list(plan.reasons),
        "front": [choice_data(one) for one in plan.front],
    }
    emit(
        value,
        as_json,
        lambda console: _show_answer({"reasons": plan.reasons, "choice": 1}, console),
    )


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _answer(
    rows: Sequence[Row], answers: Sequence[dict[str, Any]], out: Path | None, as_json: bool
) -> None:
    """The rows with their answers: to a file, as JSON, or as a table."""
    from cost.sizing.tables import write_table

    joined = [{**row.cells, **answer} for row, answer in zip(rows, answers, strict=True)]
    columns = list(dict.fromkeys(key for row in joined for key in row))
    if out is not None:
        write_table(out, columns, [[row.get(column) for column in columns] for row in joined])
    value = {"rows": len(joined), "out": str(out)} if out is not None else joined
    emit(value, as_json, lambda console: _table(joined, answers, out, console))


def _table(
    joined: Sequence[dict[str, Any]],
    answers: Sequence[dict[str, Any]],
    out: Path | None,
    console: Console,
) -> None:
    from rich.table import Table

    if out is not None:
        console.print(f"{len(joined)} rows written to {out}")
        return
    asked = ("workload", "model", "scenario", "instance_type", "cloud_instance_equivalent",
             "accelerator", "n_accelerators", "nodes")  # fmt: skip
    shown = [name for name in asked if any(row.get(name) for row in joined)]
    unanswered = any("no answer" in str(row["prediction_note"]) for row in answers)
    if answers:
        shown += [name for name in answers[0] if unanswered or name != "prediction_note"]
    grid = Table()
    for name in shown:  # a figure that is cut off would be another figure
        grid.add_column(name, overflow="fold")
    for row in joined:
        grid.add_row(*("" if row.get(name) is None else str(row[name]) for name in shown))
    console.print(grid)
