"""Tiny ONNX models for tests and measurements, made without a training framework."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper, save_model


def mlp(path: Path, widths: tuple[int, ...] = (64, 32, 10), seed: int = 0) -> str:
    """Write ``pixels`` FP32 [batch, widths[0]] -> ``label`` INT64 [batch], ``probabilities`` FP32.

    Weights are random but seeded. Returns the file's sha256.
    """
    generator = np.random.default_rng(seed)
    nodes, weights = [], []
    current = "pixels"
    for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
        scale = (2 / fan_in) ** 0.5
        kernel = (generator.standard_normal((fan_in, fan_out)) * scale).astype(np.float32)
        weights += [
            numpy_helper.from_array(kernel, f"w{index}"),
            numpy_helper.from_array(np.zeros(fan_out, np.float32), f"b{index}"),
        ]
        last = index == len(widths) - 2
        nodes.append(helper.make_node("Gemm", [current, f"w{index}", f"b{index}"], [f"h{index}"]))
        current = f"h{index}"
        if not last:
            nodes.append(helper.make_node("Relu", [current], [f"r{index}"]))
            current = f"r{index}"
    nodes += [
        helper.make_node("Softmax", [current], ["probabilities"], axis=-1),
        helper.make_node("ArgMax", [current], ["label"], axis=1, keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", widths[0]])]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", widths[-1]]),
    ]
    return write(path, nodes, inputs, outputs, weights)


def write(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    weights: list[Any] | None = None,
) -> str:
    """Write a model with these nodes; returns the file's sha256."""
    graph = helper.make_graph(nodes, "test", inputs, outputs, weights or [])
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    save_model(model, str(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()
