from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.account_claims import read_account
from edge.core.jwt import Claims, ClaimsError
from edge.core.nkeys import KeyPair
from edge.core.user_claims import UserRules, account_of, end_of_visit, fill_in, read_user

A, SIGNER, USER = KeyPair("A", bytes(32)), KeyPair("A", b"s" * 32), KeyPair("U", bytes(32))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
RIGHTS = (
    "pub", "sub", "resp", "src", "times", "times_location", "subs", "payload", "bearer_token", "tags",
    "allowed_connection_types", "issuer_account",
)  # fmt: skip


def account(template: dict[str, Any] | None = None) -> Any:
    keys = [] if template is None else [{"key": SIGNER.public, "template": template}]
    nats = {"signing_keys": keys, "tags": ["region:eu"]}
    return read_account(Claims("account", 2, "O", A.public, nats, name="acc"))


def user(issuer: str = A.public, name: str = "bob", **nats: Any) -> Claims:
    return Claims("user", 2, issuer, USER.public, nats, name=name)


def read(**nats: Any) -> UserRules:
    return read_user(user(**nats), account())


def test_who_made_it() -> None:
    assert account_of(user()) == A.public and account_of(user(issuer_account="X")) == "X"
    with pytest.raises(ClaimsError, match="issuer is not known"):
        read_user(user("other"), account())
    with pytest.raises(ClaimsError, match="not the JWT of a user"):
        read_user(user()._replace(type="account"), account())


def test_limits_and_ways() -> None:
    found = read(subs=-1, payload=9, allowed_connection_types=["mqtt"], bearer_token=True, tags=["a:b"])
    assert (found.max_subscriptions, found.max_payload, found.kinds) == (None, 9, {"MQTT"})
    assert found.is_bearer and found.tags == ("a:b",)


@pytest.mark.parametrize("written", [["10.0.0.0/8", "::1/128"], "10.0.0.0/8, ::1/128"])
def test_where_from(written: Any) -> None:
    found = read(src=written)
    assert found.may_come_from("10.1.2.3") and found.may_come_from("::1")
    assert not any(map(found.may_come_from, ("11.0.0.1", "", "nonsense")))
    assert read().may_come_from("anywhere") and not read(src=["nonsense"]).may_come_from("10.0.0.1")


def at(hour: int, minute: int = 0) -> int:
    return int(datetime(2026, 3, 10, hour, minute, tzinfo=UTC).timestamp())


def test_when() -> None:
    day, night = ("08:00:00", "17:00:00"), ("22:00:00", "06:00:00")
    assert end_of_visit([day], at(9), "UTC") == at(17)
    assert end_of_visit([day], at(18), "UTC") is None
    assert end_of_visit([night, day], at(9), "UTC") == at(17)
    assert end_of_visit([night], at(23), "UTC") == at(6) + 86400
    assert end_of_visit([day], at(7, 30), "Europe/Zurich") == at(16)
    assert end_of_visit([day], at(9), "No/Where") is None
    assert end_of_visit([("x", "y")], at(9), "UTC") is None
    times = {"times": [{"start": "08:00:00", "end": "17:00:00"}], "times_location": "UTC"}
    assert read(**times).stays_until(at(9)) == at(17) and read(**times).stays_until(at(18)) is None
    assert read().stays_until(at(9)) == 0 and read()._replace(expires=5).stays_until(at(9)) == 5
    assert read(**times)._replace(expires=at(10)).stays_until(at(9)) == at(10)


def fill(template: dict[str, Any], **nats: Any) -> dict[str, Any]:
    return fill_in(template, user(SIGNER.public, issuer_account=A.public, **nats), account(template))


def test_templates() -> None:
    names = ["{{name()}}", "{{ subject() }}", "{{account-name()}}", "{{account-subject()}}", "{{account-tag(region)}}"]
    assert fill({"pub": {"allow": names}})["pub"]["allow"] == ["bob", USER.public, "acc", A.public, "eu"]
    tags = {"tags": ["t:1", "t:2", "r:x", "r:y"]}
    assert fill({"sub": {"allow": ["{{tag(t)}}.{{tag(r)}}"]}}, **tags)["sub"]["allow"] == ["1.x", "1.y", "2.x", "2.y"]
    assert fill({"sub": {"allow": ["{{tag(none)}}.x"]}})["sub"] == {"allow": [], "deny": [">"]}
    assert fill({"sub": {"allow": ["{{tag(none)}}.x", "y"]}})["sub"] == {"allow": ["y"], "deny": []}
    assert fill({"sub": {"allow": []}})["sub"] == {"allow": [], "deny": []}


@pytest.mark.parametrize("deny", ["{{tag(none)}}", "{{nonsense()}}", "{{tag(t}}", "a..{{name()}}"])
def test_templates_that_deny_nothing(deny: str) -> None:
    with pytest.raises(ClaimsError):
        fill({"pub": {"deny": [deny]}})


def test_a_template_that_explodes() -> None:
    tags = {"tags": [f"t:{i}" for i in range(100)]}
    with pytest.raises(ClaimsError, match="more than"):
        fill({"pub": {"allow": ["{{tag(t)}}.{{tag(t)}}.{{tag(t)}}"]}}, **tags)


def test_a_scoped_user_has_no_rights_of_its_own() -> None:
    scope = account({"pub": {"allow": ["x"]}, "subs": -1, "payload": 7})
    found = read_user(user(SIGNER.public, issuer_account=A.public), scope)
    assert found.max_payload == 7 and found.permissions is not None and found.permissions.publish.allow == ("x",)
    for rights in ({"payload": 5}, {"pub": {"allow": ["y"]}}, {"bearer_token": True}, {"src": "10.0.0.0/8"}):
        with pytest.raises(ClaimsError, match="scoped users"):
            read_user(user(SIGNER.public, issuer_account=A.public, **rights), scope)


@given(st.dictionaries(st.sampled_from(RIGHTS), JSON), st.booleans())
def test_whatever_it_says(nats: dict[str, Any], scoped: bool) -> None:
    try:
        claims = user(SIGNER.public if scoped else A.public, **nats)
        found = read_user(claims, account(nats if scoped else None))
        found.may_come_from("10.0.0.1")
        found.stays_until(at(9))
    except ClaimsError:
        pass
