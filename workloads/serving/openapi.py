"""The server's OpenAPI 3.1 description, with the models it serves as examples of the names."""

from __future__ import annotations

from typing import Any

from workloads.serving.repository import Repository

_TENSOR: dict[str, Any] = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string"},
        "parameters": {"type": "object"},
        "data": {"type": "array"},
    },
}
_SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
    },
    "Tensor": _TENSOR,
    "InferRequest": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
            "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
        },
    },
    "InferResponse": {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
        },
    },
    "PredictRequest": {
        "type": "object",
        "properties": {"instances": {"type": "array"}, "inputs": {}},
    },
    "PredictResponse": {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array"}},
    },
}
_PAGES = {
    "/v2": "Server metadata",
    "/v2/health/live": "Is the process alive",
    "/v2/health/ready": "May requests be sent (503 while draining)",
    "/v2/models": "The models' names",
    "/ping": "TorchServe's health check (503 while draining)",
    "/metrics": "Prometheus metrics",
    "/openapi.json": "This description",
}
_ERRORS = {
    "400": "The body doesn't fit the model's signature",
    "404": "No such model or version",
    "408": "The body came too slowly",
    "413": "The body is too large",
    "415": "Unknown content-encoding",
    "429": "Too many requests wait; see Retry-After",
    "500": "The model failed",
}


def openapi(repository: Repository) -> dict[str, Any]:
    """The description of a server with these models."""
    paths: dict[str, Any] = {path: {"get": _get(text)} for path, text in _PAGES.items()}
    for suffix in ("", "/versions/{version}"):
        base = f"/v2/models/{{model}}{suffix}"
        paths[base] = {"get": _get("Model metadata")}
        paths[f"{base}/ready"] = {"get": _get("Is the model ready")}
        paths[f"{base}/infer"] = {"post": _post("Predict", "InferRequest", "InferResponse")}
        tf_serving = f"/v1/models/{{model}}{suffix}"
        paths[tf_serving] = {"get": _get("Model status (TF Serving)")}
        paths[f"{tf_serving}:predict"] = {
            "post": _post("Predict (TF Serving)", "PredictRequest", "PredictResponse")
        }
    for path in ("/predictions/{model}", "/predictions/{model}/{version}"):
        paths[path] = {"post": _post("Predict (TorchServe)", None, None)}
    for path, item in paths.items():
        parameters = _path_parameters(path, repository)
        if parameters:
            item["parameters"] = parameters
    return {
        "openapi": "3.1.0",
        "info": {"title": "mlscale model server", "version": "1"},
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }


def _path_parameters(path: str, repository: Repository) -> list[dict[str, Any]]:
    choices = {
        "model": repository.names(),
        "version": sorted({model.version for model in repository}),
    }
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": values}}
        for name, values in choices.items()
        if f"{{{name}}}" in path
    ]


def _get(text: str) -> dict[str, Any]:
    responses = {"200": {"description": text}}
    if "503" in text:
        responses["503"] = {"description": "Draining"}
    return {"summary": text, "responses": responses}


def _post(text: str, request: str | None, response: str | None) -> dict[str, Any]:
    errors = {
        status: {"description": why, "content": _content("Error")}
        for status, why in _ERRORS.items()
    }
    return {
        "summary": text,
        "requestBody": {"required": True, "content": _content(request)},
        "responses": {"200": {"description": text, "content": _content(response)}, **errors},
    }


def _content(schema: str | None) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"} if schema is not None else {}
    return {"application/json": {"schema": reference}}
