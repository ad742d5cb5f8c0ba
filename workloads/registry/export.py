"""A trained model as ONNX bytes, the same bytes for the same weights, checked against torch."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from infra.core.errors import Problem, Refused
from workloads.manifest import Manifest

_OPSET = 18
_EXAMPLE_ROWS = 2
# float32 kernels of two libraries: a few units in the last place of values up to 1.
_TOLERANCE = 1e-4


def export_onnx(served: nn.Module, manifest: Manifest, features: Tensor) -> bytes:
    """``served`` with the manifest's names and a free batch, checked on ``features`` [rows, …].

    Raises ``Refused`` where onnxruntime's answers differ from torch's by more than ``1e-4``.
    """
    served.eval()
    names = [tensor.name for tensor in (*manifest.inputs, *manifest.outputs)]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "model.onnx"
        # The exporter through TorchScript takes 0.5 s against 15 s, and torch warns that it's old.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            served,
            (features[:_EXAMPLE_ROWS],),
            path,
            input_names=[tensor.name for tensor in manifest.inputs],
            output_names=[tensor.name for tensor in manifest.outputs],
            dynamic_axes={name: {0: "batch"} for name in names},
            opset_version=_OPSET,
            dynamo=False,
        )
        content = path.read_bytes()
    _compare(content, served, manifest, features)
    return content


def run_onnx(content: bytes, features: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """The outputs for all rows, in the model's order."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    outputs: list[npt.NDArray[Any]] = session.run(None, {session.get_inputs()[0].name: features})
    return outputs


def _compare(content: bytes, served: nn.Module, manifest: Manifest, features: Tensor) -> None:
    with torch.no_grad():
        answer = served(features)
    expected = answer if isinstance(answer, tuple) else (answer,)
    found = run_onnx(content, features.numpy())
    problems = []
    for declared, ours, theirs in zip(manifest.outputs, expected, found, strict=True):
        if str(theirs.dtype) != declared.dtype:
            problems.append(Problem(f"{theirs.dtype}", path=declared.name, expected=declared.dtype))
        difference = np.abs(ours.numpy().astype(np.float64) - theirs).max()
        if not difference <= _TOLERANCE:
            problems.append(
                Problem(
                    f"differs from torch by {difference:.3g}",
                    path=declared.name,
                    expected=f"at most {_TOLERANCE:g}",
                )
            )
    if problems:
        raise Refused([Problem("the exported model is not the trained one"), *problems])
