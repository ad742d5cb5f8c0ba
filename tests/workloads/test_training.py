"""Step 2 for real: two processes over gloo, killed in every way, the same bits at the end.

The package ``fragile`` is ``digits`` with a fuse: at a given call of its loss, in a given rank, it kills
itself, raises, or stops its launcher, once. Its code and hyperparameters, and so its weights,
are those of the run that nothing disturbed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.core.errors import BadInput, DamagedState, MlscaleError, Refused
from tests.support.digits_store import digits_store
from tests.support.processes import Process, wait_until
from tests.support.small_disk import can_mount, run_on_small_disk
from tests.support.workload_packages import job_of, progress_of
from workloads.launch.local import launch
from workloads.package import load

EPOCHS = 5
STEPS_PER_EPOCH = 23
STEPS = EPOCHS * STEPS_PER_EPOCH
EVERY = 20
# The trainer throws its first two passes away.
SETTLING = 2

FRAGILE = """\
import json
import os
import signal
from pathlib import Path

from dataclasses import replace

from workloads.packages.digits.model import Served
from workloads.packages.digits.source import read
from workloads.packages.digits.train import define as define_digits


def define(hyperparameters):
    definition = define_digits(hyperparameters)
    fuse = Path(os.environ["MLSCALE_OUTPUT_DIR"]) / "fuse.json"
    calls = 0

    def loss(model, pixels, labels):
        nonlocal calls
        calls += 1
        if fuse.exists():
            plan = json.loads(fuse.read_text())
            if (os.environ["RANK"], calls) == (plan["rank"], plan["call"]):
                if not plan.get("always"):
                    fuse.unlink()
                if plan["what"] == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                elif plan["what"] == "terminate":
                    os.kill(os.getpid(), signal.SIGTERM)
                else:
                    raise ValueError("the fuse blew")
        return definition.loss(model, pixels, labels)

    return replace(definition, loss=loss)
"""


@pytest.fixture(scope="module", autouse=True)
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    root = tmp_path_factory.mktemp("packages")
    folder = root / "fragile"
    folder.mkdir()
    manifest = (load("digits").folder / "workload.yaml").read_text()
    manifest = manifest.replace("name: digits\n", "name: fragile\n", 1)
    manifest = manifest.replace("source:read", "code:read").replace("train:define", "code:define")
    (folder / "workload.yaml").write_text(manifest.replace("model:Served", "code:Served"))
    (folder / "code.py").write_text(FRAGILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLSCALE_PACKAGES_PATH", str(root))
        yield


def request_in(folder: Path, **changes: Any) -> dict[str, Any]:
    store, snapshot_id = digits_store()
    (folder / "out").mkdir(parents=True, exist_ok=True)
    return {
        "package": "fragile",
        "store": str(store),
        "table": "digits",
        "snapshot_id": snapshot_id,
        "processes": 2,
        "hyperparameters": {"epochs": EPOCHS},
        "seed": 7,
        "checkpoint_dir": str(folder / "checkpoints"),
        "output_dir": str(folder / "out"),
        "checkpoint_every_steps": EVERY,
        "max_restarts": 3,
        **changes,
    }


def run(folder: Path, **changes: Any) -> dict[str, Any]:
    return launch(job_of(request_in(folder, **changes), folder))


def lay_fuse(folder: Path, what: str, rank: int, step: int, always: bool = False) -> None:
    """Blow in ``rank`` while 0-based ``step`` of a run from the start is computed."""
    plan = {"what": what, "rank": str(rank), "call": step + 1 + SETTLING, "always": always}
    (folder / "out").mkdir(parents=True, exist_ok=True)
    (folder / "out" / "fuse.json").write_text(json.dumps(plan))


def checkpoints(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted((folder / "checkpoints").glob("*/step-*.pt"), reverse=True)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("reference")
    return folder, run(folder)


def assert_same(result: dict[str, Any], reference: tuple[Path, dict[str, Any]]) -> None:
    expected = reference[1]
    assert result["weights_sha256"] == expected["weights_sha256"]
    assert result["history"] == expected["history"]
    assert result["metrics"] == expected["metrics"]
    assert Path(result["weights"]).read_bytes() == Path(expected["weights"]).read_bytes()


def test_undisturbed(reference: tuple[Path, dict[str, Any]]) -> None:
    folder, result = reference
    assert result["steps"] == STEPS
    assert (result["resumed_from_step"], result["restarts"]) == (0, 0)
    assert result["code_sha256"] == load("fragile").code_sha256
    assert result["hyperparameters"]["epochs"] == EPOCHS
    assert len(result["history"]["loss"]) == EPOCHS
    assert result["history"]["loss"][-1] < result["history"]["loss"][0]
    kept = [int(path.stem.removeprefix("step-")) for path in checkpoints(folder)]
    assert kept == [115, 100, 80]
    assert not list((folder / "checkpoints").glob("*/scratch"))
    lines = progress_of(folder)
    assert lines[-1]["fraction"] == 1.0
    assert f"step {STEPS}/{STEPS}" in lines[-1]["message"]


def test_a_finished_run_is_not_run_again(reference: tuple[Path, dict[str, Any]]) -> None:
    folder, result = reference
    before = len(progress_of(folder))
    assert run(folder) == result
    assert run(folder, checkpoint_every_steps=50, max_restarts=0) == result
    said = progress_of(folder)[before:]
    assert [line["message"] for line in said] == ["already trained"] * 2


def test_lost_or_changed_weights_are_written_again_from_the_last_checkpoint(
    reference: tuple[Path, dict[str, Any]],
) -> None:
    folder, first = reference
    weights = Path(first["weights"])
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    again = run(folder)
    assert again["resumed_from_step"] == STEPS
    assert weights.read_bytes() == content
    assert again["weights_sha256"] == first["weights_sha256"]


@pytest.mark.parametrize("rank", [0, 1])
def test_kill_9_of_one_rank(
    tmp_path: Path, reference: tuple[Path, dict[str, Any]], rank: int
) -> None:
    step = random.Random(rank).randrange(EVERY, STEPS)
    lay_fuse(tmp_path, "kill", rank, step)
    result = run(tmp_path)
    assert result["restarts"] == 1
    assert result["resumed_from_step"] == step // EVERY * EVERY
    assert_same(result, reference)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(40))
def test_any_rank_killed_at_any_step_with_any_interval(
    tmp_path: Path, reference: tuple[Path, dict[str, Any]], seed: int
) -> None:
    dice = random.Random(seed)
    every, rank, step = dice.randint(1, 60), dice.randrange(2), dice.randrange(STEPS)
    lay_fuse(tmp_path, dice.choice(["kill", "raise", "terminate"]), rank, step)
    result = run(tmp_path, checkpoint_every_steps=every)
    assert 0 <= step + 1 - result["resumed_from_step"] <= every
    assert_same(result, reference)


def test_sigterm_to_one_rank_saves_all_at_the_same_step(
    tmp_path: Path, reference: tuple[Path, dict[str, Any]]
) -> None:
    lay_fuse(tmp_path, "terminate", 1, 33)
    result = run(tmp_path)
    assert result["resumed_from_step"] == 34
    assert_same(result, reference)


def test_more_failures_than_allowed_then_a_damaged_checkpoint(
    tmp_path: Path, reference: tuple[Path, dict[str, Any]]
) -> None:
    lay_fuse(tmp_path, "raise", 1, 70)
    with pytest.raises(
        MlscaleError, match=r"failed 1 times; last, rank 1: ValueError: the fuse blew\. Fix"
    ):
        run(tmp_path, max_restarts=0)
    newest, before = checkpoints(tmp_path)[:2]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    result = run(tmp_path)
    assert (before.stem, result["resumed_from_step"]) == ("step-00000040", 40)
    assert_same(result, reference)


def test_all_checkpoints_damaged_is_said_before_anything_starts(tmp_path: Path) -> None:
    lay_fuse(tmp_path, "kill", 0, 50)
    with pytest.raises(MlscaleError, match="killed by signal 9"):
        run(tmp_path, max_restarts=0)
    for path in checkpoints(tmp_path):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DamagedState, match=r"delete .* to train from the start"):
        run(tmp_path)


def test_three_ranks_cut_or_not(tmp_path: Path) -> None:
    """With three ranks the order of a sum shows; two hide it."""
    changes = {"processes": 3, "hyperparameters": {"epochs": 2, "batch_size": 96}}
    uncut = run(tmp_path / "a", **changes)
    lay_fuse(tmp_path / "b", "kill", 2, 17)
    cut = run(tmp_path / "b", checkpoint_every_steps=5, **changes)
    assert cut["resumed_from_step"] == 15
    assert cut["weights_sha256"] == uncut["weights_sha256"]


def test_one_process_and_another_seed(
    tmp_path: Path, reference: tuple[Path, dict[str, Any]]
) -> None:
    hyperparameters = {"epochs": 1}
    one = run(tmp_path, processes=1, hyperparameters=hyperparameters)
    other = run(tmp_path, processes=1, hyperparameters=hyperparameters, seed=8)
    assert other["resumed_from_step"] == 0
    hashes = {one["weights_sha256"], other["weights_sha256"], reference[1]["weights_sha256"]}
    assert len(hashes) == 3


def test_a_second_launcher_is_refused(tmp_path: Path) -> None:
    refused: list[Refused] = []
    done = threading.Event()

    def second() -> None:
        try:
            wait_until(lambda: list((tmp_path / "checkpoints").glob("*/workers.lock")))
            run(tmp_path, hyperparameters={"epochs": 2})
        except Refused as error:
            refused.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=second)
    thread.start()
    run(tmp_path, hyperparameters={"epochs": 2})
    assert done.wait(30)
    thread.join()
    assert f"process {os.getpid()} is already training" in str(refused[0])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"processes": 0}, "processes: 0 does not fit; expected an integer, at least 1"),
        ({"seed": "1"}, "seed: '1' does not fit"),
        ({"checkpoint_every_steps": 0}, "checkpoint_every_steps: 0"),
        ({"max_restarts": -1}, "max_restarts: -1"),
        ({"processes": 3}, "can't be shared evenly by 3 processes"),
        ({"hyperparameters": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"package": "fragil"}, "did you mean 'fragile'"),
        ({"snapshot_id": "12"}, "no snapshot '12'"),
        ({"table": "digit"}, "no table mlscale.digit"),
    ],
)
def test_bad_request(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as refused:
        run(tmp_path, **changes)
    assert says in str(refused.value)


def test_fewer_rows_than_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workloads.launch import inputs

    whole = inputs.split_arrays
    monkeypatch.setattr(
        inputs, "split_arrays", lambda *given: tuple(array[:10] for array in whole(*given))
    )
    with pytest.raises(BadInput, match="10 training rows make no batch of 64"):
        run(tmp_path)


def step_of(folder: Path) -> int:
    for path in (folder / "checkpoints").glob("*/status.json"):
        return int(json.loads(path.read_text())["step"])
    return 0


def start(folder: Path, **changes: Any) -> Process:
    """The step as a program."""
    folder.mkdir(exist_ok=True)
    (folder / "request.json").write_text(json.dumps(request_in(folder, **changes)))
    arguments = [f"--{name}={folder / name}.json" for name in ("request", "result", "progress")]
    command = [sys.executable, "-m", "workloads.launch.local", *arguments]
    return Process(command, folder / "log").start()


def family_of(process: Process) -> list[psutil.Process]:
    """Launcher, fork server, resource tracker and workers."""
    me = psutil.Process()
    (launcher,) = (each for each in me.children() if each.cmdline() == process.command)
    return [launcher, *launcher.children(recursive=True)]


def gone(family: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family)


@pytest.mark.slow
def test_kill_9_of_the_launcher_then_sigterm_then_on(
    tmp_path: Path, reference: tuple[Path, dict[str, Any]]
) -> None:
    first = start(tmp_path)
    wait_until(lambda: step_of(tmp_path) >= EVERY, 120, "a checkpoint")
    family = family_of(first)
    assert len(family) >= 5
    listening = [
        each.laddr.ip
        for member in family
        for each in member.net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}
    sockets = [
        Path(each.laddr).parent
        for member in family
        for each in member.net_connections("unix")
        if each.laddr and "pymp-" in str(each.laddr)
    ]
    assert sockets
    assert all(folder.is_dir() for folder in sockets)
    first.kill()
    wait_until(lambda: gone(family), 20, "the end of every process")
    assert not any(folder.exists() for folder in sockets)
    reached = checkpoints(tmp_path)
    assert reached
    assert not (tmp_path / "result.json").exists()

    for stale in (tmp_path / "checkpoints").glob("*/status.json"):
        stale.unlink()
    second = start(tmp_path)
    restarted_at = int(reached[0].stem.removeprefix("step-"))
    wait_until(lambda: restarted_at < step_of(tmp_path) < STEPS, 120, "a step")
    family = family_of(second)
    assert second.terminate(60) == 143, second.output()
    # The semaphores' tracker outlives the launcher by a moment.
    wait_until(lambda: gone(family), 10, "the end of every process")
    assert not (tmp_path / "result.json").exists()
    stopped = int(checkpoints(tmp_path)[0].stem.removeprefix("step-"))
    assert stopped > restarted_at

    result = run(tmp_path)
    assert result["resumed_from_step"] == stopped
    assert_same(result, reference)


_TRAIN_ON_SMALL_DISK = """
import json, os, sys
from pathlib import Path
from infra.core.errors import MissingTool
from workloads.jobs import Job
from workloads.launch.local import launch
if __name__ == "__main__":
    request = json.loads({request!r})
    try:
        launch(Job(request))
    except MissingTool as error:
        print(error)
    print(sorted(path.name for path in Path({disk!r}).rglob("step-*.pt")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="nobody may mount a small disk here")
def test_disk_full_in_the_middle_keeps_the_last_checkpoint_and_goes_on_after(
    tmp_path: Path, reference: tuple[Path, dict[str, Any]]
) -> None:
    disk = tmp_path / "checkpoints"
    code = _TRAIN_ON_SMALL_DISK.format(request=json.dumps(request_in(tmp_path)), disk=str(disk))
    # Inputs take 0.4 MiB and a checkpoint 0.5 MiB: the second fits, the third doesn't.
    said = run_on_small_disk(disk, code, size="1700k", seconds=200)
    assert "no space left to write" in said
    assert "'step-00000040.pt'" in said
    assert "step-00000060" not in said.splitlines()[-1]


def test_signal_handlers_are_given_back(tmp_path: Path) -> None:
    def mine(*_: object) -> None:
        raise AssertionError("nobody sends this")

    before = signal.signal(signal.SIGHUP, mine)
    try:
        run(tmp_path, processes=1, hyperparameters={"epochs": 1})
        assert signal.getsignal(signal.SIGHUP) is mine
    finally:
        signal.signal(signal.SIGHUP, before)
