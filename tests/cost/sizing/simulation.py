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
