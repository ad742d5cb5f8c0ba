"""TF Serving's ``:predict`` and TorchServe's ``/predictions`` bodies, for clients that speak those.

Sources: https://www.tensorflow.org/tfx/serving/api_rest and
https://pytorch.org/serve/inference_api.html. Both end in the same checked request as V2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from workloads.serving.protocol import (
    InferRequest,
    Signature,
    checked_request,
    parse_json,
    parse_request,
    render_response,
)
from workloads.serving.tensors import Array, RequestError, TensorSpec, from_json


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one family of clients writes a request and reads an answer.

    ``parse(body, inference header length or None, signature)``;
    ``render(model, version, request, outputs)`` gives the body and, for V2 with binary tensors, the
    length of its JSON part.
    """

    parse: Callable[[bytes, int | None, Signature], InferRequest]
    render: Callable[[str, str, InferRequest, Mapping[str, Array]], tuple[bytes, int | None]]


def _parse_tf_serving(body: bytes, _length: int | None, signature: Signature) -> InferRequest:
    value = parse_json(body)
    if type(value) is dict and "instances" in value:
        return _from_rows(value["instances"], signature)
    if type(value) is dict and "inputs" in value:
        columns = value["inputs"]
        if type(columns) is not dict:
            columns = {_only_input(signature).name: columns}
        return _from_columns(columns, signature)
    raise RequestError('expected a JSON object with "instances": [row, …] or "inputs": columns')


def _render_tf_serving(
    _model: str, _version: str, request: InferRequest, outputs: Mapping[str, Array]
) -> tuple[bytes, int | None]:
    return _dumps({"predictions": _rows(request, outputs)}), None


def _parse_torchserve(body: bytes, _length: int | None, signature: Signature) -> InferRequest:
    """One row, a list of rows, or the envelopes ``{"data": row}`` and ``{"instances": rows}``."""
    value = parse_json(body)
    if type(value) is dict and "instances" in value:
        return _from_rows(value["instances"], signature)
    if type(value) is dict and "data" in value:
        value = value["data"]
    nested = type(value) is list and bool(value) and type(value[0]) in (list, dict)
    rank = len(signature.inputs[0].shape) - 1  # of one row; a scalar row has rank 0
    many = nested and (rank <= 1 or _depth(value) > rank or type(value[0]) is dict)
    return _from_rows(value if many else [value], signature)


def _render_torchserve(
    _model: str, _version: str, request: InferRequest, outputs: Mapping[str, Array]
) -> tuple[bytes, int | None]:
    rows = _rows(request, outputs)
    return _dumps(rows if request.rows > 1 else rows[0]), None


V2 = Dialect(parse_request, render_response)
TF_SERVING = Dialect(_parse_tf_serving, _render_tf_serving)
TORCHSERVE = Dialect(_parse_torchserve, _render_torchserve)


def _from_rows(rows: Any, signature: Signature) -> InferRequest:
    """``[row, …]`` where a row is the only input's value or ``{input: value}``."""
    if not signature.batchable:
        raise RequestError("this model has no batch dimension; use /v2/models/NAME/infer")
    if type(rows) is not list or not rows:
        raise RequestError("expected a list of at least one row")
    if all(type(row) is dict for row in rows):
        columns: dict[str, list[Any]] = {}
        for row in rows:
            if row.keys() != rows[0].keys():
                raise RequestError("all rows must name the same inputs")
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        return _from_columns(columns, signature)
    return _from_columns({_only_input(signature).name: rows}, signature)


def _from_columns(columns: Mapping[str, Any], signature: Signature) -> InferRequest:
    inputs = {name: _nested(signature.input(name), value) for name, value in columns.items()}
    outputs = tuple((spec.name, False) for spec in signature.outputs)
    return checked_request(signature, inputs, outputs)


def _nested(spec: TensorSpec, value: Any) -> Array:
    """A nested list whose shape is its own; raises ``RequestError``."""
    shape: list[int] = []
    level = value
    while type(level) is list and len(shape) <= len(spec.shape):
        shape.append(len(level))
        level = level[0] if level else None
    return from_json(spec, spec.check_shape(shape), value)


def _depth(value: Any) -> int:
    depth = 0
    while type(value) is list and value:
        depth, value = depth + 1, value[0]
    return depth


def _only_input(signature: Signature) -> TensorSpec:
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise RequestError(
            f"this model has several inputs; each row must be an object with {names}"
        )
    return signature.inputs[0]


def _rows(request: InferRequest, outputs: Mapping[str, Array]) -> list[Any]:
    """Row by row: the value of the only output, or ``{output: value}``."""
    chosen = [outputs[name] for name, _ in request.outputs]
    if any(array.ndim == 0 or array.shape[0] != request.rows for array in chosen):
        chosen = [np.expand_dims(array, 0) for array in chosen]
    columns = [_values(array) for array in chosen]
    if len(columns) == 1:
        return columns[0]
    names = [name for name, _ in request.outputs]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(array: Array) -> list[Any]:
    """The rows of ``array``, as orjson takes them: it doesn't know all of numpy's integers."""
    return array.tolist() if array.ndim == 1 and array.dtype.kind in "iub" else list(array)


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
