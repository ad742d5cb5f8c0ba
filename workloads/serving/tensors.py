"""Tensors of the Open Inference Protocol: datatypes, signatures, JSON and binary values.

Source: https://github.com/kserve/open-inference-protocol, ``inference_rest.md``, and Triton's
``extension_binary_data.md``. Binary values are little-endian and row-major.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# V2 datatype -> little-endian numpy type. BYTES isn't here: models of strings are refused.
NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
DATATYPES = {dtype: name for name, dtype in NUMPY_TYPES.items()}
ANY = -1  # a dimension of a signature that a request may choose

# JSON values numpy may have inferred, by kind of the wanted type.
_ACCEPTED_KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}


class RequestError(Exception):
    """The request can't be served; ``status`` is the HTTP status, the message is for the caller."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model: ``shape`` has ``ANY`` where a size is free."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def numpy_type(self) -> np.dtype[Any]:
        """The numpy type of the values, little-endian."""
        return NUMPY_TYPES[self.datatype]

    def as_json(self) -> dict[str, Any]:
        """As in V2's model metadata."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}

    def check_shape(self, shape: Sequence[Any]) -> tuple[int, ...]:
        """``shape`` as a tuple; raises ``RequestError`` when the model can't take it."""
        wanted = self.shape
        if len(shape) == len(wanted):
            for got, want in zip(shape, wanted, strict=True):
                if type(got) is not int or (got != want if want != ANY else got < 1):
                    break
            else:
                return tuple(shape)
        shown = (
            list(shape[:8]) if all(type(size) is int for size in shape[:8]) else "something else"
        )
        raise RequestError(
            f"input {self.name!r}: expected shape {list(wanted)} "
            f"({ANY} = any size from 1), got {shown}"
        )


def from_json(spec: TensorSpec, shape: tuple[int, ...], data: Any) -> Array:
    """JSON numbers, flat or nested, as an array of ``shape``; raises ``RequestError``."""
    try:
        inferred = np.asarray(data)
    except (ValueError, OverflowError):
        raise RequestError(f"input {spec.name!r}: data is ragged or out of range") from None
    wanted = spec.numpy_type
    if inferred.size != prod(shape) or inferred.ndim == 0:
        raise RequestError(
            f"input {spec.name!r}: shape {list(shape)} needs {prod(shape)} values, "
            f"got {inferred.size}"
        )
    if inferred.dtype.kind not in _ACCEPTED_KINDS[wanted.kind]:
        raise RequestError(f"input {spec.name!r}: data must be {spec.datatype} values only")
    try:
        values: Array = _cast(inferred, wanted).reshape(shape)
        return values
    except FloatingPointError:
        raise RequestError(f"input {spec.name!r}: a value is beyond {spec.datatype}") from None


def _cast(array: Array, wanted: np.dtype[Any]) -> Array:
    """``array`` as ``wanted``; raises ``FloatingPointError`` when a value doesn't fit."""
    if wanted.kind in "iu":
        limits = np.iinfo(wanted)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise FloatingPointError
        return array.astype(wanted)
    with np.errstate(over="raise"):
        return array.astype(wanted)


def from_bytes(spec: TensorSpec, shape: tuple[int, ...], raw: memoryview) -> Array:
    """Binary values as an array of ``shape`` (a view where it can be); raises ``RequestError``."""
    wanted = spec.numpy_type
    expected = prod(shape) * wanted.itemsize
    if len(raw) != expected:
        raise RequestError(
            f"input {spec.name!r}: {spec.datatype} {list(shape)} needs {expected} bytes, "
            f"got {len(raw)}"
        )
    if wanted.kind == "b":  # any byte but 0 and 1 would be an invalid bool
        return np.frombuffer(raw, dtype=np.uint8).astype(np.bool_).reshape(shape)
    return np.frombuffer(raw, dtype=wanted).reshape(shape)


def to_bytes(array: Array) -> bytes:
    """Row-major little-endian bytes of ``array``."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
