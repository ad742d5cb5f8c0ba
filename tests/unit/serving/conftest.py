"""Models and one shared server for the server's tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support.onnx_models import mlp, write
from tests.support.serving import LINEAGE, running_server, server_config
from workloads.serving.server import InferenceServer


@dataclass
class Served:
    """The shared server: two versions of ``digits``, ``lookup``, ``fixed`` and ``pair``."""

    server: InferenceServer
    http: httpx.Client
    models: Path


def model(name: str, version: str, path: Path, sha256: str, **changes: Any) -> dict[str, Any]:
    """A model of a config."""
    base = {"name": name, "version": version, "path": path, "sha256": sha256, "lineage": LINEAGE}
    return base | changes


def _value(name: str, kind: int, shape: list[Any]) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def write_lookup(path: Path) -> str:
    """``index`` INT64 [batch] -> ``row`` FP32 [batch, 3]; an index beyond 0..3 makes it fail."""
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    return write(
        path,
        [helper.make_node("Gather", ["table", "index"], ["row"])],
        [_value("index", TensorProto.INT64, ["batch"])],
        [_value("row", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(table, "table")],
    )


def write_pair(path: Path) -> str:
    """``a`` FP64 [batch, n] and ``b`` of the same shape -> ``sum``; ``flag`` BOOL [batch, n]."""
    shape: list[Any] = ["batch", "n"]
    return write(
        path,
        [
            helper.make_node("Add", ["a", "b"], ["sum"]),
            helper.make_node("Less", ["a", "b"], ["flag"]),
        ],
        [_value("a", TensorProto.DOUBLE, shape), _value("b", TensorProto.DOUBLE, shape)],
        [_value("sum", TensorProto.DOUBLE, shape), _value("flag", TensorProto.BOOL, shape)],
    )


def write_fixed(path: Path) -> str:
    """``x`` INT32 [2, 2] -> ``y``, its square root as FP32: no batch dimension."""
    nodes = [
        helper.make_node("Cast", ["x"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sqrt", ["float"], ["y"]),
    ]
    return write(
        path,
        nodes,
        [_value("x", TensorProto.INT32, [2, 2])],
        [_value("y", TensorProto.FLOAT, [2, 2])],
    )


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("models")
    config = server_config(
        model("digits", "1", folder / "d1.onnx", mlp(folder / "d1.onnx", seed=1)),
        model("digits", "2", folder / "d2.onnx", mlp(folder / "d2.onnx", seed=2)),
        model("lookup", "1", folder / "l.onnx", write_lookup(folder / "l.onnx")),
        model("pair", "1", folder / "p.onnx", write_pair(folder / "p.onnx")),
        model("fixed", "1", folder / "f.onnx", write_fixed(folder / "f.onnx")),
        payload_limit_mib=0.25,
    )
    with running_server(config) as (server, client):
        yield Served(server, client, folder)


def reference(path: Path, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label and probabilities from ONNX Runtime directly."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    label, probabilities = session.run(["label", "probabilities"], {"pixels": pixels})
    return label, probabilities


def pixels(rows: int = 1, seed: int = 0) -> np.ndarray:
    """FP32 [rows, 64]."""
    return np.random.default_rng(seed).uniform(0, 16, (rows, 64)).astype(np.float32)


def v2_body(values: np.ndarray, **changes: Any) -> dict[str, Any]:
    """A V2 request for ``digits``."""
    tensor = {
        "name": "pixels",
        "shape": list(values.shape),
        "datatype": "FP32",
        "data": values.ravel().tolist(),
    }
    return {"inputs": [tensor | changes]}
