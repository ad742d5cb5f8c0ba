"""Open Inference Protocol V2 bodies: JSON and the binary tensor extension, both ways.

A body is JSON, or, with ``Inference-Header-Content-Length: n``, n bytes of JSON followed by the raw
tensors in the order in which the JSON names them. Pure functions; nothing here knows HTTP or ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from workloads.serving.tensors import (
    DATATYPES,
    Array,
    RequestError,
    TensorSpec,
    from_bytes,
    from_json,
    to_bytes,
)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives; ``batchable`` when the first dimension of all is the row."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batchable: bool

    def input(self, name: Any) -> TensorSpec:
        """The input called ``name``; raises ``RequestError``."""
        return _named(self.inputs, name, "input")

    def output(self, name: Any) -> TensorSpec:
        """The output called ``name``; raises ``RequestError``."""
        return _named(self.outputs, name, "output")


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A checked request: all ``inputs``, ``rows`` of each, ``outputs`` as (name, binary?)."""

    inputs: dict[str, Array]
    rows: int
    outputs: tuple[tuple[str, bool], ...]
    id: str | None = None


def parse_json(body: bytes | memoryview) -> Any:
    """The JSON value of ``body``; raises ``RequestError``."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body isn't valid JSON: {error}") from None


def checked_request(
    signature: Signature,
    inputs: dict[str, Array],
    outputs: tuple[tuple[str, bool], ...],
    request_id: str | None = None,
) -> InferRequest:
    """Put a request together from its arrays; raises ``RequestError`` when one is missing."""
    if len(inputs) != len(signature.inputs):
        missing = [spec.as_json() for spec in signature.inputs if spec.name not in inputs]
        raise RequestError(f"inputs are missing: {orjson.dumps(missing).decode()}")
    rows = 1
    if signature.batchable:
        sizes = {array.shape[0] for array in inputs.values()}
        if len(sizes) > 1:
            raise RequestError(f"all inputs must have as many rows, got {sorted(sizes)}")
        rows = sizes.pop()
    return InferRequest(inputs, rows, outputs, request_id)


def parse_request(body: bytes, header_length: int | None, signature: Signature) -> InferRequest:
    """Read a V2 request; raises ``RequestError`` saying what was expected.

    ``header_length`` is the value of ``Inference-Header-Content-Length``, or None without it.
    """
    binary = memoryview(b"")
    document: bytes | memoryview = body
    if header_length is not None:
        if header_length > len(body):
            raise RequestError(
                f"Inference-Header-Content-Length is {header_length}, "
                f"the body has {len(body)} bytes"
            )
        view = memoryview(body)
        document, binary = view[:header_length], view[header_length:]
    value = parse_json(document)
    if type(value) is not dict or type(value.get("inputs")) is not list:
        raise RequestError('expected a JSON object with "inputs": a list of tensors')
    inputs: dict[str, Array] = {}
    offset = 0
    for item in value["inputs"]:
        spec, array, used = _parse_input(item, signature, binary[offset:])
        if spec.name in inputs:
            raise RequestError(f"input {spec.name!r} is given twice")
        inputs[spec.name] = array
        offset += used
    if offset != len(binary):
        raise RequestError(f"{len(binary) - offset} bytes follow the last binary tensor")
    request_id = value.get("id")
    if request_id is not None and type(request_id) is not str:
        raise RequestError('"id" must be a string')
    return checked_request(signature, inputs, _wanted_outputs(value, signature), request_id)


def render_response(
    model: str, version: str, request: InferRequest, outputs: Mapping[str, Array]
) -> tuple[bytes, int | None]:
    """The V2 response body, and the length of its JSON part when binary tensors follow it."""
    tensors: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for name, binary in request.outputs:
        array = outputs[name]
        tensor: dict[str, Any] = {
            "name": name,
            "datatype": DATATYPES[array.dtype],
            "shape": array.shape,
        }
        if binary:
            blob = to_bytes(array)
            tensor["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            tensor["data"] = array.ravel()
        tensors.append(tensor)
    value: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": tensors}
    if request.id is not None:
        value["id"] = request.id
    header = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join([header, *blobs]), len(header)) if blobs else (header, None)


def _parse_input(
    item: Any, signature: Signature, binary: memoryview
) -> tuple[TensorSpec, Array, int]:
    """One of ``inputs``: its spec, its values, how many bytes of ``binary`` they took."""
    if type(item) is not dict:
        raise RequestError(
            'each input must be an object with "name", "shape", "datatype" and "data"'
        )
    spec = signature.input(item.get("name"))
    if item.get("datatype") != spec.datatype:
        raise RequestError(
            f"input {spec.name!r}: expected datatype {spec.datatype}, "
            f"got {_shown(item.get('datatype'))}"
        )
    shape = item.get("shape")
    if type(shape) is not list:
        raise RequestError(f'input {spec.name!r}: expected "shape", a list like {list(spec.shape)}')
    checked = spec.check_shape(shape)
    size = _parameters(item).get("binary_data_size")
    if size is None:
        if "data" not in item:
            raise RequestError(f'input {spec.name!r}: expected "data"')
        return spec, from_json(spec, checked, item["data"]), 0
    if type(size) is not int or not 0 <= size <= len(binary):
        raise RequestError(
            f"input {spec.name!r}: binary_data_size {_shown(size)}, "
            f"but {len(binary)} bytes are left"
        )
    return spec, from_bytes(spec, checked, binary[:size]), size


def _wanted_outputs(value: dict[str, Any], signature: Signature) -> tuple[tuple[str, bool], ...]:
    """Which outputs the caller wants, and which of them as binary."""
    by_default = _parameters(value).get("binary_data_output") is True
    wanted = value.get("outputs")
    if wanted is None or wanted == []:
        return tuple((spec.name, by_default) for spec in signature.outputs)
    if type(wanted) is not list or not all(type(item) is dict for item in wanted):
        raise RequestError('"outputs" must be a list of objects with "name"')
    chosen: dict[str, bool] = {}
    for item in wanted:
        binary = _parameters(item).get("binary_data", by_default)
        chosen[signature.output(item.get("name")).name] = binary is True
    return tuple(chosen.items())


def _parameters(item: dict[str, Any]) -> dict[str, Any]:
    parameters = item.get("parameters")
    if parameters is None:
        return {}
    if type(parameters) is not dict:
        raise RequestError('"parameters" must be an object')
    return parameters


def _named(specs: Sequence[TensorSpec], name: Any, what: str) -> TensorSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    known = ", ".join(f"{spec.name} ({spec.datatype} {list(spec.shape)})" for spec in specs)
    raise RequestError(f"no {what} is called {_shown(name)}; the model has {known}")


def _shown(value: Any) -> str:
    """``value`` in an error message, never longer than a line."""
    return repr(value)[:80]
