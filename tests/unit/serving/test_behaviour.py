"""Batches, overload, metrics, odd clients: how the server behaves with many callers."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.onnx_models import mlp
from tests.support.serving import running_server, server_config
from tests.unit.serving.conftest import Served, model, pixels, reference, v2_body, write_lookup
from workloads.serving.batching import Batcher, OverloadedError
from workloads.serving.config import Batching
from workloads.serving.metrics import Histogram
from workloads.serving.model import InferenceError
from workloads.serving.tensors import Array, RequestError

INFER = "/v2/models/digits/infer"


@pytest.mark.parametrize("mode", ["loop", "thread"])
def test_every_caller_gets_its_own_rows(tmp_path: Path, mode: str) -> None:
    config = server_config(
        model("digits", "1", tmp_path / "d", mlp(tmp_path / "d"), batching={"mode": mode})
    )
    everyone = [pixels(1 + number % 4, seed=number) for number in range(96)]
    with running_server(config) as (_, client), ThreadPoolExecutor(16) as threads:

        def ask(values: np.ndarray) -> list[int]:
            answer = client.post(INFER, json=v2_body(values))
            found: list[int] = answer.json()["outputs"][0]["data"]
            return found

        answers = list(threads.map(ask, everyone))
        page = client.get("/metrics").text
    for values, labels in zip(everyone, answers, strict=True):
        assert labels == reference(tmp_path / "d", values)[0].tolist()
    samples = _samples(page)
    rows = sum(len(values) for values in everyone)
    assert samples["mlscale_inference_batch_rows_sum"] == rows
    assert samples["mlscale_prediction_score_count"] == rows
    assert samples["mlscale_predicted_class_total"] == rows


def _samples(page: str) -> dict[str, float]:
    """Sums of all samples by name, parsed by Prometheus' own client."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def test_metrics_count_by_version_and_outcome(tmp_path: Path) -> None:
    sha256 = mlp(tmp_path / "d")
    config = server_config(*(model("digits", each, tmp_path / "d", sha256) for each in "12"))
    with running_server(config) as (_, client):
        for _ in range(3):
            client.post(INFER, json=v2_body(pixels()))
        client.post("/v2/models/digits/versions/1/infer", content=b"nonsense")
        page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    requests = {
        (sample.labels["version"], sample.labels["outcome"]): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
        if sample.name == "mlscale_inference_requests_total"
    }
    assert requests["2", "ok"] == 3
    assert requests["1", "bad_request"] == 1
    assert sum(requests.values()) == 4
    assert 'mlscale_inference_queue_requests{model="digits",version="2"} 0' in page.text
    assert 'code_sha256="c0de"' in page.text


def test_a_histogram_counts_arrays_as_it_counts_one_by_one() -> None:
    values = np.array([0.0, 0.05, 0.051, 1.0, 3.0])
    single, together = Histogram((0.05, 0.1, 1.0)), Histogram((0.05, 0.1, 1.0))
    for value in values:
        single.observe(float(value))
    together.observe_all(np.append(values, [np.nan, np.inf]))
    assert (single.counts, single.total) == (together.counts, together.total)
    assert list(single.lines("h", "")) == list(together.lines("h", ""))


class _Slow:
    """A model whose run waits for ``go``; ``poison`` rows fail a run that holds them."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.go = threading.Event()
        self._begun = threading.Event()
        self.sizes: list[int] = []
        self._seconds = seconds

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        values = inputs["x"]
        self.sizes.append(len(values))
        self._begun.set()
        assert self.go.wait(10)
        if np.isnan(values).any():
            raise InferenceError("poison")
        if (values < 0).any():
            raise RequestError("negative")
        if (values > 1e6).any():
            raise MemoryError("too large")
        return {"y": values * 2}

    def seconds(self, rows: int) -> float:
        return self._seconds * rows

    async def begun(self) -> None:
        """Wait for the first run."""
        assert await asyncio.to_thread(self._begun.wait, 10)


def _row(value: float) -> dict[str, Array]:
    return {"x": np.array([[value]])}


def _batcher(slow: _Slow, seen: list[int] | None = None, **changes: Any) -> Batcher:
    runs = seen if seen is not None else []
    return Batcher(slow, Batching(**changes), True, lambda rows, _: runs.append(rows))


def test_what_queued_while_busy_is_the_next_batch() -> None:
    slow, seen = _Slow(), list[int]()
    batcher = _batcher(slow, seen, max_batch_rows=4)
    assert batcher.mode == "thread"

    async def scenario() -> list[dict[str, Array]]:
        first = asyncio.create_task(batcher.submit(_row(0), 1))
        await slow.begun()
        others = [asyncio.create_task(batcher.submit(_row(each), 1)) for each in range(1, 7)]
        await asyncio.sleep(0)
        others[1].cancel()
        slow.go.set()
        results = await asyncio.gather(first, *others, return_exceptions=True)
        return [result for result in results if isinstance(result, dict)]

    values = [result["y"].item() for result in asyncio.run(scenario())]
    batcher.close()
    assert values == [0, 2, 6, 8, 10, 12]
    assert slow.sizes == seen == [1, 4, 1]


def test_a_poisoned_neighbour_costs_nobody_else() -> None:
    slow = _Slow()
    batcher = _batcher(slow)
    slow.go.set()

    async def scenario() -> list[Any]:
        tasks = [batcher.submit(_row(each), 1) for each in (1, float("nan"), -1, 4)]
        return await asyncio.gather(*tasks, return_exceptions=True)

    one, poison, negative, four = asyncio.run(scenario())
    assert (one["y"].item(), four["y"].item()) == (2, 8)
    assert isinstance(poison, InferenceError)
    assert isinstance(negative, RequestError)

    async def out_of_memory() -> list[Any]:
        failed = await asyncio.gather(batcher.submit(_row(1e9), 1), return_exceptions=True)
        return [*failed, await batcher.submit(_row(1), 1)]

    failed, fine = asyncio.run(out_of_memory())
    assert "MemoryError" in str(failed)
    assert fine["y"].item() == 2
    batcher.close()


def test_a_full_queue_is_429_with_a_time_to_come_back() -> None:
    slow = _Slow(seconds=3)
    batcher = _batcher(slow, queue_limit=2)

    async def scenario() -> OverloadedError:
        tasks = [asyncio.create_task(batcher.submit(_row(0), 1))]
        await slow.begun()
        tasks += [asyncio.create_task(batcher.submit(_row(0), 1)) for _ in range(2)]
        await asyncio.sleep(0)
        assert batcher.waiting == 2
        with pytest.raises(OverloadedError) as caught:
            await batcher.submit(_row(0), 1)
        slow.go.set()
        await asyncio.gather(*tasks)
        return caught.value

    error = asyncio.run(scenario())
    batcher.close()
    assert (error.status, error.retry_after_seconds) == (429, 6)


def test_a_cheap_model_batches_within_its_time_budget() -> None:
    cheap = _Slow(seconds=1e-4)
    batcher = _batcher(cheap)
    cheap.go.set()
    assert batcher.mode == "loop"

    async def scenario() -> list[dict[str, Array]]:
        return await asyncio.gather(*(batcher.submit(_row(each), 1) for each in range(40)))

    assert [each["y"].item() for each in asyncio.run(scenario())] == [2 * x for x in range(40)]
    assert cheap.sizes == [16, 16, 8]


def test_overload_over_http(tmp_path: Path) -> None:
    path = tmp_path / "big"
    sha256 = mlp(path, (64, 2048, 2048, 2048, 10))
    batching = {"mode": "thread", "queue_limit": 1, "max_batch_rows": 1}
    config = server_config(model("digits", "1", path, sha256, batching=batching))
    body = v2_body(pixels(256))
    with running_server(config) as (_, client), ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.post(INFER, json=body), range(24)))
        again = client.post(INFER, json=v2_body(pixels()))
        page = client.get("/metrics").text
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert "retry later" in refused.json()["error"]
    assert again.status_code == 200
    assert f'outcome="too_busy"}} {statuses.count(429)}' in page


def test_one_bad_index_among_many_callers(tmp_path: Path) -> None:
    config = server_config(model("lookup", "1", tmp_path / "l", write_lookup(tmp_path / "l")))
    with running_server(config) as (_, client), ThreadPoolExecutor(16) as threads:

        def ask(index: int) -> httpx.Response:
            return client.post("/predictions/lookup", json=index)

        answers = list(threads.map(ask, [index % 5 for index in range(100)]))
    for number, answer in enumerate(answers):
        index = number % 5
        assert answer.status_code == (400 if index == 4 else 200)
        if index < 4:
            assert answer.json() == [3 * index, 3 * index + 1, 3 * index + 2]


def test_a_caller_that_leaves_is_counted(tmp_path: Path) -> None:
    config = server_config(model("digits", "1", tmp_path / "d", mlp(tmp_path / "d")))
    with running_server(config) as (server, client):
        host, port = server.socket.getsockname()
        with socket.create_connection((host, port)) as caller:
            caller.sendall(
                f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{{".encode()
            )
        deadline = time.monotonic() + 10
        while 'outcome="disconnected"} 1' not in client.get("/metrics").text:
            assert time.monotonic() < deadline


def test_a_body_that_never_ends_is_408(tmp_path: Path) -> None:
    config = server_config(
        model("digits", "1", tmp_path / "d", mlp(tmp_path / "d")), body_timeout_seconds=0.1
    )
    with running_server(config) as (server, _):
        caller = socket.create_connection(server.socket.getsockname())
        with caller:
            caller.sendall(
                f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{{".encode()
            )
            assert caller.recv(1000).startswith(b"HTTP/1.1 408")


def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    one = b"GET /v2/models/digits HTTP/1.1\r\nhost: x\r\n\r\n"
    two = b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n"
    with socket.create_connection(served.server.socket.getsockname()) as caller:
        caller.sendall(one + two)
        caller.settimeout(5)
        answer = b""
        while b"/openapi.json" not in answer:
            answer += caller.recv(65536)
    assert answer.index(b"200 OK") < answer.index(b"404 Not Found")
