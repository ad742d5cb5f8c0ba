"""A discrete-event simulation of an endpoint, and arrival traces, to hold the sizing against."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Server:
    """A replica: takes up to ``batch`` waiting requests once it is idle and either as many wait
    or the oldest has waited ``delay`` seconds; a batch of b takes fixed + b * each seconds times a
    gamma variate of mean 1."""

    batch: int
    delay: float
    fixed: float
    each: float
    variation: float


def latencies(arrivals: Floats, replicas: int, server: Server, rng: np.random.Generator) -> Floats:
    """Seconds from arrival to answer, for each arrival in order; one queue, first come first."""
    shape = 1 / server.variation**2 if server.variation else 0.0
    free = [0.0] * replicas
    heapq.heapify(free)
    found = np.empty(len(arrivals))
    head = 0
    while head < len(arrivals):
        idle = heapq.heappop(free)
        full = head + server.batch - 1
        ready = arrivals[full] if full < len(arrivals) else np.inf
        start = max(idle, arrivals[head], min(arrivals[head] + server.delay, ready))
        last = min(int(np.searchsorted(arrivals, start, side="right")), head + server.batch)
        last = max(last, head + 1)
        stretch = rng.gamma(shape, 1 / shape) if shape else 1.0
        done = start + (server.fixed + (last - head) * server.each) * stretch
        found[head:last] = done - arrivals[head:last]
        heapq.heappush(free, done)
        head = last
    return found


class _Decoder:
    """One replica that generates: all sequences in it go at the same pace, slower the more there
    are; work is counted in seconds that a sequence would take at that pace."""

    def __init__(self, server: Server) -> None:
        self.server, self.left, self.seen = server, dict[int, float](), 0.0

    def _pace(self) -> float:
        return 1 / (self.server.fixed + len(self.left) * self.server.each)

    def advance(self, now: float) -> list[int]:
        """Up to ``now``: who is done."""
        if self.left:
            passed = (now - self.seen) * self._pace()
            self.left = {key: share - passed for key, share in self.left.items()}
        self.seen = now
        done = [key for key, share in self.left.items() if share <= 1e-9]
        for key in done:
            del self.left[key]
        return done

    def next_done(self) -> float:
        """When the next sequence ends if nobody joins."""
        return self.seen + min(self.left.values()) / self._pace() if self.left else np.inf


def continuous_latencies(
    arrivals: Floats, replicas: int, server: Server, rng: np.random.Generator
) -> Floats:
    """The same for continuous batching: a request joins the emptiest replica at once, if it has
    less than ``batch`` of them; a share of an answer of mean 1 is a gamma variate."""
    shape = 1 / server.variation**2
    work = rng.gamma(shape, 1 / shape, len(arrivals))
    decoders = [_Decoder(server) for _ in range(replicas)]
    found, waiting, head = np.empty(len(arrivals)), list[int](), 0
    ends = [np.inf] * replicas
    while head < len(arrivals) or min(ends) < np.inf:
        first = int(np.argmin(ends))
        arrives = arrivals[head] if head < len(arrivals) else np.inf
        now = min(arrives, ends[first])
        if arrives <= ends[first]:
            waiting.append(head)
            head += 1
            first = int(np.argmin([len(one.left) for one in decoders]))
        chosen = decoders[first]
        for key in chosen.advance(now):
            found[key] = now - arrivals[key]
        while waiting and len(chosen.left) < server.batch:
            key = waiting.pop(0)
            chosen.left[key] = float(work[key])
        ends[first] = chosen.next_done()
    return found


def poisson(rate: float, seconds: float, rng: np.random.Generator) -> Floats:
    """Arrivals at a constant rate."""
    return np.sort(rng.uniform(0, seconds, rng.poisson(rate * seconds)))


def diurnal(peak: float, seconds: float, rng: np.random.Generator) -> Floats:
    """A day compressed into ``seconds``: from a fifth of the peak up to it and back."""
    candidates = poisson(peak, seconds, rng)
    level = 0.6 - 0.4 * np.cos(2 * np.pi * candidates / seconds)
    kept: Floats = candidates[rng.uniform(size=len(candidates)) < level]
    return kept


def bursts(peak: float, seconds: float, rng: np.random.Generator) -> Floats:
    """Ten seconds at the peak, ten at a tenth of it, in turn."""
    candidates = poisson(peak, seconds, rng)
    high = (candidates // 10) % 2 == 0
    kept: Floats = candidates[high | (rng.uniform(size=len(candidates)) < 0.1)]
    return kept


TRACES = {"poisson": poisson, "diurnal": diurnal, "bursts": bursts}
