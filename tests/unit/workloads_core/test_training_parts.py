"""The pieces of the trainer that need no second process."""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.core.errors import BadInput, DamagedState
from tests.support.digits_store import digits_store
from workloads.launch.inputs import lay_down, split_arrays
from workloads.package import load
from workloads.training import worker
from workloads.training.context import RunContext
from workloads.training.metrics import MetricsPage
from workloads.training.sampler import BatchOrder
from workloads.training.status import StatusFile, read_status
from workloads.training.weights import load_weights, save_weights, weights_sha256


def context_in(folder: Path, **changes: Any) -> RunContext:
    values: dict[str, Any] = {
        "package": "digits",
        "hyperparameters": {"epochs": 1},
        "seed": 1,
        "inputs": folder / "inputs.npz",
        "checkpoint_dir": folder / "checkpoints",
        "checkpoint_every_steps": 10,
        "checkpoint_keep": 2,
        "output_dir": folder / "out",
        **changes,
    }
    return RunContext(**values)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.integers(1, 60),
    batch=st.integers(1, 12),
    world=st.sampled_from([1, 2, 3]),
    seed=st.integers(0, 2**31),
)
def test_an_epoch_shows_each_row_at_most_once_to_one_rank(
    rows: int, batch: int, world: int, seed: int
) -> None:
    order = BatchOrder(rows, batch * world, seed)
    assert order.steps_per_epoch == rows // (batch * world)
    for epoch in range(2):
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        shown = [
            row
            for step in steps
            for rank in range(world)
            for row in order.indices(step, rank, world).tolist()
        ]
        assert len(shown) == len(set(shown)) == order.steps_per_epoch * batch * world
        assert all(0 <= row < rows for row in shown)


def test_the_order_depends_on_seed_and_step_alone() -> None:
    late = BatchOrder(100, 10, 3)
    early = BatchOrder(100, 10, 3)
    for step in range(15):
        early.indices(step, 0, 1)
    assert torch.equal(late.indices(14, 0, 2), early.indices(14, 0, 1)[::2])
    assert not torch.equal(late.indices(4, 0, 1), late.indices(14, 0, 1))
    assert not torch.equal(BatchOrder(100, 10, 4).indices(14, 0, 1), late.indices(14, 0, 1))


def test_weights_hash_speaks_of_numbers_names_types_and_shapes() -> None:
    base = {"a": torch.arange(4.0), "b": torch.tensor(1)}
    same = {"b": torch.tensor(1), "a": torch.arange(8.0)[:4]}
    assert weights_sha256(base) == weights_sha256(same)
    others = [
        {**base, "a": torch.arange(4.0).reshape(2, 2)},
        {**base, "a": torch.arange(4.0).double()},
        {"c": base["a"], "b": base["b"]},
        {**base, "b": torch.tensor(2)},
    ]
    assert len({weights_sha256(each) for each in [base, *others]}) == 5


def test_weights_are_checked_when_read(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    digest = save_weights({"a": torch.ones(100, 100)}, path)
    assert torch.equal(load_weights(path, digest)["a"], torch.ones(100, 100))
    with pytest.raises(DamagedState, match="other ones than expected"):
        load_weights(path, "0" * 64)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DamagedState, match="unreadable"):
        load_weights(path, digest)


def test_the_environment_says_it_all(tmp_path: Path) -> None:
    context = context_in(tmp_path, status=tmp_path / "status", metrics_port=9100)
    assert RunContext.from_environment(context.environment()) == context
    ranked = {**context.environment(), "RANK": "1", "WORLD_SIZE": "2"}
    assert (RunContext.from_environment(ranked).rank, context.world) == (1, 1)


def test_every_bad_variable_at_once(tmp_path: Path) -> None:
    variables = {**context_in(tmp_path).environment(), "MLSCALE_SEED": "x", "RANK": ""}
    variables["MLSCALE_HYPERPARAMETERS"] = "{"
    del variables["MLSCALE_CHECKPOINT_DIR"]
    with pytest.raises(BadInput) as refused:
        RunContext.from_environment(variables)
    said = {problem.path: problem.expected for problem in refused.value.problems}
    assert said == {
        "MLSCALE_SEED": "an integer",
        "RANK": "an integer",
        "MLSCALE_HYPERPARAMETERS": "JSON",
        "MLSCALE_CHECKPOINT_DIR": None,
    }


def test_status_is_throttled_but_the_end_is_told(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    report = StatusFile(context_in(tmp_path, status=path))
    status = {"step": 1, "steps": 3, "epoch": 1, "epochs": 1, "loss": 0.5}
    report(status)
    report({**status, "step": 2})
    assert json.loads(path.read_text())["step"] == 1
    report({**status, "step": 3})
    assert read_status(path.read_text()) == ("epoch 1/1, step 3/3, loss 0.5000", 1.0)
    StatusFile(context_in(tmp_path))(status)


def test_metrics_page() -> None:
    page = MetricsPage(0)
    try:
        page({"step": 7, "steps": 10, "epoch": 1, "epochs": 2, "loss": 0.25})
        url = f"http://127.0.0.1:{page.port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
    finally:
        page.close()
    assert re.search(r"^mlscale_training_step 7\.0$", text, re.MULTILINE)
    assert re.search(r"^mlscale_training_loss 0\.25$", text, re.MULTILINE)


def test_inputs_are_laid_down_once_and_mended(tmp_path: Path) -> None:
    store, snapshot_id = digits_store()
    package, path = load("digits"), tmp_path / "inputs.npz"
    lay_down(package, store, "digits", snapshot_id, path)
    first = path.stat().st_mtime_ns
    lay_down(package, store, "digits", snapshot_id, path)
    assert path.stat().st_mtime_ns == first
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    lay_down(package, store, "digits", snapshot_id, path)
    assert path.read_bytes() == content
    with np.load(path) as arrays:
        assert arrays["features"].dtype == np.float32
        train = arrays["features"]
    test, labels = split_arrays(package, store, "digits", snapshot_id, "test")
    assert len(train) + len(test) == 1797
    assert set(labels) == set(range(10))
    seen = {row.tobytes() for row in train}
    assert not seen & {row.tobytes() for row in test}
    with pytest.raises(BadInput, match="has no validation rows"):
        split_arrays(package, store, "digits", snapshot_id, "validation")


def test_the_worker_as_a_program_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, snapshot_id = digits_store()
    context = context_in(tmp_path)
    lay_down(load("digits"), store, "digits", snapshot_id, context.inputs)
    for name, value in context.environment().items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)
    worker.main()
    assert signal.getsignal(signal.SIGTERM) is before
    weights = torch.load(tmp_path / "out" / "weights.pt", weights_only=True)
    assert "features.0.weight" in weights

    monkeypatch.setenv("MLSCALE_SEED", "x")
    with pytest.raises(SystemExit) as left:
        worker.main()
    assert left.value.code == BadInput.exit_code
    assert "MLSCALE_SEED" in capsys.readouterr().err
