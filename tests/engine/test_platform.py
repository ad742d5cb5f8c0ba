"""The whole platform of the local stack on the real engine: brought up once, then put to the test.

The tests run in order on one stack (a minute to bring it up); each leaves it whole.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from infra.core.places import ROOT
from tests.support.stacks import BIN, Stack, kill, stack, when

pytestmark = [pytest.mark.slow, pytest.mark.engine]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The committed ``local`` stack under a name of its own, up."""
    declaration = (ROOT / "stacks" / "Pulumi.local.yaml").read_text(encoding="utf-8")
    with stack(tmp_path_factory.mktemp("platform"), declaration) as found:
        yield found


@pytest.fixture(scope="module")
def outputs(platform: Stack) -> dict[str, Any]:
    return platform.up()


def _post(url: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read()), {name.lower(): v for name, v in answer.headers.items()}


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


def _held_out(platform: Stack) -> list[dict[str, Any]]:
    from workloads.data.tables import TableStore

    rows: list[dict[str, Any]] = TableStore(platform.store).read("digits").to_pylist()
    return [row for row in rows if row["split"] == "test"]


def _predicted(platform: Stack) -> list[str]:
    from workloads.data.tables import TableStore

    table = TableStore(platform.store).read("digits_predictions")
    return list(table["event_id"].to_pylist())


def test_the_endpoint_answers_with_what_it_learned(
    platform: Stack, outputs: dict[str, Any]
) -> None:
    rows = _held_out(platform)
    assert len(rows) > 300
    pixels = [value for row in rows for value in row["pixels"]]
    tensor = {"name": "pixels", "shape": [len(rows), 64], "datatype": "FP32", "data": pixels}
    url = f"{outputs['endpoints']['digits']}/v2/models/digits/infer"
    answer, _ = _post(url, {"inputs": [tensor]})
    labels = next(output for output in answer["outputs"] if output["name"] == "label")["data"]
    right = sum(label == row["label"] for label, row in zip(labels, rows, strict=True))
    assert right / len(rows) >= 0.97


def test_a_prediction_leads_to_its_run_data_and_code(
    platform: Stack, outputs: dict[str, Any]
) -> None:
    body = json.loads((ROOT / "docs" / "examples" / "digit.json").read_text())
    url = f"{outputs['endpoints']['digits']}/v2/models/digits/infer"
    answer, headers = _post(url, body)
    assert next(o for o in answer["outputs"] if o["name"] == "label")["data"] == [8]
    tracking = outputs["tracking"]["here"]
    run_id = headers["x-mlscale-run-id"]
    run = _get(f"{tracking}/api/2.0/mlflow/runs/get?run_id={run_id}")["run"]
    said = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    said |= {parameter["key"]: parameter["value"] for parameter in run["data"]["params"]}
    assert headers["x-mlscale-data-snapshot"] in said.values()
    assert headers["x-mlscale-code-sha256"] in said.values()
    version = headers["x-mlscale-model-version"]
    found = _get(f"{tracking}/api/2.0/mlflow/model-versions/get?name=digits&version={version}")[
        "model_version"
    ]
    assert found["run_id"] == run_id


def test_every_event_is_predicted_once(platform: Stack, outputs: dict[str, Any]) -> None:
    expected = len(_held_out(platform))
    when(lambda: len(_predicted(platform)) >= expected, "the predictions")
    found = _predicted(platform)
    assert len(found) == len(set(found)) == expected


def test_prometheus_scrapes_what_runs(platform: Stack, outputs: dict[str, Any]) -> None:
    url = f"{outputs['metrics']['here']}/api/v1/targets"

    def up() -> bool:
        targets = _get(url)["data"]["activeTargets"]
        healthy = {t["labels"]["job"] for t in targets if t["health"] == "up"}
        return {"digits", "digits-stream", "here-units", "here-metrics"} <= healthy

    when(up, "the first scrapes", 30)
    labels = [target["labels"] for target in _get(url)["data"]["activeTargets"]]
    target = next(label for label in labels if label["job"] == "digits")
    assert target["team"] == "platform"
    assert target["cost_center"] == "1000"
    query = f"{outputs['metrics']['here']}/api/v1/query?query=mlscale_unit_up"
    when(lambda: _get(query)["data"]["result"], "the units' metrics")
    units = {one["metric"]["unit"]: one["value"][1] for one in _get(query)["data"]["result"]}
    assert units["here-broker"] == units["here-tracking"] == units["digits-job"] == "1"
    rules = _get(f"{outputs['metrics']['here']}/api/v1/rules")["data"]["groups"]
    assert rules


def test_a_second_up_and_a_preview_change_nothing(platform: Stack, outputs: Any) -> None:
    done = platform.pulumi("up", "--yes", "--expect-no-changes")
    assert "unchanged" in done.stdout
    platform.pulumi("preview", "--refresh", "--expect-no-changes")


def test_killed_processes_are_back_by_themselves(platform: Stack, outputs: Any) -> None:
    supervisor = platform.supervisor
    units = ("digits", "digits-stream", "here-broker", "here-metrics", "here-tracking")
    before = {unit: supervisor.state(unit).pid for unit in units}
    for unit in units:
        kill(before[unit])
    for unit in units:
        when(lambda unit=unit: supervisor.state(unit).pid not in (0, before[unit]), f"{unit} again")
    url = outputs["endpoints"]["digits"]
    when(lambda: _answers(f"{url}/v2/health/ready"), "the endpoint again")
    when(lambda: _answers(f"{outputs['tracking']['here']}/health"), "tracking again")
    platform.pulumi("refresh", "--preview-only", "--expect-no-changes")


def test_a_killed_supervisor_is_drift_that_up_mends_and_no_event_is_lost(
    platform: Stack, outputs: dict[str, Any]
) -> None:
    # A second pass of events, so that the stream is busy when everything dies.
    declaration = platform.file.read_text(encoding="utf-8")
    twice = declaration.replace("events_per_second: 100}", "events_per_second: 60, passes: 2}")
    assert twice != declaration
    platform.file.write_text(twice, encoding="utf-8")
    done = platform.pulumi("up", "--yes", "--skip-preview")
    assert "1 updated" in done.stdout
    rows = len(_held_out(platform))
    when(lambda: len(_predicted(platform)) > rows, "events of the second replay")
    supervisor = platform.supervisor.pid()
    assert supervisor is not None
    kill(supervisor)
    when(lambda: not platform.processes(), "the end of everything", 10)
    drift = platform.pulumi("refresh", "--preview-only", "--expect-no-changes", ok=False)
    assert drift.returncode == 7
    platform.pulumi("refresh", "--yes", "--skip-preview")
    platform.pulumi("up", "--yes", "--skip-preview")
    platform.pulumi("preview", "--refresh", "--expect-no-changes")
    # The first replay's events carry pass 0 too: a replay knows what its topic holds already.
    when(lambda: len(_predicted(platform)) >= 2 * rows, "the rest of the events")
    found = _predicted(platform)
    assert len(found) == len(set(found)) == 2 * rows
    assert _answers(f"{outputs['endpoints']['digits']}/v2/health/ready")


def test_status_and_logs_show_it(platform: Stack, outputs: dict[str, Any]) -> None:
    status = json.loads(platform.mlscale("status", platform.name, "--json").stdout)
    states = {unit["unit"]: unit["status"] for unit in status["units"]}
    assert states["digits"] == states["here-broker"] == "running"
    assert states["digits-job"] == "finished"
    address = platform.mlscale("status", platform.name, "--url", "digits").stdout.strip()
    assert address == outputs["endpoints"]["digits"]
    assert "digits-stream" in platform.mlscale("status", platform.name).stdout
    logs = platform.mlscale("logs", platform.name, "--unit", "here-broker").stdout
    assert "here-broker: " in logs
    wrong = platform.mlscale("logs", platform.name, "--unit", "nope", ok=False)
    assert wrong.returncode == 10
    assert "digits-stream" in wrong.stderr


def test_the_closing_words_and_the_readmes_commands_work_as_pasted(
    platform: Stack, outputs: dict[str, Any]
) -> None:
    closing = platform.mlscale("up", platform.name).stdout
    pasted = next(line for line in closing.splitlines() if line.strip().startswith("curl"))
    assert '"data":[8]' in platform.shell(pasted)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"```sh\n(.*?)```", readme, re.DOTALL))
    ours = blocks.replace("status local", f"status {platform.name}")
    ours = ours.replace("logs local -f", f"logs {platform.name}").replace("make down", "true")
    ours = ours.replace("select local", f"select {platform.name}")
    ours = ours.replace("pulumi up\n", "pulumi up --yes --skip-preview --expect-no-changes\n")
    said = platform.shell(ours.replace(".venv/bin/", f"{BIN}/"))
    assert "x-mlscale-run-id: " in said
    assert '"data":[8]' in said
    assert "20 unchanged" in said
    assert "here-broker" in said


def test_no_secret_of_the_engine_is_in_any_process(platform: Stack, outputs: Any) -> None:
    for process in platform.processes():
        assert not [name for name in process.environ() if name.startswith("PULUMI_")]


def test_destroy_leaves_nothing(platform: Stack, outputs: dict[str, Any]) -> None:
    ports = [int(url.rsplit(":", 1)[1]) for url in outputs["endpoints"].values()]
    ports += [int(outputs["metrics"]["here"].rsplit(":", 1)[1])]
    platform.pulumi("destroy", "--yes", "--skip-preview")
    assert platform.processes() == []
    listening = {
        connection.laddr.port
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    }
    assert not listening & set(ports)
    assert list(platform.state.rglob("*")) == [] or not platform.state.exists()
    assert not platform.layout.socket.exists()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
