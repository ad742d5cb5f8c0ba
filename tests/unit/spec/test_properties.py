"""What holds for any declaration: round trip, misspelt keys at their line, no crash on anything."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.core.errors import InvalidStack
from infra.spec.loader import declaration, parse
from infra.spec.platform import PlatformSpec
from infra.spec.positions import Source, read_yaml
from infra.spec.schema import stack_schema
from infra.spec.shape import fields_of, model_at
from infra.spec.suggest import key_hint
from tests.unit.spec.json_schema import accepts
from tests.unit.spec.spec_corpus import files, source_of

_SCHEMA = stack_schema()
_HAPPY = [source_of(path) for path in files("happy")]
_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z0-9]", fullmatch=True)
_TEXT = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=5)
_SENTINEL = "the-key-in-question"

_few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def _platforms(draw: st.DrawFn) -> dict[str, Any]:
    sites = draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True))
    site = st.sampled_from(sites)
    clouds = {name: _site(draw, number) for number, name in enumerate(sites)}
    stores = draw(st.dictionaries(_NAMES, st.fixed_dictionaries({"site": site}), max_size=3))
    training = draw(st.dictionaries(_NAMES, _training(site, list(stores)), max_size=3))
    environment = st.sampled_from(["dev", "staging", "prod"])
    data: dict[str, Any] = {
        "name": draw(_NAMES),
        "environment": draw(environment),
        "owner": {"team": "t", "cost_center": "4711", "contact": "a@b.co"},
        "sites": clouds,
        "stores": stores,
        "training": training,
    }
    if draw(st.booleans()):
        cents = draw(st.integers(1, 10**11))
        data["budget"] = {"monthly_usd": cents / 100}
    return data


def _site(draw: st.DrawFn, number: int) -> dict[str, Any]:
    cloud = draw(st.sampled_from(["aws", "gcp", "azure", "onprem", "local"]))
    site: dict[str, Any] = {"cloud": cloud}
    if cloud != "local":
        site["cidr"] = f"10.{number}.0.0/16"
    if cloud in ("aws", "gcp", "azure"):
        site["region"] = draw(st.sampled_from(["us-east-1", "westeurope"]))
    return site


def _training(site: st.SearchStrategy[str], stores: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    numbers = st.floats(1e-6, 1e6)
    scalars = st.one_of(st.booleans(), st.integers(-5, 10**12), numbers, _TEXT)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "deadline_hours": st.floats(0.01, 8760),
        "seed": st.integers(0, 2**32 - 1),
        "hyperparameters": st.dictionaries(st.sampled_from(["rate", "depth", "act"]), scalars),
        "gate": st.dictionaries(st.sampled_from(["accuracy_min", "loss_max"]), numbers),
        "work": st.fixed_dictionaries({"parameters": st.integers(1, 10**13).map(float)}),
    }
    if stores:
        store = st.sampled_from(stores)
        optional["dataset"] = st.fixed_dictionaries({"store": store, "table": st.just("rows")})
    required = {"sites": st.lists(site, min_size=1, max_size=1), "package": _NAMES}
    return st.fixed_dictionaries(required, optional=optional)


def _read(text: str) -> Source:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "Pulumi.x.yaml"
        path.write_text(text, encoding="utf-8")
        return read_yaml(path, "stacks/Pulumi.x.yaml")


@_few
@given(_platforms())
def test_what_is_declared_comes_back(data: dict[str, Any]) -> None:
    document = {"config": {"mlscale:platform": data}}
    source = _read(json.dumps(document))
    spec = parse(declaration(source), source)
    assert parse(spec.as_data()) == spec
    assert parse(data) == spec
    assert accepts(_SCHEMA, document, _SCHEMA)
    written = {"config": {"mlscale:platform": spec.as_data()}}
    assert accepts(_SCHEMA, written, _SCHEMA)


def _keys_of_models(value: Any, loc: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a declaration whose last part is a key that a model defines."""
    found: list[tuple[str | int, ...]] = []
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    model = model_at(PlatformSpec, loc)
    for key, entry in entries:
        if model is not None and key in fields_of(model):
            found.append((*loc, key))
        if isinstance(entry, dict | list):
            found += _keys_of_models(entry, (*loc, key))
    return found


@st.composite
def _misspelt(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[str | int, ...], str]:
    document = draw(st.sampled_from(_HAPPY)).document
    platform = document["config"]["mlscale:platform"]
    loc = draw(st.sampled_from(_keys_of_models(platform)))
    key = str(loc[-1])
    place = draw(st.integers(0, len(key) - 1))
    wrong = draw(
        st.sampled_from(
            [
                key[:place] + key[place + 1 :],
                key[:place] + key[place] + key[place:],
                key[:place] + draw(st.sampled_from("qxz")) + key[place + 1 :],
                key + "s",
                key.upper(),
            ]
        )
    )
    return document, loc, wrong or "q"


def _renamed(value: Any, loc: tuple[str | int, ...], new: str) -> Any:
    if isinstance(value, list):
        return [_renamed(v, loc[1:], new) if i == loc[0] else v for i, v in enumerate(value)]
    if len(loc) == 1:
        return {new if key == loc[0] else key: entry for key, entry in value.items()}
    return {k: _renamed(v, loc[1:], new) if k == loc[0] else v for k, v in value.items()}


@settings(_few, max_examples=120)
@given(_misspelt())
def test_a_misspelt_key_is_reported_at_its_own_line(
    case: tuple[dict[str, Any], tuple[str | int, ...], str],
) -> None:
    document, loc, wrong = case
    model = model_at(PlatformSpec, loc[:-1])
    assert model is not None
    if wrong in fields_of(model):
        return
    broken = _renamed(document, ("config", "mlscale:platform", *loc), _SENTINEL)
    text = json.dumps(broken, indent=1)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if _SENTINEL in row)
    source = _read(text.replace(_SENTINEL, wrong))
    with pytest.raises(InvalidStack) as caught:
        parse(declaration(source), source)
    here = [problem for problem in caught.value.problems if problem.line == line]
    assert any(f"unknown key `{wrong}`" in problem.message for problem in here)
    hint = key_hint(wrong, None, dict.fromkeys(fields_of(model), ()))
    if hint is not None and hint.field == loc[-1]:
        assert len(caught.value.problems) == 1
        assert str(loc[-1]) in (here[0].fix or "")


_junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from([*fields_of(PlatformSpec), "site", "from", "api_key", "x"]),
                st.text(max_size=5),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@settings(_few, max_examples=150)
@given(st.dictionaries(st.sampled_from(list(fields_of(PlatformSpec))), _junk))
def test_anything_at_all_is_answered_with_problems(data: dict[str, Any]) -> None:
    with pytest.raises(InvalidStack) as caught:
        parse(data)
    assert all(problem.message and problem.path for problem in caught.value.problems)


@st.composite
def _spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A happy declaration with junk in one place."""
    platform = draw(st.sampled_from(_HAPPY)).document["config"]["mlscale:platform"]
    loc = draw(st.sampled_from(_keys_of_models(platform)))
    spoilt = _renamed(platform, loc, _SENTINEL)
    text = json.dumps(spoilt)
    holder = json.loads(text)
    inside = holder
    for part in loc[:-1]:
        inside = inside[part]
    del inside[_SENTINEL]
    inside[loc[-1]] = draw(_junk)
    return dict(holder)


@settings(_few, max_examples=150)
@given(_spoilt())
def test_junk_in_one_place_is_either_legal_or_answered(data: dict[str, Any]) -> None:
    try:
        spec = parse(data)
    except InvalidStack as error:
        assert all(problem.message and problem.path for problem in error.problems)
    else:
        assert parse(spec.as_data()) == spec


@settings(_few, max_examples=150)
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        source = _read(text)
        parse(declaration(source), source)
    except InvalidStack as error:
        assert error.problems[0].file == "stacks/Pulumi.x.yaml"
