"""Secrets: by reference only, encrypted or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from pulumi.runtime import set_all_config
from pydantic import ValidationError

from infra.core.errors import InvalidStack
from infra.spec import SecretRef, secret
from infra.spec.secrets import SECRET_LOOKING

_CANARY = "canary-9f2c"


@pytest.fixture(autouse=True)
def _no_config_left_behind() -> Iterator[None]:
    yield
    set_all_config({}, [])


def _resolve(name: str) -> tuple[str | None, bool]:
    async def resolved() -> tuple[str | None, bool]:
        output = secret(SecretRef(secret=name))
        return await output.future(), await output.is_secret()

    return asyncio.run(resolved())


def test_an_encrypted_secret_stays_one() -> None:
    set_all_config({"mlscale:key": _CANARY}, ["mlscale:key"])
    assert _resolve("key") == (_CANARY, True)


def test_a_secret_in_plain_text_is_refused_without_repeating_it() -> None:
    set_all_config({"mlscale:key": _CANARY}, [])
    with pytest.raises(InvalidStack) as caught:
        _resolve("key")
    assert "plain text" in str(caught.value)
    assert "pulumi config set --secret mlscale:key" in str(caught.value)
    assert _CANARY not in str(caught.value)


def test_a_missing_secret_says_how_to_set_it() -> None:
    set_all_config({"mlscale:other": _CANARY}, ["mlscale:other"])
    with pytest.raises(InvalidStack, match="pulumi config set --secret mlscale:key"):
        _resolve("key")


@pytest.mark.parametrize("value", [_CANARY, 7, None, [], {"secure": _CANARY}, {"secret": "a b"}])
def test_nothing_but_a_reference_is_a_secret(value: Any) -> None:
    with pytest.raises(ValidationError):
        SecretRef.model_validate(value)


@pytest.mark.parametrize("key", ["api_key", "db_password", "hf_token", "AWS_SECRET", "private_key"])
def test_keys_that_look_like_secrets(key: str) -> None:
    assert SECRET_LOOKING.search(key)


@pytest.mark.parametrize(
    "key", ["max_tokens", "eos_token", "pad_token_id", "key_dim", "pass_count"]
)
def test_keys_that_only_sound_like_secrets(key: str) -> None:
    assert not SECRET_LOOKING.search(key)
