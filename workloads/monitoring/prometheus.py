"""Prometheus' configuration and rules as text, from what a stack asks for. Pure functions.

The output is JSON, which is YAML, so that no value can break out of its quotes; ``promtool check``
accepts it. Metrics that the rules read: ``up``, ``mlscale_inference_*`` of the model server and
``mlscale_stream_*`` of the processor.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.core.errors import BadInput, Problem

_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")
_FIRING_SCRAPES = 3  # a target that misses so many scrapes in a row is down


@dataclass(frozen=True)
class Target:
    """One process to scrape: ``job`` names it, ``address`` is ``host:port``."""

    job: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    path: str = "/metrics"


@dataclass(frozen=True)
class EndpointRule:
    """What an endpoint promised. ``availability`` (0.999, say) is of answers that aren't its fault.

    ``job`` is the endpoint's scrape job, ``model`` its model. ``error_rate_max`` is the share of
    requests that may fail before it is a page; by default the budget's fast burn (14.4 times
    ``1 - availability``, Google's SRE workbook, chapter 5: 2 % of a 30 day budget in an hour).
    """

    job: str
    model: str
    p95_ms: float
    availability: float = 0.999
    error_rate_max: float | None = None

    @property
    def error_threshold(self) -> float:
        """The share of failed requests that fires."""
        if self.error_rate_max is not None:
            return self.error_rate_max
        return min(1.0, 14.4 * (1 - self.availability))


@dataclass(frozen=True)
class StreamRule:
    """How far a stream may fall behind: ``lag_events_max`` events for ``minutes``."""

    job: str
    topic: str
    lag_events_max: int = 10_000
    minutes: float = 5


@dataclass(frozen=True)
class Rules:
    """Everything that is watched. ``window`` is what rates are taken over, as ``for`` is waited."""

    endpoints: Sequence[EndpointRule] = ()
    streams: Sequence[StreamRule] = ()
    scrape_seconds: int = 15

    @property
    def window_seconds(self) -> int:
        """Long enough for a rate over at least four scrapes."""
        return max(60, 4 * self.scrape_seconds)


def render_config(targets: Sequence[Target], rule_file: str, scrape_seconds: int) -> str:
    """``prometheus.yml``: scrape ``targets``, evaluate ``rule_file``.

    Raises ``BadInput`` for a job declared twice or an address that isn't ``host:port``.
    """
    jobs: dict[str, dict[str, Any]] = {}
    problems = []
    for target in targets:
        if not _JOB.fullmatch(target.job) or not _ADDRESS.fullmatch(target.address):
            problems.append(
                Problem(
                    f"target {target.job!r} at {target.address!r}",
                    expected="a job of letters, digits, _ . - and an address host:port",
                )
            )
        if target.job in jobs:
            problems.append(Problem(f"the scrape job {target.job!r} is declared twice"))
        jobs[target.job] = {
            "job_name": target.job,
            "metrics_path": target.path,
            "static_configs": [{"targets": [target.address], "labels": dict(target.labels)}],
        }
    if problems:
        raise BadInput(problems)
    return _rendered(
        {
            "global": {
                "scrape_interval": f"{scrape_seconds}s",
                "scrape_timeout": f"{min(10, scrape_seconds)}s",
                "evaluation_interval": f"{scrape_seconds}s",
            },
            "rule_files": [rule_file],
            "scrape_configs": list(jobs.values()),
        }
    )


def render_rules(rules: Rules) -> str:
    """Recording and alerting rules: p95, errors, availability, lag, process down."""
    window = f"{rules.window_seconds}s"
    alerts = [_process_down(rules)]
    for endpoint in rules.endpoints:
        alerts += _endpoint_alerts(endpoint)
    for stream in rules.streams:
        alerts.append(_lag_alert(stream))
    groups = [
        {"name": "mlscale-records", "rules": _records(window)},
        {"name": "mlscale-alerts", "rules": alerts},
    ]
    return _rendered({"groups": groups})


def _records(window: str) -> list[dict[str, Any]]:
    requests = "mlscale_inference_requests_total"
    by = "job, model, version"
    # A refusal for overload is the endpoint's fault; a malformed request isn't.
    failed = f'sum by ({by}) (rate({requests}{{outcome=~"failed|too_busy"}}[{window}]))'
    total = f'sum by ({by}) (rate({requests}{{outcome!~"bad_request|disconnected"}}[{window}]))'
    buckets = f"rate(mlscale_inference_duration_seconds_bucket[{window}])"
    return [
        {
            "record": "mlscale:inference_p95_seconds",
            "expr": f"histogram_quantile(0.95, sum by ({by}, le) ({buckets}))",
        },
        {"record": "mlscale:inference_requests_per_second", "expr": total},
        {"record": "mlscale:inference_error_ratio", "expr": f"{failed} / ({total} > 0)"},
        {
            "record": "mlscale:stream_lag_events",
            "expr": "sum by (job, topic, group) (mlscale_stream_lag_events)",
        },
    ]


def _process_down(rules: Rules) -> dict[str, Any]:
    return _alert(
        "ProcessDown",
        "up == 0",
        _FIRING_SCRAPES * rules.scrape_seconds,
        "critical",
        "{{ $labels.job }} doesn't answer its scrapes",
    )


def _endpoint_alerts(endpoint: EndpointRule) -> list[dict[str, Any]]:
    where = _matchers(job=endpoint.job, model=endpoint.model)
    seconds = endpoint.p95_ms / 1000
    label = "{{ $labels.model }} version {{ $labels.version }}"
    budget = 1 - endpoint.availability
    good = f"1 - avg_over_time(mlscale:inference_error_ratio{where}[1h])"
    name = {"endpoint": endpoint.job}
    return [
        _alert(
            "EndpointSlow",
            f"mlscale:inference_p95_seconds{where} > {seconds!r}",
            120,
            "warning",
            f"{label}: p95 is {{{{ $value | humanizeDuration }}}}, promised {endpoint.p95_ms:g} ms",
            name,
        ),
        _alert(
            "EndpointFailing",
            f"mlscale:inference_error_ratio{where} > {endpoint.error_threshold!r}",
            60,
            "critical",
            f"{label}: {{{{ $value | humanizePercentage }}}} of requests fail",
            name,
        ),
        _alert(
            "EndpointAvailability",
            f"{good} < {endpoint.availability!r}",
            300,
            "warning",
            f"{label}: available {{{{ $value | humanizePercentage }}}} over an hour, "
            f"promised {endpoint.availability:.4%} (a budget of {budget:.4%})",
            name,
        ),
        _alert(
            "EndpointDown",
            f"sum(up{_matchers(job=endpoint.job)}) < 1 or absent(up{_matchers(job=endpoint.job)})",
            30,
            "critical",
            f"no process of {endpoint.job} answers",
            name,
        ),
    ]


def _lag_alert(stream: StreamRule) -> dict[str, Any]:
    where = _matchers(job=stream.job, topic=stream.topic)
    return _alert(
        "StreamLag",
        f"mlscale:stream_lag_events{where} > {stream.lag_events_max}",
        round(stream.minutes * 60),
        "warning",
        f"{{{{ $value }}}} events of {stream.topic} wait, promised {stream.lag_events_max}",
        {"stream": stream.topic},
    )


def _alert(
    name: str,
    expression: str,
    for_seconds: int,
    severity: str,
    summary: str,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": f"{for_seconds}s",
        "labels": {"severity": severity, **(labels or {})},
        "annotations": {"summary": summary},
    }


def _matchers(**labels: str) -> str:
    # PromQL's string literals are escaped as JSON's are, for what names may hold.
    return "{" + ", ".join(f"{key}={json.dumps(value)}" for key, value in labels.items()) + "}"


def _rendered(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1) + "\n"
