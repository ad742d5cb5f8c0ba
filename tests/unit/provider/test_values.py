"""Values on the engine's wire."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from infra.sites.local.provider.values import UNKNOWN, from_struct, is_unknown, to_struct

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**52), 2**52)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
    | st.text(max_size=20)
    | st.just(UNKNOWN)
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), _VALUES, max_size=4), st.data())
def test_what_goes_out_comes_back(values: dict[str, Any], data: st.DataObject) -> None:
    secret = data.draw(st.sets(st.sampled_from(sorted(values)))) if values else set()
    back, secrets = from_struct(to_struct(values, secret))
    assert back == values
    assert secrets == secret


def test_a_secret_inside_an_object_marks_the_whole_property() -> None:
    inner = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "x"}
    struct = to_struct({"config": {"password": inner, "user": "me"}})
    values, secrets = from_struct(struct)
    assert values == {"config": {"password": "x", "user": "me"}}
    assert secrets == {"config"}


def test_an_output_value_is_its_value_or_unknown() -> None:
    signature = {"4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4"}
    values, _ = from_struct(to_struct({"known": {**signature, "value": 1}, "later": signature}))
    assert values == {"known": 1, "later": UNKNOWN}


def test_unknown_is_found_at_any_depth() -> None:
    assert is_unknown({"a": [{"b": UNKNOWN}]})
    assert not is_unknown({"a": [{"b": "04da"}]})
    assert repr(UNKNOWN) == "UNKNOWN"
