"""Prometheus' own tool accepts what is rendered, and the alerts fire when they should."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.core.errors import BadInput
from workloads.monitoring.prometheus import (
    EndpointRule,
    Rules,
    StreamRule,
    Target,
    render_config,
    render_rules,
)

RULES = Rules(
    [EndpointRule("endpoint-digits", "digits", p95_ms=80, availability=0.999)],
    [StreamRule("stream-clicks", "clicks", lag_events_max=100, minutes=1)],
    scrape_seconds=5,
)


def _promtool() -> str | None:
    found = shutil.which("promtool")
    if found:
        return found
    cache = Path(os.environ.get("MLSCALE_CACHE") or Path.home() / ".cache" / "mlscale")
    return next(map(str, sorted(cache.glob("prometheus/*/usr/bin/promtool"))), None)


needs_promtool = pytest.mark.skipif(
    _promtool() is None, reason="promtool is missing: scripts/setup --only prometheus"
)


def _run(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(_promtool()), *arguments], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_promtool_accepts_config_and_rules(tmp_path: Path) -> None:
    targets = [
        Target("endpoint-digits", "127.0.0.1:8080", {"stack": 'quo"ted\\'}),
        Target("broker", "[::1]:9404", path="/prom"),
    ]
    (tmp_path / "rules.yml").write_text(render_rules(RULES))
    (tmp_path / "prometheus.yml").write_text(render_config(targets, "rules.yml", 5))
    assert "SUCCESS" in _run(tmp_path, "check", "config", "prometheus.yml")
    assert "SUCCESS: 10 rules found" in _run(tmp_path, "check", "rules", "rules.yml")
    (tmp_path / "rules.yml").write_text(render_rules(Rules()))
    assert "SUCCESS: 5 rules found" in _run(tmp_path, "check", "rules", "rules.yml")


def _requests(outcome: str, values: str) -> dict[str, str]:
    labels = f'job="endpoint-digits",model="digits",version="1",outcome="{outcome}"'
    return {"series": f"mlscale_inference_requests_total{{{labels}}}", "values": values}


def _latency(le: str, values: str) -> dict[str, str]:
    labels = f'job="endpoint-digits",model="digits",version="1",le="{le}"'
    return {"series": f"mlscale_inference_duration_seconds_bucket{{{labels}}}", "values": values}


def _fired(alert: str, minutes: str, *labels: dict[str, str]) -> dict[str, Any]:
    return {
        "eval_time": minutes,
        "alertname": alert,
        "exp_alerts": [{"exp_labels": each} for each in labels],
    }


MODEL = {"job": "endpoint-digits", "model": "digits", "version": "1"}
WARNING, CRITICAL = {"severity": "warning"}, {"severity": "critical"}
NAME = {"endpoint": "endpoint-digits"}
CASES: dict[str, tuple[list[dict[str, str]], list[dict[str, Any]]]] = {
    "healthy": (
        [
            {"series": 'up{job="endpoint-digits"}', "values": "1+0x200"},
            _requests("ok", "0+50x200"),
            _requests("failed", "0+0x200"),
            _requests("bad_request", "0+50x200"),
            _latency("0.025", "0+49x200"),
            _latency("0.08", "0+50x200"),
            _latency("+Inf", "0+50x200"),
        ],
        [
            _fired(alert, "15m")
            for alert in ("EndpointSlow", "EndpointFailing", "EndpointAvailability", "EndpointDown")
        ],
    ),
    "slow": (
        [_latency("0.08", "0+50x200"), _latency("0.1", "0+99x200"), _latency("+Inf", "0+99x200")],
        [_fired("EndpointSlow", "1m"), _fired("EndpointSlow", "5m", MODEL | WARNING | NAME)],
    ),
    "failing": (
        [_requests("ok", "0+95x200"), _requests("too_busy", "0+5x200")],
        [
            _fired("EndpointFailing", "5m", MODEL | CRITICAL | NAME),
            _fired("EndpointAvailability", "15m", MODEL | WARNING | NAME),
        ],
    ),
    "down": (
        [{"series": 'up{job="endpoint-digits",instance="a"}', "values": "1x10 0x200"}],
        [
            _fired("EndpointDown", "3m", CRITICAL | NAME),
            _fired("ProcessDown", "3m", {"job": "endpoint-digits", "instance": "a"} | CRITICAL),
        ],
    ),
    "gone": ([], [_fired("EndpointDown", "2m", CRITICAL | NAME | {"job": "endpoint-digits"})]),
    "lag": (
        [
            {
                "series": f'mlscale_stream_lag_events{{job="stream-clicks",topic="clicks",'
                f'group="g",partition="{partition}"}}',
                "values": "60x200",
            }
            for partition in (0, 1)
        ],
        [
            _fired(
                "StreamLag",
                "3m",
                {"job": "stream-clicks", "topic": "clicks", "group": "g", "stream": "clicks"}
                | WARNING,
            )
        ],
    ),
}


@needs_promtool
@pytest.mark.parametrize("case", CASES)
def test_alerts_fire_when_promised(tmp_path: Path, case: str) -> None:
    series, expected = CASES[case]
    (tmp_path / "rules.yml").write_text(render_rules(RULES))
    rules = json.loads(render_rules(RULES))["groups"][1]["rules"]
    summaries = {rule["alert"]: rule["annotations"]["summary"] for rule in rules}
    for wanted in expected:
        for alert in wanted["exp_alerts"]:
            alert["exp_annotations"] = {
                "summary": _SHOWN.get((case, wanted["alertname"])) or summaries[wanted["alertname"]]
            }
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "5s",
        "tests": [{"interval": "5s", "input_series": series, "alert_rule_test": expected}],
    }
    (tmp_path / "tests.yml").write_text(json.dumps(tests))
    assert "SUCCESS" in _run(tmp_path, "test", "rules", "tests.yml")


_SHOWN = {
    ("slow", "EndpointSlow"): "digits version 1: p95 is 97.98ms, promised 80 ms",
    ("failing", "EndpointFailing"): "digits version 1: 5% of requests fail",
    ("failing", "EndpointAvailability"): "digits version 1: available 95% over an hour, "
    "promised 99.9000% (a budget of 0.1000%)",
    ("down", "ProcessDown"): "endpoint-digits doesn't answer its scrapes",
    ("lag", "StreamLag"): "120 events of clicks wait, promised 100",
}


def test_error_threshold_is_the_fast_burn_unless_given() -> None:
    assert EndpointRule("a", "m", 1, 0.999).error_threshold == pytest.approx(0.0144)
    assert EndpointRule("a", "m", 1, 0.5).error_threshold == 1
    assert EndpointRule("a", "m", 1, error_rate_max=0.2).error_threshold == 0.2


def test_bad_targets_are_refused_together() -> None:
    targets = [
        Target("a", "127.0.0.1:1"),
        Target("a", "127.0.0.1:2"),
        Target("b c", "127.0.0.1:3"),
        Target("d", "nowhere"),
    ]
    with pytest.raises(BadInput) as caught:
        render_config(targets, "rules.yml", 5)
    assert len(caught.value.problems) == 3
