"""The server as a process: what it refuses to start with, how it leaves."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from onnx import TensorProto, helper

from infra.core.errors import DamagedState, MissingTool, Unsupported
from tests.support.onnx_models import mlp, write
from tests.support.processes import Process, free_port
from tests.support.serving import running_server, server_config
from tests.support.streams import http_get, wait_healthy
from tests.unit.serving.conftest import model, pixels, v2_body
from workloads.serving.server import InferenceServer

INFER = "/v2/models/digits/infer"


def _config(folder: Path, **changes: Any) -> dict[str, Any]:
    sha256 = mlp(folder / "d.onnx")
    digits = model("digits", "1", folder / "d.onnx", sha256) | {"path": str(folder / "d.onnx")}
    return {"name": "test", "port": free_port(), "models": [digits]} | changes


def _server(folder: Path, config: object) -> Process:
    (folder / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "workloads.serving", "--config", str(folder / "config.json")]
    return Process(command, folder / "log")


def test_it_drains_and_leaves_with_zero(tmp_path: Path) -> None:
    config = _config(tmp_path, drain_seconds=1)
    process = _server(tmp_path, config).start()
    wait_healthy(config["port"], "/v2/health/ready", process)
    with httpx.Client(base_url=f"http://127.0.0.1:{config['port']}", trust_env=False) as client:
        assert client.post(INFER, json=v2_body(pixels())).status_code == 200
        leaving = threading.Thread(target=process.terminate)
        leaving.start()
        deadline = time.monotonic() + 5
        while http_get(config["port"], "/v2/health/ready")[0] != 503:
            assert time.monotonic() < deadline
        assert http_get(config["port"], "/ping")[0] == 503
        late = client.post(INFER, json=v2_body(pixels()))
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        leaving.join()
    assert process.wait() == 0, process.output()
    assert http_get(config["port"], "/v2/health/live")[0] == 0


def test_a_request_in_flight_is_answered_before_it_leaves(tmp_path: Path) -> None:
    config = _config(tmp_path)
    process = _server(tmp_path, config).start()
    wait_healthy(config["port"], "/v2/health/ready", process)
    body = json.dumps(v2_body(pixels())).encode()
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", config["port"])) as caller:
        caller.sendall(head + body[:10])
        http_get(config["port"], "/v2/health/live")  # by now the first half has been read
        leaving = threading.Thread(target=process.terminate)
        leaving.start()
        while http_get(config["port"], "/v2/health/live")[0]:
            time.sleep(0.01)
        caller.sendall(body[10:])
        caller.settimeout(10)
        assert caller.recv(65536).startswith(b"HTTP/1.1 200")
        leaving.join()
    assert process.wait() == 0


def test_another_content_than_the_registered_one_is_refused(tmp_path: Path) -> None:
    config = _config(tmp_path)
    (tmp_path / "d.onnx").write_bytes(b"tampered")
    process = _server(tmp_path, config).start()
    assert process.wait() == 64
    lines = process.output().strip().splitlines()
    assert len(lines) == 1
    assert "the model's content isn't the registered one" in lines[0]
    assert config["models"][0]["sha256"] in lines[0]


def test_all_problems_of_a_config_at_once(tmp_path: Path) -> None:
    config = _config(tmp_path, port=70000, colour="red")
    config["models"][0]["sha256"] = "short"
    process = _server(tmp_path, config).start()
    assert process.wait() == 64
    output = process.output()
    for path in ("port", "colour", "models.0.sha256"):
        assert f"config.json: {path}:" in output
    (tmp_path / "config.json").write_text('{"name":\n oops}')
    assert process.start().wait() == 64
    assert "config.json:2: not JSON" in process.output()


def test_a_taken_port_is_said_and_may_be_tried_again(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = _server(tmp_path, _config(tmp_path, port=port)).start()
        assert process.wait() == MissingTool.exit_code
        assert f"can't listen on 127.0.0.1:{port}" in process.output()


def test_files_that_are_no_model_for_us(tmp_path: Path) -> None:
    def refused(kind: type[Exception], text: str, **changes: Any) -> None:
        base = model("m", "1", tmp_path / "m", "0" * 64)
        with pytest.raises(kind, match=text):
            InferenceServer(server_config(base | changes))

    refused(DamagedState, "can't be read")
    (tmp_path / "m").write_bytes(b"nonsense")
    import hashlib

    digest = hashlib.sha256(b"nonsense").hexdigest()
    refused(DamagedState, "not a model that ONNX Runtime loads", sha256=digest)
    values = [helper.make_tensor_value_info(name, TensorProto.STRING, ["n"]) for name in "xy"]
    digest = write(
        tmp_path / "m", [helper.make_node("Identity", ["x"], ["y"])], values[:1], values[1:]
    )
    refused(Unsupported, "tensor.string.", sha256=digest)
    shape = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"]),
    ]
    node = helper.make_node("MatMul", ["x", "x"], ["y"])
    digest = write(tmp_path / "m", [node], shape[:1], shape[1:])
    refused(DamagedState, "fails on zeros|ONNX Runtime loads", sha256=digest)


def test_a_model_that_reduces_its_batch_is_never_batched(tmp_path: Path) -> None:
    shape = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m"]),
    ]
    node = helper.make_node("ReduceSum", ["x"], ["y"], keepdims=1)
    digest = write(tmp_path / "m", [node], shape[:1], shape[1:])
    tensor = {"name": "x", "shape": [3], "datatype": "FP32", "data": [1, 2, 3]}
    with running_server(server_config(model("m", "1", tmp_path / "m", digest))) as (_, client):
        answer = client.post("/v2/models/m/infer", json={"inputs": [tensor]})
    assert answer.json()["outputs"][0]["data"] == [6]


def test_a_version_can_be_declared_once_only(tmp_path: Path) -> None:
    sha256 = mlp(tmp_path / "d")
    twice = [model("digits", "1", tmp_path / "d", sha256)] * 2
    with pytest.raises(ValueError, match="declared twice"):
        server_config(*twice)
