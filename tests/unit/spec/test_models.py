"""Models by themselves: immutable, closed, held to their rules however they are made."""

from __future__ import annotations

from decimal import Decimal
from ipaddress import IPv4Network
from typing import Any

import pytest
from pydantic import ValidationError

from infra.spec import (
    Budget,
    Endpoint,
    Parallelism,
    PlatformSpec,
    Release,
    Site,
    Streaming,
    Training,
    parse,
)
from infra.spec.base import Finding
from infra.spec.environments import DEFAULTS, filled
from infra.spec.shape import field_at, model_at

_OWNER = {"team": "t", "cost_center": "c", "contact": "a@b.co"}


def _platform(**more: Any) -> dict[str, Any]:
    base = {
        "name": "p",
        "environment": "prod",
        "owner": _OWNER,
        "sites": {"here": {"cloud": "local"}},
    }
    return {**base, **more}


def test_models_are_immutable() -> None:
    site = Site(cloud="local")
    with pytest.raises(ValidationError):
        site.cloud = "aws"  # type: ignore[misc]


def test_rules_hold_without_the_loader() -> None:
    with pytest.raises(ValidationError, match="`region` is missing"):
        Site(cloud="aws", cidr="10.0.0.0/16")
    with pytest.raises(ValidationError, match="there is no site"):
        PlatformSpec.model_validate(_platform(stores={"lake": {"site": "there"}}))


def test_money_is_exact() -> None:
    spec = parse(_platform(budget={"monthly_usd": 0.1}))
    assert spec.budget == Budget(monthly_usd=Decimal("0.1"), when_over="refuse")
    assert spec.as_data()["budget"]["monthly_usd"] == 0.1
    with pytest.raises(ValidationError):
        Budget.model_validate({"monthly_usd": 0.001})
    with pytest.raises(ValidationError):
        Budget.model_validate({"monthly_usd": True})


def test_defaults_follow_from_the_environment() -> None:
    endpoints = {"e": {"sites": ["here"], "model": "models:/m@champion"}}
    spec = parse(_platform(endpoints=endpoints, stores={"s": {"site": "here"}}))
    endpoint = spec.endpoints["e"]
    assert (endpoint.replicas, endpoint.release.bake_minutes, endpoint.release.approvals) == (
        2,
        20,
        1,
    )
    assert spec.stores["s"].protect
    assert spec.monitoring.scrape_seconds == 15
    assert spec.defaults.policies == "mandatory"
    own = parse(_platform(stores={"s": {"site": "here", "protect": False}}))
    assert not own.stores["s"].protect


def test_defaults_of_models_are_those_of_dev() -> None:
    dev = parse(_platform(environment="dev", stores={"s": {"site": "here"}}))
    assert dev.monitoring == type(dev.monitoring)()
    assert dev.stores["s"] == type(dev.stores["s"])(site="here")
    assert Release().bake_minutes == DEFAULTS["dev"].bake_minutes


@pytest.mark.parametrize("odd", [{}, {"environment": []}, {"environment": "prod", "sites": [1]}])
def test_odd_shapes_are_left_for_validation(odd: dict[str, Any]) -> None:
    result = filled(odd)
    assert {key: result[key] for key in odd} == odd


def test_what_a_release_does_to_traffic() -> None:
    assert Release(strategy="canary").traffic_steps() == (5, 25, 50, 100)
    assert Release(strategy="canary", steps=(50, 100)).traffic_steps() == (50, 100)
    assert Release(strategy="blue-green").traffic_steps() == (100,)
    ab = Release.model_validate(
        {"strategy": "ab", "experiment": {"metric": "clicks", "minimum_effect": 0.1}}
    )
    assert ab.traffic_steps() == (50, 100)


def test_small_answers_of_models() -> None:
    assert Parallelism(data=4, tensor=2).world_size == 8
    assert Site(cloud="onprem", cidr="10.0.0.0/8").network() == IPv4Network("10.0.0.0/8")
    assert Site(cloud="local").network() is None
    assert Endpoint(sites=("a",), model="models:/ranker/12").model_name == "ranker"
    streaming = Streaming.model_validate({"from": "s", "store": "l", "table": "t"})
    assert streaming.stream == "s"


def test_a_place_leads_to_its_model_and_field() -> None:
    assert model_at(PlatformSpec, ("training", "any")) is Training
    assert model_at(PlatformSpec, ("endpoints", "any", "streaming")) is Streaming
    assert model_at(PlatformSpec, ("nothing", "at", "all")) is None
    assert model_at(PlatformSpec, ("name",)) is None
    field = field_at(PlatformSpec, ("endpoints", "any", "streaming", "from"))
    assert field is not None
    assert field.alias == "from"
    assert field_at(PlatformSpec, ()) is None


def test_a_finding_becomes_an_error_of_pydantic() -> None:
    error = Finding(("a", 1), "broken", "whole", "mend it").as_error()
    assert error["loc"] == ("a", 1)
    assert str(error["type"]) == "broken"
