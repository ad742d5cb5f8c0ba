"""How many servers keep a promise on waiting: Erlang C with its corrections.

Erlang 1917; Allen and Cunneen 1978 for arrivals and services that are not exponential; the search
starts at Halfin and Whitt's square root rule (1981).
"""

from __future__ import annotations

import math

from infra.core.errors import BadInput, Problem


def erlang_c(servers: int, load: float) -> float:
    """Probability that an arrival waits, with ``load`` = arrival rate x mean service time.

    Through the recursion B(c) = A B(c-1) / (c + A B(c-1)) of Erlang B, which neither overflows nor
    cancels. 1 when the load is no less than the servers.
    """
    if servers < 1 or load < 0:
        raise BadInput(
            Problem(f"{servers} servers at a load of {load:g}", expected="1 or more, 0 or more")
        )
    if load >= servers:
        return 1.0
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def wait_probability(
    servers: int, load: float, seconds: float, mean_service_seconds: float, variability: float = 1.0
) -> float:
    """P(wait > seconds) in a queue G/G/c.

    ``variability`` is (Ca^2 + Cs^2) / 2 of arrivals and services: 1 for exponential ones, 0.5 for
    Poisson arrivals and constant service. It stretches the exponential tail (Allen-Cunneen).
    """
    if load >= servers:
        return 1.0
    slack = (servers - load) / mean_service_seconds
    return erlang_c(servers, load) * math.exp(-slack * max(seconds, 0.0) / max(variability, 1e-3))


def servers_for(
    arrivals_per_second: float,
    mean_service_seconds: float,
    wait_seconds: float,
    late_fraction: float,
    variability: float = 1.0,
    most: int = 200_000,
) -> int:
    """Least servers with P(wait > wait_seconds) <= late_fraction.

    Doubling from the square root rule, then halving the interval: the probability falls with
    every server. BadInput when the numbers make no sense or ``most`` are too few.
    """
    load = arrivals_per_second * mean_service_seconds
    if not (math.isfinite(load) and load >= 0 and 0 < late_fraction < 1 and wait_seconds >= 0):
        raise BadInput(
            Problem(
                f"rate {arrivals_per_second:g}/s, service {mean_service_seconds:g} s, wait "
                f"{wait_seconds:g} s, late {late_fraction:g}",
                expected="finite numbers, none negative, a late fraction between 0 and 1",
            )
        )

    if load > most:
        raise BadInput(Problem(f"a load of {load:.3g} needs more than {most} servers"))

    def late(servers: int) -> bool:
        tail = wait_probability(servers, load, wait_seconds, mean_service_seconds, variability)
        return tail > late_fraction

    low = max(int(load), 1)
    high = max(int(load + math.sqrt(load)) + 1, low)
    while late(high):
        low, high = high, 2 * high
        if high > most:
            raise BadInput(Problem(f"more than {most} servers would be needed"))
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if late(middle) else (low, middle)
    return low
