"""What the application needs of HTTP over ASGI: bodies within limits, answers, headers."""

from __future__ import annotations

import asyncio
import re
import secrets
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any

import orjson

from workloads.serving.tensors import RequestError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")
BINARY: tuple[bytes, bytes] = (b"content-type", b"application/octet-stream")

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_DIGITS = re.compile(rb"[0-9]{1,15}")
_instance = secrets.token_hex(6)  # tells apart the ids of two processes
_sequence = count(1)


class DisconnectedError(Exception):
    """The caller went away before its request was complete."""


class RequestHead:
    """The headers this server looks at; raises ``RequestError`` when one can't be read."""

    __slots__ = ("content_length", "encoding", "inference_header_length", "request_id")

    def __init__(self, headers: Headers) -> None:
        self.content_length: int | None = None
        self.inference_header_length: int | None = None
        self.encoding = b""
        self.request_id = b""
        for name, value in headers:
            if name == b"content-length":
                self.content_length = _length(name, value)
            elif name == b"x-request-id":
                self.request_id = value if _REQUEST_ID.fullmatch(value) else b""
            elif name == b"inference-header-content-length":
                self.inference_header_length = _length(name, value)
            elif name == b"content-encoding":
                self.encoding = value.strip().lower()


def new_request_id() -> bytes:
    """An id for a request that came without one, unique over processes."""
    return f"{_instance}-{next(_sequence)}".encode()


async def read_body(
    receive: Receive, head: RequestHead, limit_bytes: int, timeout_seconds: float
) -> bytes:
    """The whole body, decompressed.

    Raises ``RequestError`` 413 beyond ``limit_bytes``, 408 when the body takes longer than
    ``timeout_seconds``, 415 for an unknown encoding; ``DisconnectedError`` when the caller leaves.
    """
    if head.content_length is not None and head.content_length > limit_bytes:
        raise _too_large(limit_bytes)
    message = await receive()
    if message["type"] != "http.request":
        raise DisconnectedError
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):  # rare: most bodies come in one piece
        try:
            async with asyncio.timeout(timeout_seconds):
                body = await _read_rest(receive, body, limit_bytes)
        except TimeoutError:
            raise RequestError(
                f"the body didn't arrive within {timeout_seconds:g} s", 408
            ) from None
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)
    return _decompressed(body, head.encoding, limit_bytes) if head.encoding else body


async def _read_rest(receive: Receive, first: bytes, limit_bytes: int) -> bytes:
    parts, size = [first], len(first)
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise DisconnectedError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        if not message.get("more_body", False):
            return b"".join(parts)


def _decompressed(body: bytes, encoding: bytes, limit_bytes: int) -> bytes:
    """``body`` unpacked, never beyond ``limit_bytes``, so that a small bomb stays small."""
    if encoding == b"identity":
        return body
    if encoding not in (b"gzip", b"deflate"):
        raise RequestError("content-encoding must be gzip, deflate or identity", 415)
    unpacker = zlib.decompressobj(wbits=31 if encoding == b"gzip" else 15)
    try:
        unpacked = unpacker.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise RequestError(f"the body isn't valid {encoding.decode()}: {error}") from None
    if len(unpacked) > limit_bytes:
        raise _too_large(limit_bytes)
    if not unpacker.eof:
        raise RequestError(f"the {encoding.decode()} body ends too early")
    return unpacked


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send one answer; its length is added to ``headers``."""
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def respond_json(
    send: Send, value: Any, status: int = 200, headers: Headers | None = None
) -> None:
    """Send ``value`` as JSON."""
    await respond(send, status, [JSON, *(headers or [])], orjson.dumps(value))


def _length(name: bytes, value: bytes) -> int:
    if not _DIGITS.fullmatch(value):
        raise RequestError(f"{name.decode()} must be a number of bytes")
    return int(value)


def _too_large(limit_bytes: int) -> RequestError:
    return RequestError(f"the body is larger than {limit_bytes} bytes", 413)
