"""The model server: ONNX models over HTTP, Open Inference Protocol V2 first.

``python -m workloads.serving --config C.json`` (the file's keys: :mod:`workloads.serving.config`).
Layers, each of which knows only those before it: ``tensors`` (V2 datatypes), ``protocol`` and
``dialects`` (bodies), ``model`` (ONNX Runtime), ``batching``, ``metrics``, ``repository`` (names
and versions), ``app`` (ASGI), ``server`` (sockets, signals). ``client`` is the wire's other side.
"""
