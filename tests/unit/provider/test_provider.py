"""The provider over its real gRPC interface, with the handlers that need no process."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from infra.core.errors import DamagedState, Problem
from infra.sites.local.provider.handler import Context, Handler, InitFailed, Inputs, Properties
from infra.sites.local.provider.handlers import all_handlers
from infra.sites.local.provider.server import LocalProvider
from infra.sites.local.provider.values import UNKNOWN, from_struct, to_struct


class _VaultInputs(Inputs):
    name: str
    token: str
    size: int = 1
    fails: str = ""


class _Vault(Handler[_VaultInputs]):
    """A resource that can be told to fail, to see how the engine hears of it."""

    token = "mlscale:local:Vault"
    inputs = _VaultInputs
    outputs = ("digest", "address")
    stable = frozenset({"address"})
    replace_on = frozenset({"name"})

    def needs_mending(self, state: Any) -> str | None:
        return "digest" if state.get("digest") == "broken" else None

    def create(self, inputs: _VaultInputs, context: Context) -> tuple[str, Properties]:
        outputs = {"digest": f"{len(inputs.token)}", "address": f"vault://{inputs.name}"}
        if inputs.fails == "init":
            raise InitFailed(inputs.name, outputs, ["it does not answer", "port closed"])
        if inputs.fails == "ours":
            raise DamagedState(Problem("torn", file="x", fix="mend x"))
        if inputs.fails == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/lake/objects")
        if inputs.fails == "absent":
            raise FileNotFoundError(errno.ENOENT, "no such file", "/lake/objects")
        if inputs.fails == "bug":
            raise ZeroDivisionError("oops")
        return inputs.name, outputs

    def read(self, resource_id: str, state: Properties) -> tuple[Properties, Properties] | None:
        if resource_id == "gone":
            return None
        return {"name": resource_id, "token": "t"}, {"digest": "1", "address": "vault://x"}

    def delete(self, resource_id: str, state: Properties, context: Context) -> None:
        if resource_id == "stuck":
            raise DamagedState("can't be deleted")


@pytest.fixture(scope="module")
def provider() -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    servicer = LocalProvider([*all_handlers(), _Vault()], "1.2.3")
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(0)


def _urn(kind: str) -> str:
    return f"urn:pulumi:s::p::mlscale:platform:Store$mlscale:local:{kind}::x"


def _check(stub: Any, kind: str, news: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    answer = stub.Check(provider_pb2.CheckRequest(urn=_urn(kind), news=to_struct(news)))
    return from_struct(answer.inputs)[0], {f.property: f.reason for f in answer.failures}


def test_check_fills_in_defaults_and_keeps_secrets_secret(provider: Any) -> None:
    news = to_struct({"name": "a", "token": "canary"}, {"token"})
    answer = provider.Check(provider_pb2.CheckRequest(urn=_urn("Vault"), news=news))
    inputs, secrets = from_struct(answer.inputs)
    assert inputs == {"name": "a", "token": "canary", "size": 1, "fails": ""}
    assert secrets == {"token"}


def test_check_names_every_wrong_property_at_once(provider: Any) -> None:
    _, failures = _check(provider, "Vault", {"name": 3, "tokn": "x", "size": "big"})
    assert set(failures) == {"name", "tokn", "size", "token"}
    assert "not a property" in failures["tokn"]


def test_check_leaves_what_is_unknown_for_later(provider: Any) -> None:
    inputs, failures = _check(provider, "Vault", {"name": "a", "token": UNKNOWN})
    assert not failures
    assert inputs["token"] is UNKNOWN


def test_a_store_needs_room_and_a_folder_of_its_own(provider: Any, tmp_path: Path) -> None:
    (tmp_path / "stranger.txt").write_text("mine")
    news = {"path": str(tmp_path), "name": "lake", "min_free_gib": 1e9}
    answer = provider.Check(provider_pb2.CheckRequest(urn=_urn("Store"), news=to_struct(news)))
    reasons = [failure.reason for failure in answer.failures]
    assert len(reasons) == 2
    assert "GiB free, expected 1000000000.0 GiB" in reasons[0]
    assert "no store of ours" in reasons[1]


def test_a_taken_port_is_refused_before_anything_starts(provider: Any, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        news = {"directory": str(tmp_path), "unit": "x", "port": port, "data": "d"}
        _, failures = _check(provider, "Tracking", news)
    assert f"port {port} is taken by process" in failures["port"]
    assert "Fix:" in failures["port"]


def test_a_preview_says_what_is_known(provider: Any) -> None:
    request = provider_pb2.CreateRequest(
        urn=_urn("Vault"), properties=to_struct({"name": "a", "token": "t"}), preview=True
    )
    answer = provider.Create(request)
    assert answer.id == ""
    assert from_struct(answer.properties)[0] == {
        "name": "a",
        "token": "t",
        "digest": UNKNOWN,
        "address": UNKNOWN,
    }
    update = provider_pb2.UpdateRequest(
        id="a",
        urn=_urn("Vault"),
        olds=to_struct({"address": "vault://a", "digest": "1"}),
        news=to_struct({"name": "a", "token": "u"}),
        preview=True,
    )
    told = from_struct(provider.Update(update).properties)[0]
    assert told["address"] == "vault://a"
    assert told["digest"] is UNKNOWN


def test_create_then_update_keep_the_secret_wrapped(provider: Any) -> None:
    properties = to_struct({"name": "a", "token": "canary"}, {"token"})
    made = provider.Create(provider_pb2.CreateRequest(urn=_urn("Vault"), properties=properties))
    values, secrets = from_struct(made.properties)
    assert (made.id, values["digest"], secrets) == ("a", "6", {"token"})
    news = to_struct({"name": "a", "token": "longer-canary"}, {"token"})
    request = provider_pb2.UpdateRequest(id="a", urn=_urn("Vault"), olds=made.properties, news=news)
    values, secrets = from_struct(provider.Update(request).properties)
    assert (values["digest"], secrets) == ("13", {"token"})


def _diff(provider: Any, old: dict[str, Any], new: dict[str, Any], state: dict[str, Any]) -> Any:
    return provider.Diff(
        provider_pb2.DiffRequest(
            id="a",
            urn=_urn("Vault"),
            olds=to_struct(state),
            old_inputs=to_struct(old),
            news=to_struct(new),
        )
    )


def test_diff_knows_update_from_replacement_and_from_nothing(provider: Any) -> None:
    old = {"name": "a", "token": "t"}
    same = _diff(provider, old, old, {"digest": "1"})
    assert same.changes == provider_pb2.DiffResponse.DIFF_NONE
    update = _diff(provider, old, {"name": "a", "token": "u"}, {})
    assert (list(update.diffs), list(update.replaces)) == (["token"], [])
    replace = _diff(provider, old, {"name": "b", "token": "t"}, {})
    assert list(replace.replaces) == ["name"]
    assert replace.deleteBeforeReplace
    unknown = _diff(provider, old, {"name": UNKNOWN, "token": "t"}, {})
    assert (list(unknown.diffs), list(unknown.replaces)) == (["name"], [])


def test_what_a_refresh_found_broken_is_mended_by_an_update(provider: Any) -> None:
    old = {"name": "a", "token": "t"}
    broken = _diff(provider, old, old, {"digest": "broken"})
    assert list(broken.diffs) == ["digest"]
    assert not broken.replaces


def test_something_that_exists_but_does_not_work_is_kept_in_state(provider: Any) -> None:
    properties = to_struct({"name": "a", "token": "canary", "fails": "init"}, {"token"})
    with pytest.raises(grpc.RpcError) as caught:
        provider.Create(provider_pb2.CreateRequest(urn=_urn("Vault"), properties=properties))
    trailing = dict(caught.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    partial = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(partial)
    assert partial.id == "a"
    assert list(partial.reasons) == ["it does not answer", "port closed"]
    assert from_struct(partial.properties)[1] == {"token"}


@pytest.mark.parametrize(
    ("fails", "expected", "unexpected"),
    [
        ("ours", "x: torn. Fix: mend x", "Traceback"),
        ("full", "No space left on device: /lake/objects", "Traceback"),
        ("absent", "unexpected FileNotFoundError", "~"),
        ("bug", "unexpected ZeroDivisionError", "~"),
    ],
)
def test_errors_reach_the_engine_readably(
    provider: Any, fails: str, expected: str, unexpected: str
) -> None:
    properties = to_struct({"name": "a", "token": "t", "fails": fails})
    with pytest.raises(grpc.RpcError) as caught:
        provider.Create(provider_pb2.CreateRequest(urn=_urn("Vault"), properties=properties))
    assert expected in caught.value.details()
    assert unexpected not in caught.value.details()


def test_read_finds_imports_and_tells_what_is_gone(provider: Any) -> None:
    found = provider.Read(provider_pb2.ReadRequest(id="a", urn=_urn("Vault")))
    assert found.id == "a"
    assert from_struct(found.inputs)[0] == {"name": "a", "token": "t"}
    assert provider.Read(provider_pb2.ReadRequest(id="gone", urn=_urn("Vault"))).id == ""


def test_delete_fails_out_loud_or_not_at_all(provider: Any) -> None:
    provider.Delete(provider_pb2.DeleteRequest(id="a", urn=_urn("Vault")))
    with pytest.raises(grpc.RpcError, match="can't be deleted"):
        provider.Delete(provider_pb2.DeleteRequest(id="stuck", urn=_urn("Vault")))


def test_an_unknown_type_is_named(provider: Any) -> None:
    with pytest.raises(grpc.RpcError, match="no resource type mlscale:local:Nothing"):
        provider.Delete(provider_pb2.DeleteRequest(id="a", urn=_urn("Nothing")))


def test_the_schema_names_every_type(provider: Any) -> None:
    schema = json.loads(provider.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    assert {handler.token for handler in all_handlers()} < set(schema["resources"])
    store = schema["resources"]["mlscale:local:Store"]
    assert store["requiredInputs"] == ["name", "path"]
    assert store["inputProperties"]["protect"] == {"type": "boolean"}
    assert schema["resources"]["mlscale:local:Model"]["inputProperties"]["gate"] == {
        "type": "object",
        "additionalProperties": {"type": "number"},
    }


def test_plumbing_answers(provider: Any) -> None:
    handshake = provider.Handshake(provider_pb2.ProviderHandshakeRequest())
    assert handshake.accept_secrets
    assert provider.Configure(provider_pb2.ConfigureRequest()).supportsPreview
    news = to_struct({"version": "1"})
    checked = provider.CheckConfig(provider_pb2.CheckRequest(urn=_urn("Vault"), news=news))
    assert from_struct(checked.inputs)[0] == {"version": "1"}
    config = provider.DiffConfig(provider_pb2.DiffRequest(urn=_urn("Vault")))
    assert config.changes == provider_pb2.DiffResponse.DIFF_NONE
