"""A V2 client: numpy in, numpy out, over HTTP with binary tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import httpx
import numpy as np
import orjson

from workloads.serving.config import Lineage
from workloads.serving.tensors import DATATYPES, NUMPY_TYPES, Array, TensorSpec, to_bytes

_HEADER_LENGTH = "inference-header-content-length"


class EndpointUnavailableError(Exception):
    """No answer, 429 or 5xx: worth another try, after ``retry_after_seconds`` where the server said."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class EndpointRejectedError(Exception):
    """The endpoint refuses this very request (4xx); ``status`` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Prediction:
    """``outputs`` by name, first dimension the row; ``lineage`` of the model that answered."""

    outputs: dict[str, Array]
    lineage: Lineage


class InferenceClient:
    """Talks to one model of one endpoint (``http://host:port``) over a kept connection.

    Every method raises ``EndpointUnavailableError`` or ``EndpointRejectedError``.
    """

    def __init__(
        self, endpoint: str, model: str, version: str | None = None, timeout_seconds: float = 10
    ) -> None:
        suffix = f"/versions/{version}" if version is not None else ""
        self._path = f"/v2/models/{model}{suffix}"
        self._http = httpx.Client(base_url=endpoint, timeout=timeout_seconds, trust_env=False)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def inputs(self) -> list[TensorSpec]:
        """The model's inputs, as it declares them."""
        answer = self._send("GET", self._path)
        try:
            return [
                TensorSpec(item["name"], item["datatype"], tuple(item["shape"]))
                for item in orjson.loads(answer.content)["inputs"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise EndpointUnavailableError(f"its metadata can't be read: {error!r}") from None

    def infer(self, inputs: Mapping[str, Array]) -> Prediction:
        """Predict one batch."""
        tensors, blobs = [], []
        for name, array in inputs.items():
            blob = to_bytes(array)
            blobs.append(blob)
            tensors.append(
                {
                    "name": name,
                    "datatype": DATATYPES[array.dtype],
                    "shape": array.shape,
                    "parameters": {"binary_data_size": len(blob)},
                }
            )
        header = orjson.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}})
        answer = self._send(
            "POST",
            f"{self._path}/infer",
            content=b"".join([header, *blobs]),
            headers={_HEADER_LENGTH: str(len(header)), "content-type": "application/octet-stream"},
        )
        try:
            return Prediction(_outputs(answer), _lineage(answer.headers))
        except (ValueError, KeyError, TypeError) as error:
            raise EndpointUnavailableError(f"its answer can't be read: {error!r}") from None

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise EndpointUnavailableError(f"{self._http.base_url}: {error!r}") from None
        if answer.status_code == httpx.codes.OK:
            return answer
        message = f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code in (404, 408, 425, 429) or answer.status_code >= 500:
            after = answer.headers.get("retry-after", "")
            raise EndpointUnavailableError(message, float(after) if after.isdigit() else None)
        raise EndpointRejectedError(message, answer.status_code)


def _outputs(answer: httpx.Response) -> dict[str, Array]:
    length = int(answer.headers[_HEADER_LENGTH])
    outputs: dict[str, Array] = {}
    start = length
    for tensor in orjson.loads(answer.content[:length])["outputs"]:
        wanted, shape = NUMPY_TYPES[tensor["datatype"]], tuple(tensor["shape"])
        count = prod(shape)
        values = np.frombuffer(answer.content, wanted, count, start)
        outputs[tensor["name"]] = values.reshape(shape)
        start += count * wanted.itemsize
    return outputs


def _lineage(headers: httpx.Headers) -> Lineage:
    values = {key: headers[f"x-mlscale-{key.replace('_', '-')}"] for key in Lineage.model_fields}
    return Lineage.model_validate(values)
