"""Any bytes at all: 4xx, never 5xx, and the server goes on."""

from __future__ import annotations

import json
import socket
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.serving.conftest import Served, pixels, v2_body

PATHS = [
    "/v2/models/digits/infer",
    "/v2/models/pair/infer",
    "/v2/models/fixed/infer",
    "/v2/models/lookup/infer",
    "/v1/models/digits:predict",
    "/v1/models/pair:predict",
    "/v1/models/lookup:predict",
    "/predictions/digits",
    "/predictions/fixed",
    "/predictions/lookup",
]
quick = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.none())
values = st.recursive(
    st.one_of(numbers, st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.sampled_from(["pixels", "index", "a", "b", "x", "data"]), inner),
    ),
    max_leaves=20,
)
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(st.sampled_from(["pixels", "index", "a", "b", "x"]), values),
        "shape": st.one_of(st.lists(st.integers(-2, 70), max_size=3), values),
        "datatype": st.one_of(st.sampled_from(["FP32", "FP64", "INT64", "INT32"]), values),
        "data": st.one_of(st.lists(numbers, max_size=70), values),
        "parameters": st.one_of(
            st.fixed_dictionaries({"binary_data_size": st.one_of(st.integers(-1, 300), values)}),
            values,
        ),
    },
)
documents = st.one_of(
    values,
    st.fixed_dictionaries(
        {"inputs": st.one_of(st.lists(tensors, max_size=3), values)},
        optional={
            "id": values,
            "outputs": st.one_of(st.lists(tensors, max_size=2), values),
            "parameters": values,
        },
    ),
    st.fixed_dictionaries({"instances": st.one_of(st.lists(values, max_size=4), values)}),
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "inference-header-content-length": st.one_of(
            st.integers(0, 400).map(str), st.sampled_from(["-1", "9" * 30, "", "x"])
        ),
        "content-encoding": st.sampled_from(["gzip", "deflate", "identity", "br", ""]),
        "x-request-id": st.text(st.characters(min_codepoint=33, max_codepoint=126)),
        "content-type": st.sampled_from(["application/json", "text/plain"]),
    },
)


def _check(served: Served, path: str, body: bytes, extra: dict[str, str]) -> None:
    answer = served.http.post(path, content=body, headers=extra)
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        assert set(answer.json()) == {"error"}


@quick
@given(path=st.sampled_from(PATHS), body=st.binary(max_size=400), extra=headers)
def test_any_bytes(served: Served, path: str, body: bytes, extra: dict[str, str]) -> None:
    _check(served, path, body, extra)


@quick
@given(path=st.sampled_from(PATHS), document=documents, tail=st.binary(max_size=64), extra=headers)
def test_any_json(
    served: Served, path: str, document: Any, tail: bytes, extra: dict[str, str]
) -> None:
    body = json.dumps(document).encode()
    _check(served, path, body, extra | {"content-encoding": "identity"})
    length = {"inference-header-content-length": str(len(body))}
    _check(served, path, body + tail, length)


@quick
@given(data=st.data())
def test_a_valid_body_with_bytes_changed(served: Served, data: st.DataObject) -> None:
    body = bytearray(json.dumps(v2_body(pixels())).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    _check(served, PATHS[0], bytes(body), {})


@settings(quick, max_examples=60)
@given(head=st.binary(max_size=200), path=st.binary(max_size=40))
def test_anything_on_the_wire(served: Served, head: bytes, path: bytes) -> None:
    with socket.create_connection(served.server.socket.getsockname(), timeout=5) as caller:
        caller.sendall(
            b"POST /" + path + b" HTTP/1.1\r\nconnection: close\r\n" + head + b"\r\n\r\n"
        )
        caller.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while chunk := caller.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
    assert b"HTTP/1.1 5" not in answer
    assert served.http.get("/v2/health/ready").status_code == 200
