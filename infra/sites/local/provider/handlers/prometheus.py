"""``mlscale:local:Prometheus``: scrapes everything that runs in the stack, with alert rules."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from infra.core.tools import prometheus
from infra.sites.local.provider.handler import Failure, Properties
from infra.sites.local.provider.handlers._service import (
    ServiceHandler,
    ServiceInputs,
    config_digest,
    http_unhealthy,
    required_tool,
)
from infra.sites.local.supervision import Layout, Unit
from workloads.jobs import write_text_atomically


class PrometheusInputs(ServiceInputs):
    """``targets``: ``{job, address, labels}`` each; ``endpoints`` and ``streams``: what alerts watch."""

    targets: list[dict[str, Any]]
    endpoints: list[dict[str, Any]] = Field(default_factory=list)
    streams: list[dict[str, Any]] = Field(default_factory=list)
    scrape_seconds: int = Field(default=5, ge=1, le=3600)
    retention_days: int = Field(default=15, ge=1)


class PrometheusHandler(ServiceHandler[PrometheusInputs]):
    """A Prometheus of the stack's own."""

    token = "mlscale:local:Prometheus"
    inputs = PrometheusInputs
    health_seconds: ClassVar[float] = 30

    def check(self, known: Properties) -> list[Failure]:
        """The program is there."""
        _program()
        return super().check(known)

    def prepare(self, inputs: PrometheusInputs, layout: Layout, port: int) -> Unit:
        """Write configuration and rules; a change of either restarts it."""
        data = layout.data(inputs.unit)
        rules, config = data / "rules.yml", data / "prometheus.yml"
        itself = {"job": inputs.unit, "address": f"127.0.0.1:{port}"}
        rules_text, config_text = _rendered(inputs, str(rules), [*inputs.targets, itself])
        write_text_atomically(rules, rules_text)
        write_text_atomically(config, config_text)
        command = (
            _program(),
            f"--config.file={config}",
            f"--storage.tsdb.path={data / 'tsdb'}",
            f"--storage.tsdb.retention.time={inputs.retention_days}d",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        )
        digest = config_digest(rules_text + config_text)
        return Unit(inputs.unit, command, environment={"MLSCALE_CONFIG_DIGEST": digest})

    def unhealthy(self, url: str) -> str | None:
        """Prometheus's own readiness page."""
        return http_unhealthy(f"{url}/-/ready")


def _rendered(
    inputs: PrometheusInputs, rule_file: str, scraped: list[dict[str, Any]]
) -> tuple[str, str]:
    from workloads.monitoring import prometheus as text

    targets = [text.Target(**target) for target in scraped]
    rules = text.Rules(
        endpoints=[text.EndpointRule(**endpoint) for endpoint in inputs.endpoints],
        streams=[text.StreamRule(**stream) for stream in inputs.streams],
        scrape_seconds=inputs.scrape_seconds,
    )
    config = text.render_config(targets, rule_file, inputs.scrape_seconds)
    return text.render_rules(rules), config


def _program() -> str:
    fix = "scripts/setup --only prometheus"
    return required_tool(prometheus(), "Prometheus, which scrapes the stack,", fix)
