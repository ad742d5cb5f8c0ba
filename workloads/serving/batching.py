"""Micro-batching without waiting: a run takes what queued while the server was busy.

Cheap models run in the event loop itself: every request that was parsed in one turn of the loop
shares one run, and no hand-over between threads is paid. Dear ones run in one thread beside the
loop, which parses the next requests meanwhile. Warm-up measurements decide (:class:`Batcher`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Protocol

import numpy as np

from workloads.serving.config import Batching
from workloads.serving.model import InferenceError
from workloads.serving.tensors import Array, RequestError

# Below: one run is cheaper than handing it to a thread and back (0.06 to 0.1 ms each way, loaded).
_LOOP_BELOW_SECONDS = 0.25e-3
# The longest that one run may hold the event loop.
_LOOP_BUDGET_SECONDS = 2e-3
_RETRY_AFTER_CEILING_SECONDS = 30


class Runnable(Protocol):
    """What a batcher needs of a model."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One run over a batch."""

    def seconds(self, rows: int) -> float:
        """Estimated duration of a run."""


class OverloadedError(RequestError):
    """The queue is full; ``retry_after_seconds`` is when it should have room again."""

    def __init__(self, waiting: int, retry_after_seconds: int) -> None:
        super().__init__(f"{waiting} requests are waiting already; retry later", 429)
        self.retry_after_seconds = retry_after_seconds


class _Work:
    """One request in the queue; ``group`` keeps apart what can't be stacked."""

    __slots__ = ("future", "group", "inputs", "rows")

    def __init__(
        self, inputs: dict[str, Array], rows: int, future: asyncio.Future[dict[str, Array]]
    ) -> None:
        self.inputs = inputs
        self.rows = rows
        self.future = future
        self.group = [(name, array.shape[1:]) for name, array in inputs.items()]


_Outcome = dict[str, Array] | Exception
_Runs = list[tuple[int, dict[str, Array]]]  # rows and outputs of each run that succeeded


class Batcher:
    """The queue in front of one model version; lives in one event loop.

    ``on_batch(rows, outputs)`` is called in the loop after each run.
    """

    def __init__(
        self,
        model: Runnable,
        config: Batching,
        batchable: bool,
        on_batch: Callable[[int, dict[str, Array]], None],
    ) -> None:
        self._model = model
        self._limit = config.queue_limit
        self._on_batch = on_batch
        cheap = model.seconds(1) < _LOOP_BELOW_SECONDS
        self.mode: Literal["loop", "thread"] = (
            ("loop" if cheap else "thread") if config.mode == "auto" else config.mode
        )
        self._max_rows = config.max_batch_rows if batchable else 1
        if self.mode == "loop":
            while self._max_rows > 1 and model.seconds(self._max_rows) > _LOOP_BUDGET_SECONDS:
                self._max_rows //= 2
        self._queue: deque[_Work] = deque()
        self._busy = False  # a run is scheduled or under way
        self._executor: ThreadPoolExecutor | None = None

    @property
    def waiting(self) -> int:
        """Requests in the queue, without those in the run under way."""
        return len(self._queue)

    async def submit(self, inputs: dict[str, Array], rows: int) -> dict[str, Array]:
        """The model's outputs for one request.

        Raises ``OverloadedError`` when the queue is full, and what ``model.run`` raises.
        """
        waiting = len(self._queue)
        if waiting >= self._limit:
            seconds = waiting * self._model.seconds(1)
            raise OverloadedError(
                waiting, min(_RETRY_AFTER_CEILING_SECONDS, max(1, round(seconds)))
            )
        loop = asyncio.get_running_loop()
        work = _Work(inputs, rows, loop.create_future())
        self._queue.append(work)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next_batch)
        return await work.future

    def close(self) -> None:
        """Let go of the thread; requests in flight must be over."""
        if self._executor is not None:
            self._executor.shutdown()

    def _next_batch(self) -> None:
        batch, rows = self._take()
        if not batch:
            self._busy = False
            return
        if self.mode == "loop" and self._model.seconds(rows) <= _LOOP_BUDGET_SECONDS:
            self._finish(batch, self._run(batch))
            return
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="inference")
        loop = asyncio.get_running_loop()
        pending = self._executor.submit(self._run, batch)
        pending.add_done_callback(
            lambda done: loop.call_soon_threadsafe(self._finish, batch, done.result())
        )

    def _take(self) -> tuple[list[_Work], int]:
        """The head of the queue, and what behind it stacks onto it, up to the row limit."""
        queue = self._queue
        while queue and queue[0].future.done():  # its caller went away
            queue.popleft()
        if not queue:
            return [], 0
        first = queue.popleft()
        batch, rows = [first], first.rows
        while queue:
            work = queue[0]
            if rows + work.rows > self._max_rows or work.group != first.group:
                break
            queue.popleft()
            if not work.future.done():
                batch.append(work)
                rows += work.rows
        return batch, rows

    def _run(self, batch: list[_Work]) -> tuple[list[_Outcome], _Runs]:
        """An outcome for each request, and the runs that succeeded; never raises.

        When a shared run fails, each request runs alone, so that none pays for another.
        """
        try:
            if len(batch) == 1:
                return self._one_by_one(batch)
            stacked = {
                name: np.concatenate([work.inputs[name] for work in batch])
                for name in batch[0].inputs
            }
            together = self._attempt(stacked)
            if isinstance(together, Exception):
                return self._one_by_one(batch)
            outcomes: list[_Outcome] = []
            start = 0
            for work in batch:
                end = start + work.rows
                outcomes.append({name: array[start:end] for name, array in together.items()})
                start = end
            return outcomes, [(start, together)]
        except Exception as error:  # noqa: BLE001 - out of memory, say; the queue must go on
            return [InferenceError(repr(error))] * len(batch), []

    def _one_by_one(self, batch: list[_Work]) -> tuple[list[_Outcome], _Runs]:
        outcomes = [self._attempt(work.inputs) for work in batch]
        runs = [
            (work.rows, outcome)
            for work, outcome in zip(batch, outcomes, strict=True)
            if not isinstance(outcome, Exception)
        ]
        return outcomes, runs

    def _attempt(self, inputs: dict[str, Array]) -> _Outcome:
        try:
            return self._model.run(inputs)
        except (RequestError, InferenceError) as error:
            return error

    def _finish(self, batch: list[_Work], result: tuple[list[_Outcome], _Runs]) -> None:
        outcomes, runs = result
        for work, outcome in zip(batch, outcomes, strict=True):
            if work.future.done():
                continue
            if isinstance(outcome, Exception):
                work.future.set_exception(outcome)
            else:
                work.future.set_result(outcome)
        for rows, outputs in runs:
            self._on_batch(rows, outputs)
        if self._queue:
            asyncio.get_running_loop().call_soon(self._next_batch)
        else:
            self._busy = False
