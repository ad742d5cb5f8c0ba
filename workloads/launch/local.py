"""Step 2: train a package on this machine with torch's own elastic launcher.

Request ``{"package", "store", "table", "snapshot_id", "processes", "hyperparameters", "seed",
"checkpoint_dir", "output_dir", "checkpoint_every_steps", "max_restarts"}``, result ``{"weights",
"weights_sha256", "steps", "resumed_from_step", "restarts", "metrics", "history", "code_sha256",
"hyperparameters"}``.

A killed process makes the group start again from its last checkpoint; a killed launcher takes
its processes along, and the next one goes on where they were. What was trained under one
request (package's code, data, hyperparameters, seed, processes) lies in a folder of its own under
``checkpoint_dir``, so that a changed request never goes on from another one's state.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import multiprocessing
import multiprocessing.util
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.core import errors
from infra.core.errors import BadInput, MlscaleError, Problem, Refused
from workloads import jobs
from workloads.data.files import explained_when_full, sha256_of
from workloads.launch.inputs import lay_down
from workloads.package import Package, load
from workloads.training.checkpoint import CheckpointStore
from workloads.training.context import TERMINATED_EXIT_CODE, RunContext
from workloads.training.worker import LAUNCHER_FOLDER_VARIABLE, WORKERS_LOCK_NAME
from workloads.training.worker import run as run_worker

RESULT_NAME = "training.json"
_LAUNCHER_LOCK_NAME = "launcher.lock"
_ORPHANS_SECONDS = 30
_FOLLOW_SECONDS = 0.5
# A worker saves itself after the step at hand; this is for a step and a checkpoint.
_SHUTDOWN_SECONDS = 30
_PRELOADED = (
    "torch",
    "torch.distributed",
    "torch.distributed.elastic.multiprocessing.errors",
    "torch._dynamo",
    "torch.nn.parallel",
    "torch.optim",
    "numpy",
)


@dataclass(frozen=True)
class _Plan:
    """A checked request."""

    package: Package
    request: Mapping[str, Any]
    hyperparameters: Mapping[str, Any]
    fingerprint: str
    context: RunContext

    @property
    def result_path(self) -> Path:
        return self.context.output_dir / RESULT_NAME


def launch(job: jobs.Job) -> dict[str, Any]:
    """Run the step; see the module.

    Raises ``BadInput`` (request), ``Refused`` (another launcher is at it), ``DamagedState`` (no whole
    checkpoint), ``MissingTool`` (disk full), ``MlscaleError`` (more failures than ``max_restarts``).
    """
    plan = _plan(job.request)
    finished = _finished(plan)
    if finished is not None:
        job.progress("already trained", 1.0)
        return finished
    with explained_when_full(plan.context.checkpoint_dir):
        plan.context.checkpoint_dir.mkdir(parents=True, exist_ok=True)
        plan.context.output_dir.mkdir(parents=True, exist_ok=True)
    with _only_launcher(plan.context.checkpoint_dir):
        warm_up()
        found = CheckpointStore(
            plan.context.checkpoint_dir, plan.context.checkpoint_keep
        ).latest_good()
        job.progress(f"going on from step {found.step}" if found else "reading the data")
        with explained_when_full(plan.context.inputs):
            _lay_down(plan)
        job.progress(f"starting {plan.request['processes']} processes")
        outcome = _train(plan, job)
        result = {
            **outcome,
            "code_sha256": plan.package.code_sha256,
            "hyperparameters": dict(plan.hyperparameters),
        }
        seal = {
            "fingerprint": plan.fingerprint,
            "file_sha256": sha256_of(Path(result["weights"])),
            "result": result,
        }
        with explained_when_full(plan.result_path):
            jobs.write_json_atomically(plan.result_path, seal)
    return result


def warm_up() -> None:
    """Start the fork server that worker processes come from; it imports torch while we go on."""
    from multiprocessing import forkserver

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    forkserver.ensure_running()


def _plan(request: Mapping[str, Any]) -> _Plan:
    package = load(request["package"])
    hyperparameters = package.resolve_hyperparameters(request["hyperparameters"])
    _check_numbers(request, hyperparameters)
    asked = {
        name: request[name] for name in ("package", "table", "snapshot_id", "processes", "seed")
    }
    fingerprint = hashlib.sha256(
        json.dumps(
            {**asked, "code_sha256": package.code_sha256, "hyperparameters": hyperparameters},
            sort_keys=True,
        ).encode()
    ).hexdigest()
    folder = Path(request["checkpoint_dir"]).absolute() / fingerprint[:16]
    context = RunContext(
        package=package.name,
        hyperparameters=hyperparameters,
        seed=request["seed"],
        inputs=folder / "inputs.npz",
        checkpoint_dir=folder,
        checkpoint_every_steps=request["checkpoint_every_steps"],
        checkpoint_keep=package.manifest.checkpoint.keep,
        output_dir=Path(request["output_dir"]).absolute(),
        world=request["processes"],
        status=folder / "status.json",
    )
    return _Plan(package, request, hyperparameters, fingerprint, context)


def _check_numbers(request: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> None:
    problems = []
    for name, least in (
        ("processes", 1),
        ("seed", 0),
        ("checkpoint_every_steps", 1),
        ("max_restarts", 0),
    ):
        value = request[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            problems.append(
                Problem(
                    f"{value!r} does not fit", path=name, expected=f"an integer, at least {least}"
                )
            )
    if not problems:
        processes, batch = request["processes"], hyperparameters.get("batch_size", 0)
        if batch % processes:
            problems.append(
                Problem(
                    f"{batch} rows can't be shared evenly by {processes} processes",
                    path="hyperparameters.batch_size",
                    expected=f"a multiple of {processes}",
                )
            )
    if problems:
        raise BadInput(problems)


def _finished(plan: _Plan) -> dict[str, Any] | None:
    """The result of this very request, where it is there and its weights are whole."""
    try:
        seal = json.loads(plan.result_path.read_text(encoding="utf-8"))
        result: dict[str, Any] = seal["result"]
        same = seal["fingerprint"] == plan.fingerprint
        whole = sha256_of(Path(result["weights"])) == seal["file_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result if same and whole else None


@contextlib.contextmanager
def _only_launcher(folder: Path) -> Iterator[None]:
    """Refuse a second launcher beside this one; wait until a killed one's workers are gone.

    The lock is on the folder above: what shares it shares the output too.
    """
    with (folder.parent / _LAUNCHER_LOCK_NAME).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise Refused(
                Problem(
                    f"process {owner} is already training into this folder",
                    file=str(folder.parent),
                    fix="wait for it, or end it; its lock goes with it",
                )
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        _wait_for_orphans(folder)
        yield


def _wait_for_orphans(folder: Path) -> None:
    deadline = time.monotonic() + _ORPHANS_SECONDS
    with (folder / WORKERS_LOCK_NAME).open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Refused(
                        Problem(
                            "processes of an earlier launcher are still training this run",
                            file=str(folder),
                            fix="end them, then run this again",
                        )
                    ) from None
                time.sleep(0.05)
            else:
                return


def _lay_down(plan: _Plan) -> None:
    request = plan.request
    lay_down(
        plan.package,
        Path(request["store"]),
        request["table"],
        request["snapshot_id"],
        plan.context.inputs,
    )


def _train(plan: _Plan, job: jobs.Job) -> dict[str, Any]:
    """Run the worker group to its end under torch's elastic agent; rank 0's outcome."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from workloads.launch import rendezvous

    rendezvous.register()
    with (
        _signals_restored(),
        _scratch(plan.context.checkpoint_dir) as scratch,
        _followed(plan, job),
    ):
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=plan.request["processes"],
            run_id=plan.fingerprint[:16],
            role=plan.package.name,
            rdzv_backend=rendezvous.BACKEND,
            max_restarts=plan.request["max_restarts"],
            start_method="forkserver",
            local_addr="127.0.0.1",
            logs_specs=DefaultLogsSpecs(log_dir=str(scratch)),
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        try:
            returned = elastic_launch(config, run_worker)(
                {
                    **plan.context.environment(),
                    LAUNCHER_FOLDER_VARIABLE: multiprocessing.util.get_temp_dir(),
                }
            )
        except SignalException as stop:
            raise SystemExit(_exit_code(stop.sigval)) from None
        except ChildFailedError as failure:
            raise _explained(failure, plan) from failure
    answers = [returned[rank] for rank in sorted(returned)]
    for answer in answers:
        if "refusal" in answer:
            raise _refusal(answer["refusal"])
    outcome: dict[str, Any] = answers[0]["outcome"]
    return outcome


def _exit_code(number: int) -> int:
    return TERMINATED_EXIT_CODE if number == signal.SIGTERM else 128 + number


def _refusal(answer: Mapping[str, Any]) -> MlscaleError:
    """The error that a worker returned."""
    kind = getattr(errors, answer["kind"], MlscaleError)
    return kind([Problem(**problem) for problem in answer["problems"]])


def _explained(failure: Any, plan: _Plan) -> MlscaleError:
    rank, first = failure.get_first_failure()
    if first.exitcode < 0:
        reason = f"killed by signal {-first.exitcode} ({signal.Signals(-first.exitcode).name})"
    else:
        said = first.message["message"] if isinstance(first.message, dict) else first.message
        reason = str(said).strip().splitlines()[0]
    return MlscaleError(
        Problem(
            f"training failed {plan.request['max_restarts'] + 1} times; last, rank {rank}: {reason}",
            path=plan.package.name,
            fix="see the log for the traceback; the run goes on from its last checkpoint",
        )
    )


@contextlib.contextmanager
def _signals_restored() -> Iterator[None]:
    """Give back the handlers that torch's agent takes, and never returns, on the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for what torch's launcher leaves about, gone at the end and at the next start."""
    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    before = tempfile.tempdir
    tempfile.tempdir = str(scratch)
    try:
        yield scratch
    finally:
        tempfile.tempdir = before
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _followed(plan: _Plan, job: jobs.Job) -> Iterator[None]:
    """Pass rank 0's status on as progress while the block runs."""
    from workloads.training.status import read_status

    path = plan.context.status
    over = threading.Event()
    last = ""

    def follow() -> None:
        nonlocal last
        while True:
            ended = over.wait(_FOLLOW_SECONDS)
            with contextlib.suppress(OSError):
                text = path.read_text(encoding="utf-8") if path else ""
                if text and text != last:
                    last = text
                    job.progress(*read_status(text))
            if ended:
                return

    follower = threading.Thread(target=follow, daemon=True, name="progress")
    if path is not None:
        path.unlink(missing_ok=True)
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join()


def main(argv: list[str] | None = None) -> None:
    """``python -m workloads.launch.local``; SIGTERM before the processes run just ends it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED_EXIT_CODE))
    jobs.main(launch, argv)


if __name__ == "__main__":
    main()
