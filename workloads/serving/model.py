"""One version of a model in ONNX Runtime: verified, loaded, warmed up, measured.

The file's bytes are hashed and loaded from the same buffer, so what runs is what was approved.
One intra-op thread and no spinning: on a shared machine, more threads help big batches only and
take the event loop's core (measurements in ``docs/serving.md``).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime as ort

from infra.core.errors import DamagedState, Problem, Unsupported
from workloads.serving.config import ModelConfig
from workloads.serving.protocol import Signature
from workloads.serving.tensors import ANY, NUMPY_TYPES, Array, RequestError, TensorSpec

_ORT_TYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
}
_WARM_UP_RUNS = 8
_FREE_DIMENSION_SIZE = 8  # what warm-up feeds for a free dimension that isn't the row


class InferenceError(Exception):
    """The model itself failed on values that its signature allows."""


class OnnxModel:
    """A loaded model. ``run`` may be called from any thread.

    ``seconds(rows)`` estimates a run from the warm-up's two measurements.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self._session = _session(config, _verified_bytes(config.path, config.sha256))
        inputs = _specs(config, self._session.get_inputs())
        outputs = _specs(config, self._session.get_outputs())
        self.signature = Signature(inputs, outputs, _is_batchable(inputs, outputs))
        self._output_names = [spec.name for spec in outputs]
        self._one_row_seconds = 0.0
        self._per_row_seconds = 0.0
        self._warm_up()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One run over a batch.

        Raises ``RequestError`` when ONNX Runtime calls the values invalid, else
        ``InferenceError``.
        """
        try:
            values = self._session.run(self._output_names, inputs)
        except ort.capi.onnxruntime_pybind11_state.InvalidArgument as error:
            raise RequestError(f"the model refuses these values: {_first_line(error)}") from None
        except Exception as error:
            raise InferenceError(_first_line(error)) from error
        return dict(zip(self._output_names, values, strict=True))

    def seconds(self, rows: int) -> float:
        """Estimated duration of a run over ``rows`` rows."""
        return self._one_row_seconds + self._per_row_seconds * (rows - 1)

    def _warm_up(self) -> None:
        """Run until memory and kernels are settled, and measure 1 row and a full batch."""
        self._one_row_seconds = self._measure(1)
        full = self.config.batching.max_batch_rows
        if self.signature.batchable and full > 1:
            per_row = (self._measure(full) - self._one_row_seconds) / (full - 1)
            self._per_row_seconds = max(0.0, per_row)

    def _measure(self, rows: int) -> float:
        feeds = {spec.name: _zeros(spec, rows) for spec in self.signature.inputs}
        durations = []
        for _ in range(_WARM_UP_RUNS):
            started = time.perf_counter()
            try:
                outputs = self.run(feeds)
            except (RequestError, InferenceError) as error:
                raise _damaged(
                    self.config, f"fails on zeros of its own signature: {error}"
                ) from None
            durations.append(time.perf_counter() - started)
        if self.signature.batchable and any(
            array.ndim == 0 or array.shape[0] != rows for array in outputs.values()
        ):
            self.signature = Signature(self.signature.inputs, self.signature.outputs, False)
        return median(durations[_WARM_UP_RUNS // 2 :])


def _verified_bytes(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedState(
            Problem(
                f"the model can't be read: {error.strerror}",
                file=str(path),
                fix="publish it again (mlscale up re-runs the registry step)",
            )
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DamagedState(
            Problem(
                f"the model's content isn't the registered one: sha256 {found}",
                file=str(path),
                expected=f"sha256 {sha256}",
                fix="restore the file or publish the model again; it isn't served as it is",
            )
        )
    return content


def _session(config: ModelConfig, content: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # errors come back as exceptions, one line a request is too many
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no base class
        raise _damaged(
            config, f"not a model that ONNX Runtime loads: {_first_line(error)}"
        ) from None


def _specs(config: ModelConfig, arguments: Sequence[Any]) -> tuple[TensorSpec, ...]:
    specs = []
    for argument in arguments:
        datatype = _ORT_TYPES.get(argument.type)
        shape = tuple(size if type(size) is int else ANY for size in argument.shape)
        if datatype is None or 0 in shape:
            raise Unsupported(
                Problem(
                    f"{argument.name!r} is {argument.type} {argument.shape}",
                    file=str(config.path),
                    path=config.name,
                    expected=f"tensors of {', '.join(NUMPY_TYPES)}",
                    fix="export the model with numeric inputs and outputs",
                )
            )
        specs.append(TensorSpec(argument.name, datatype, shape))
    return tuple(specs)


def _is_batchable(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bool:
    return all(spec.shape[:1] == (ANY,) for spec in (*inputs, *outputs))


def _zeros(spec: TensorSpec, rows: int) -> Array:
    free = [_FREE_DIMENSION_SIZE if size == ANY else size for size in spec.shape]
    if spec.shape[:1] == (ANY,):
        free[0] = rows
    return np.zeros(free, dtype=spec.numpy_type)


def _damaged(config: ModelConfig, what: str) -> DamagedState:
    return DamagedState(
        Problem(what, file=str(config.path), path=f"{config.name}/{config.version}")
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
