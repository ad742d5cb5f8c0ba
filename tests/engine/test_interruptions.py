"""A training that is disturbed in every way ends in the same bits as one that is not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.stacks import TRAINING_ONLY, Stack, kill, progress_step, stack, when

pytestmark = [pytest.mark.slow, pytest.mark.engine]

_SEED = 20261122
_JOB = "digits-job"


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Stack]]:
    """Two stacks of the local site, side by side."""
    with (
        stack(tmp_path_factory.mktemp("calm"), TRAINING_ONLY) as calm,
        stack(tmp_path_factory.mktemp("rough"), TRAINING_ONLY) as rough,
    ):
        yield calm, rough


@pytest.fixture(scope="module")
def undisturbed(stacks: tuple[Stack, Stack]) -> str:
    """The hash of the weights that nobody disturbed."""
    calm, _ = stacks
    calm.up()
    outputs = calm.resource("TrainingJob")["outputs"]
    assert (outputs["restarts"], outputs["resumed_from_step"]) == (0, 0)
    return str(outputs["weights_sha256"])


def _ranks(found: Stack) -> list[psutil.Process]:
    """The worker processes of the running job: the launcher's grandchildren that train."""
    launcher = found.supervisor.state(_JOB).pid
    if not launcher:
        return []
    children = psutil.Process(launcher).children(recursive=True)
    return [child for child in children if "forkserver" in " ".join(child.cmdline())]


def test_whatever_dies_the_weights_are_the_same_bits(
    stacks: tuple[Stack, Stack], undisturbed: str
) -> None:
    chance = random.Random(_SEED)
    first, second, third = (chance.randint(1, 60) for _ in range(3))
    calm, rough = stacks
    up = rough.start_up()

    when(lambda: progress_step(rough.layout, _JOB) > first, "the first steps")
    youngest = max(_ranks(rough), key=lambda process: process.create_time())
    kill(youngest.pid)

    step = progress_step(rough.layout, _JOB)
    when(lambda: progress_step(rough.layout, _JOB) > step + second, "more steps")
    launcher = rough.supervisor.state(_JOB).pid
    kill(launcher)
    when(lambda: rough.supervisor.state(_JOB).pid not in (0, launcher), "the job again")

    step = progress_step(rough.layout, _JOB)
    when(lambda: progress_step(rough.layout, _JOB) > step + third, "yet more")
    engine = next(child for child in psutil.Process(up.pid).children() if child.name() == "pulumi")
    plugins = engine.children(recursive=True)
    supervisor = rough.supervisor.pid()
    assert supervisor is not None
    kill(engine.pid)
    kill(supervisor)
    assert up.wait(60) == 9
    when(lambda: not any(plugin.is_running() for plugin in plugins), "the end of the plugins", 20)
    when(lambda: not rough.processes(), "the end of everything", 10)
    newest = max(_checkpoints(rough))
    newest.write_bytes(newest.read_bytes()[:100])

    assert calm.processes(), "the other stack goes on"
    rough.up()
    outputs = rough.resource("TrainingJob")["outputs"]
    assert outputs["weights_sha256"] == undisturbed
    assert outputs["resumed_from_step"] > 0
    assert rough.resource("Model")["outputs"]["metrics"]["accuracy"] >= 0.9
    rough.pulumi("preview", "--refresh", "--expect-no-changes")


def test_checkpoints_that_are_all_torn_are_refused_in_preview(
    stacks: tuple[Stack, Stack], undisturbed: str
) -> None:
    calm, _ = stacks
    earlier = set(_checkpoints(calm))
    other = calm.file.read_text(encoding="utf-8").replace(
        "package: digits", "package: digits\n        seed: 2"
    )
    calm.file.write_text(other, encoding="utf-8")
    up = calm.start_up()
    when(lambda: set(_checkpoints(calm)) - earlier, "a checkpoint of the new run")
    supervisor = calm.supervisor.pid()
    assert supervisor is not None
    kill(supervisor)
    said, _ = up.communicate(timeout=60)
    assert up.returncode == 9
    assert "goes on from its last checkpoint" in said

    for checkpoint in set(_checkpoints(calm)) - earlier:
        checkpoint.write_bytes(b"torn")
    refused = calm.pulumi("preview", ok=False)
    assert refused.returncode != 0
    assert "the checkpoint is torn" in refused.stdout + refused.stderr
    assert "to train from the start" in refused.stdout + refused.stderr


def _checkpoints(found: Stack) -> list[Path]:
    return list(found.layout.data(_JOB).glob("work-*/checkpoints/*/step-*.pt"))


def test_destroy_keeps_a_protected_store_and_says_so(
    stacks: tuple[Stack, Stack], undisturbed: str
) -> None:
    _, rough = stacks
    declared = rough.file.read_text(encoding="utf-8")
    kept = declared.replace("{lake: {site: here}}", "{lake: {site: here, protect: true}}")
    rough.file.write_text(kept, encoding="utf-8")
    rough.pulumi("up", "--yes", "--skip-preview")
    done = rough.pulumi("destroy", "--yes", "--skip-preview")
    assert f"store lake is protected: kept in {rough.store}" in done.stdout
    assert rough.processes() == []
    assert not rough.layout.directory.exists()
    outside = [path for path in rough.state.rglob("*") if path.is_file()]
    assert outside
    assert all(path.is_relative_to(rough.store) for path in outside)
