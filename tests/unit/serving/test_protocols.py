"""What clients see: V2 with JSON and binary tensors, TF Serving, TorchServe, errors."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import httpx
import numpy as np
import pytest

from tests.unit.serving.conftest import Served, pixels, reference, v2_body
from workloads.serving.client import (
    EndpointRejectedError,
    EndpointUnavailableError,
    InferenceClient,
)

INFER = "/v2/models/digits/infer"


def test_v2_json_predicts_with_lineage(served: Served) -> None:
    values = pixels(3)
    answer = served.http.post(INFER, json=v2_body(values) | {"id": "mine"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("digits", "2", "mine")
    outputs = {item["name"]: item for item in body["outputs"]}
    label, probabilities = reference(served.models / "d2.onnx", values)
    assert outputs["label"] == {
        "name": "label",
        "datatype": "INT64",
        "shape": [3],
        "data": label.tolist(),
    }
    assert outputs["probabilities"]["shape"] == [3, 10]
    np.testing.assert_allclose(
        outputs["probabilities"]["data"], probabilities.ravel(), rtol=1e-5, atol=1e-7
    )
    assert answer.headers["x-mlscale-run-id"] == "run-1"
    assert answer.headers["x-mlscale-model-version"] == "7"
    assert answer.headers["x-mlscale-data-snapshot"] == "12345"
    assert answer.headers["x-mlscale-code-sha256"] == "c0de"


def test_request_ids_are_echoed_or_made(served: Served) -> None:
    given = served.http.post(INFER, json=v2_body(pixels()), headers={"x-request-id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    made = [served.http.post(INFER, json=v2_body(pixels())).headers["x-request-id"] for _ in "ab"]
    assert made[0] != made[1]
    odd = served.http.post(INFER, content=b"{", headers={"x-request-id": "a b" * 100})
    assert odd.status_code == 400
    assert len(odd.headers["x-request-id"]) < 64


def test_nested_data_named_outputs_and_a_version(served: Served) -> None:
    values = pixels(2)
    body = v2_body(values, data=values.tolist()) | {"outputs": [{"name": "label"}]}
    answer = served.http.post("/v2/models/digits/versions/1/infer", json=body).json()
    assert answer["model_version"] == "1"
    assert [item["name"] for item in answer["outputs"]] == ["label"]
    assert answer["outputs"][0]["data"] == reference(served.models / "d1.onnx", values)[0].tolist()


def test_the_binary_client_gets_the_same_bits(served: Served) -> None:
    client = InferenceClient(served.server.url, "digits", "1")
    values = pixels(5)
    assert [spec.as_json() for spec in client.inputs()] == [
        {"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}
    ]
    prediction = client.infer({"pixels": values})
    label, probabilities = reference(served.models / "d1.onnx", values)
    np.testing.assert_array_equal(prediction.outputs["label"], label)
    np.testing.assert_array_equal(prediction.outputs["probabilities"], probabilities)
    assert prediction.lineage.model_version == "7"
    with pytest.raises(EndpointRejectedError, match="expected shape"):
        client.infer({"pixels": values[:, :3]})
    client.close()
    gone = InferenceClient(served.server.url, "nothing")
    with pytest.raises(EndpointUnavailableError, match="this server has"):
        gone.inputs()
    gone.close()


def test_mixed_json_and_binary(served: Served) -> None:
    a = np.array([[1.5, 2.5]])
    tensors: list[dict[str, Any]] = [
        {"name": "b", "shape": [1, 2], "datatype": "FP64", "data": [1, 5]},
        {"name": "a", "shape": [1, 2], "datatype": "FP64", "parameters": {"binary_data_size": 16}},
    ]
    outputs = [{"name": "flag", "parameters": {"binary_data": True}}, {"name": "sum"}]
    header = json.dumps({"inputs": tensors, "outputs": outputs}).encode()
    answer = served.http.post(
        "/v2/models/pair/infer",
        content=header + a.tobytes(),
        headers={"inference-header-content-length": str(len(header))},
    )
    assert answer.status_code == 200, answer.text
    length = int(answer.headers["inference-header-content-length"])
    body = json.loads(answer.content[:length])
    assert body["outputs"][0]["parameters"] == {"binary_data_size": 2}
    assert body["outputs"][1]["data"] == [2.5, 7.5]
    assert answer.content[length:] == b"\x00\x01"
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_model_without_a_batch_dimension(served: Served) -> None:
    tensor = {"name": "x", "shape": [2, 2], "datatype": "INT32", "data": [0, 1, 4, 9]}
    answer = served.http.post("/v2/models/fixed/infer", json={"inputs": [tensor]})
    assert answer.json()["outputs"][0]["data"] == [0, 1, 2, 3]
    refused = served.http.post("/v1/models/fixed:predict", json={"instances": [[0, 1]]})
    assert refused.status_code == 400
    wrapped = served.http.post("/v1/models/fixed:predict", json={"inputs": [[0, 1], [4, 9]]})
    assert wrapped.json() == {"predictions": [[[0, 1], [2, 3]]]}


def test_tf_serving_dialect(served: Served) -> None:
    values = pixels(2)
    label, _ = reference(served.models / "d2.onnx", values)
    url = "/v1/models/digits:predict"
    rows = served.http.post(url, json={"instances": values.tolist()}).json()["predictions"]
    assert [row["label"] for row in rows] == label.tolist()
    assert len(rows[0]["probabilities"]) == 10
    named = {"instances": [{"pixels": row} for row in values.tolist()]}
    assert served.http.post(url, json=named).json()["predictions"] == rows
    columns = {"inputs": {"pixels": values.tolist()}}
    assert served.http.post(url, json=columns).json()["predictions"] == rows
    lookup = served.http.post(
        "/v1/models/lookup/versions/1:predict", json={"instances": [3, 0]}
    ).json()
    assert lookup == {"predictions": [[9, 10, 11], [0, 1, 2]]}
    pair = {"instances": [{"a": [1], "b": [2]}, {"a": [3], "b": [2]}]}
    answer = served.http.post("/v1/models/pair:predict", json=pair).json()
    assert answer["predictions"] == [{"sum": [3], "flag": [True]}, {"sum": [5], "flag": [False]}]
    status = served.http.get("/v1/models/digits").json()["model_version_status"]
    assert [(item["version"], item["state"]) for item in status] == [
        ("1", "AVAILABLE"),
        ("2", "AVAILABLE"),
    ]


def test_torchserve_dialect(served: Served) -> None:
    values = pixels(2)
    label, _ = reference(served.models / "d1.onnx", values)
    url = "/predictions/digits/1"
    one = served.http.post(url, json=values[0].tolist()).json()
    assert one["label"] == label[0]
    assert served.http.post(url, json={"data": values[0].tolist()}).json() == one
    many = served.http.post(url, json=values.tolist()).json()
    assert [row["label"] for row in many] == label.tolist()
    assert served.http.post(url, json={"instances": values.tolist()}).json() == many
    assert served.http.post("/predictions/lookup", json=2).json() == [6, 7, 8]
    assert served.http.post("/predictions/pair", json={"a": [1], "b": [1]}).json()["sum"] == [2]
    assert served.http.get("/ping").json() == {"status": "Healthy"}


BAD_BODIES: dict[str, tuple[Any, str]] = {
    "no object": ([1], "inputs"),
    "no inputs": ({}, "inputs"),
    "input not an object": ({"inputs": [3]}, "each input must be an object"),
    "unknown input": (v2_body(pixels(), name="pixel"), "pixels (FP32 [-1, 64])"),
    "datatype": (v2_body(pixels(), datatype="FP64"), "expected datatype FP32"),
    "no shape": (v2_body(pixels(), shape=None), 'expected "shape"'),
    "columns": (v2_body(pixels(), shape=[1, 63]), "expected shape [-1, 64]"),
    "no rows": (v2_body(pixels(), shape=[0, 64], data=[]), "expected shape [-1, 64]"),
    "negative": (v2_body(pixels(), shape=[-1, 64]), "expected shape [-1, 64]"),
    "shape of strings": (v2_body(pixels(), shape=["1", "64"]), "something else"),
    "a huge shape": (v2_body(pixels(), shape=[10**18, 64]), "needs 64"),
    "too few values": (v2_body(pixels(), data=[1.0]), "needs 64 values, got 1"),
    "strings": (v2_body(pixels(), data=["1"] * 64), "must be FP32 values only"),
    "nulls": (v2_body(pixels(), data=[None] * 64), "must be FP32 values only"),
    "booleans": (v2_body(pixels(), data=[True] * 64), "must be FP32 values only"),
    "ragged": (v2_body(pixels(), data=[[1.0], [1.0, 2.0]]), "ragged"),
    "a number": (v2_body(pixels(), data=3), "needs 64 values"),
    "beyond FP32": (v2_body(pixels(), data=[1e39] * 64), "beyond FP32"),
    "no data": ({"inputs": [{"name": "pixels", "shape": [1, 64], "datatype": "FP32"}]}, '"data"'),
    "twice": ({"inputs": v2_body(pixels())["inputs"] * 2}, "given twice"),
    "missing": ({"inputs": []}, "inputs are missing"),
    "id": (v2_body(pixels()) | {"id": 3}, '"id" must be a string'),
    "parameters": (v2_body(pixels()) | {"parameters": 3}, '"parameters" must be an object'),
    "outputs": (v2_body(pixels()) | {"outputs": 3}, '"outputs" must be a list'),
    "unknown output": (v2_body(pixels()) | {"outputs": [{"name": "x"}]}, "no output is called 'x'"),
    "binary size": (v2_body(pixels(), parameters={"binary_data_size": 256}), "0 bytes are left"),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_bad_body_is_400_and_says_what_was_expected(served: Served, case: str) -> None:
    body, expected = BAD_BODIES[case]
    answer = served.http.post(INFER, json=body)
    assert answer.status_code == 400
    assert expected in answer.json()["error"]
    assert "x-request-id" in answer.headers


def test_integers_out_of_range_and_unequal_rows(served: Served) -> None:
    tensor = {"name": "x", "shape": [2, 2], "datatype": "INT32", "data": [0, 1, 4, 2**31]}
    answer = served.http.post("/v2/models/fixed/infer", json={"inputs": [tensor]})
    assert (answer.status_code, "beyond INT32" in answer.text) == (400, True)
    pair = [
        {"name": name, "shape": [rows, 1], "datatype": "FP64", "data": [1.0] * rows}
        for name, rows in (("a", 1), ("b", 2))
    ]
    answer = served.http.post("/v2/models/pair/infer", json={"inputs": pair})
    assert (answer.status_code, "as many rows" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("content", "length", "expected"),
    [
        (b"{}", "3", "the body has 2 bytes"),
        (b"{}", "x", "must be a number of bytes"),
        (b'{"inputs":[]}AAAA', "13", "4 bytes follow"),
        (
            b'{"inputs":[{"name":"pixels","shape":[1,64],"datatype":"FP32",'
            b'"parameters":{"binary_data_size":2}}]}AA',
            "99",
            "needs 256 bytes, got 2",
        ),
    ],
)
def test_bad_binary_bodies(served: Served, content: bytes, length: str, expected: str) -> None:
    headers = {"inference-header-content-length": length}
    answer = served.http.post(INFER, content=content, headers=headers)
    assert (answer.status_code, expected in answer.text) == (400, True), answer.text


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/models/digits:predict", {"rows": []}, "instances"),
        ("/v1/models/digits:predict", {"instances": []}, "at least one row"),
        ("/v1/models/digits:predict", {"instances": 3}, "at least one row"),
        ("/v1/models/digits:predict", {"instances": [[1, 2]]}, "expected shape"),
        ("/v1/models/digits:predict", {"instances": [{"pixels": []}, {}]}, "the same inputs"),
        ("/v1/models/pair:predict", {"instances": [[1]]}, "several inputs"),
        ("/predictions/digits", "text", "expected shape"),
        ("/predictions/digits", [[]], "expected shape"),
    ],
)
def test_bad_bodies_of_the_other_dialects(
    served: Served, path: str, body: object, expected: str
) -> None:
    answer = served.http.post(path, json=body)
    assert (answer.status_code, expected in answer.json()["error"]) == (400, True), answer.text


def test_one_callers_bad_value_is_its_own_fault(served: Served) -> None:
    tensor = {"name": "index", "shape": [1], "datatype": "INT64", "data": [9]}
    answer = served.http.post("/v2/models/lookup/infer", json={"inputs": [tensor]})
    assert answer.status_code == 400
    assert "refuses these values" in answer.json()["error"]


def test_paths_methods_and_names(served: Served) -> None:
    http = served.http
    assert http.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert http.get("/v2/models").json() == {"models": ["digits", "fixed", "lookup", "pair"]}
    assert http.get("/v2/health/live").status_code == 200
    assert http.head("/v2/health/ready").status_code == 200
    assert http.get("/v2/models/digits/versions/1/ready").json() == {"ready": True}
    metadata = http.get("/v2/models/digits").json()
    assert (metadata["versions"], metadata["platform"]) == (["1", "2"], "onnxruntime_onnx")
    missing = {
        "/v2/models/other/infer": "this server has digits, fixed, lookup, pair",
        "/v2/models/digits/versions/9/infer": "has versions 1, 2",
        "/v1/models/other:predict": "this server has",
        "/predictions/digits/9": "has versions 1, 2",
        "/predictions/../../etc/passwd": "no such",
        "/v2/models/..%2f..%2fetc": "this server has",
        "/nothing": "no such path",
    }
    for path, expected in missing.items():
        answer = http.post(path, json={})
        assert (answer.status_code, expected in answer.json()["error"]) == (404, True), path
    answer = http.get(INFER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_the_openapi_paths_exist(served: Served) -> None:
    document = served.http.get("/openapi.json").json()
    for path, item in document["paths"].items():
        values = {each["name"]: each["schema"]["enum"][0] for each in item.get("parameters", [])}
        for method in item.keys() - {"parameters"}:
            answer = served.http.request(method, path.format(**values), content=b"{}")
            assert answer.status_code in (200, 400), (method, path)
            assert str(answer.status_code) in item[method]["responses"]


def test_payload_limit_and_encodings(served: Served) -> None:
    limit = 256 * 1024
    declared = served.http.post(INFER, content=b" " * (limit + 1))
    assert (declared.status_code, declared.headers["connection"]) == (413, "close")
    chunked = served.http.post(INFER, content=iter([b" " * limit, b" "]))
    assert chunked.status_code == 413
    body = json.dumps(v2_body(pixels())).encode()
    for encoding, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        answer = served.http.post(INFER, content=packed, headers={"content-encoding": encoding})
        assert answer.status_code == 200, answer.text
    bomb = gzip.compress(b" " * 50 * 2**20)
    assert len(bomb) < limit
    cases = [
        ("gzip", bomb, 413),
        ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(body)[:-9], 400),
        ("br", body, 415),
        ("identity", body, 200),
    ]
    for encoding, content, status in cases:
        answer = served.http.post(INFER, content=content, headers={"content-encoding": encoding})
        assert answer.status_code == status, (encoding, status)
    split = served.http.post(INFER, content=iter([body[:10], body[10:]]))
    assert split.status_code == 200


def test_the_default_version_is_the_highest_number(served: Served) -> None:
    from workloads.serving.repository import _natural

    versions = ["9", "10", "1.9", "1.10", "rc1", "2"]
    assert sorted(versions, key=_natural) == ["rc1", "1.9", "1.10", "2", "9", "10"]
    assert isinstance(served.http, httpx.Client)
