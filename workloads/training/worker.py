"""One process of a training run: ``python -m workloads.training.worker`` under any launcher.

Set up by the variables of ``workloads.training.context``. SIGTERM means: checkpoint after the step
at hand, then leave with code 143.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from infra.core.errors import MlscaleError
from workloads.package import load
from workloads.training.context import RunContext

WORKERS_LOCK_NAME = "workers.lock"
# Set by the local launcher: its folder for temporary files, to go with it.
LAUNCHER_FOLDER_VARIABLE = "MLSCALE_LAUNCHER_FOLDER"
_CULPRIT_FIRST_SECONDS = 3
_COLLECTIVE_TIMEOUT = timedelta(minutes=10)


def run(variables: Mapping[str, str]) -> dict[str, Any]:
    """What the local launcher runs in each forked process: ``{"outcome"}`` or ``{"refusal"}``.

    A refusal is returned, not raised: no restart can cure it.
    """
    os.environ.update(variables)
    context = RunContext.from_environment()
    lock = _die_with_the_launcher(context.checkpoint_dir)
    try:
        return {"outcome": train(context)}
    except MlscaleError as error:
        problems = [problem.as_json() for problem in error.problems]
        return {"refusal": {"kind": type(error).__name__, "problems": problems}}
    finally:
        lock.close()


def train(context: RunContext) -> dict[str, Any]:
    """Join the other processes, train, and return what ``Trainer.run`` does."""
    import torch.distributed as dist

    from workloads.training.status import StatusFile
    from workloads.training.trainer import Trainer, make_deterministic

    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    make_deterministic(context.seed)
    if context.world > 1:
        # gloo would otherwise listen on the address that the host's name resolves to.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo") if _is_local() else None
        dist.init_process_group("gloo", timeout=_COLLECTIVE_TIMEOUT)
    try:
        package = load(context.package)
        definition = package.entry("train")(
            package.resolve_hyperparameters(context.hyperparameters)
        )
        reports: list[Callable[[Mapping[str, Any]], None]] = [StatusFile(context)]
        if context.metrics_port is not None and context.rank == 0:
            from workloads.training.metrics import MetricsPage

            reports.append(MetricsPage(context.metrics_port))

        def report(status: Mapping[str, Any]) -> None:
            for each in reports:
                each(status)

        return Trainer(context, definition, stop.is_set, report).run()
    except RuntimeError as error:
        if "gloo" in str(error):
            # A peer is gone. Whoever watches us should see that one first, and then stop us.
            stop.wait(_CULPRIT_FIRST_SECONDS)
        raise
    finally:
        if context.world > 1:
            dist.destroy_process_group()
        signal.signal(signal.SIGTERM, before)


def _is_local() -> bool:
    return os.environ.get("MASTER_ADDR") in {"127.0.0.1", "localhost", "::1"}


def _die_with_the_launcher(checkpoint_dir: Path) -> IO[str]:
    """Leave no orphan: be killed when the launcher is, whichever way it ended.

    The fork server is our parent, not the launcher, and it lives as long as we do; so the pipe
    that only the launcher holds is watched. The lock tells the next launcher that we're gone.
    """
    from torch.multiprocessing import _prctl_pr_set_pdeathsig  # type: ignore[attr-defined]

    _prctl_pr_set_pdeathsig(signal.SIGKILL)
    launcher = multiprocessing.parent_process()
    if launcher is not None:

        def watch() -> None:
            multiprocessing.connection.wait([launcher.sentinel])
            # The fork server's socket lies there; its owner had no time to remove it.
            shutil.rmtree(os.environ.get(LAUNCHER_FOLDER_VARIABLE, ""), ignore_errors=True)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=watch, daemon=True, name="launcher-watch").start()
    checkpoint_dir.mkdir(parents=True, exist_ok=True)
    lock = (checkpoint_dir / WORKERS_LOCK_NAME).open("a")
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def main() -> None:
    """The process as a program of its own, under ``torchrun`` or in a container."""
    try:
        train(RunContext.from_environment())
    except MlscaleError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
