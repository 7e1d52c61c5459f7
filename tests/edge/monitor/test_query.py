"""Queries as nats-server reads them; tests/e2e/test_monitoring.py holds the errors against the real one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.monitor.endpoints import ENDPOINTS
from edge.monitor.query import BadQuery, options_of, parse_query


def options(path: str, query: str) -> dict[str, Any]:
    return options_of(parse_query(query), ENDPOINTS[path].parameters)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {}),
        ("&&", {}),
        ("a", {"a": ""}),
        ("a=1&b=2&a=3", {"a": "1", "b": "2"}),
        ("a=x+y%2Bz", {"a": "x y+z"}),
        ("a=%zz&b=1", {"b": "1"}),
        ("a=1;b=2&c=3", {"c": "3"}),
        ("=x", {"": "x"}),
        ("a=%ff", {"a": "\N{REPLACEMENT CHARACTER}"}),
        ("a=b=c", {"a": "b=c"}),
    ],
)
def test_a_query(query: str, fields: dict[str, str]) -> None:
    assert parse_query(query) == fields


@pytest.mark.parametrize(
    ("path", "query", "fields"),
    [
        ("/connz", "subs=1&limit=10&offset=-2&cid=7", {"subscriptions": True, "limit": 10, "offset": -2, "cid": 7}),
        ("/connz", "subs=DETAIL", {"subscriptions_detail": True}),
        ("/connz", "state=ANY&sort=idle&acc=A&user=u", {"state": 2, "sort": "idle", "acc": "A", "user": "u"}),
        ("/connz", "auth=t&mqtt_client=m&state=closed", {"auth": True, "mqtt_client": "m", "state": 1}),
        ("/connz", "subs=0&unknown=1", {"subscriptions": False}),
        ("/connz", "limit=", {}),
        ("/subsz", "subs=true&test=a.b&acc=A", {"subscriptions": True, "test": "a.b", "account": "A"}),
        ("/subscriptionsz", "subs=true", {"subscriptions": True}),
        ("/jsz", "consumers=1&direct-consumers=1&leader-only=1", {"consumer": True, "direct_consumer": True, "leader_only": True}),
        ("/healthz", "js-enabled-only=1&stream=S&details=T", {"js-enabled-only": True, "stream": "S", "details": True}),
        ("/gatewayz", "accs=1&gw_name=G&acc_name=A", {"accounts": True, "name": "G", "account_name": "A"}),
        ("/accstatz", "unused=True", {"include_unused": True}),
    ],
)
def test_options(path: str, query: str, fields: dict[str, Any]) -> None:
    assert options(path, query) == fields


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("subs=2", "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"2\": invalid syntax"),
        ("limit=x", "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax"),
        ("limit=1_0", "Error decoding int for 'limit': strconv.Atoi: parsing \"1_0\": invalid syntax"),
        ("limit=%2B-1", "Error decoding int for 'limit': strconv.Atoi: parsing \"+-1\": invalid syntax"),
        ("limit=9223372036854775808", "Error decoding int for 'limit': strconv.Atoi: parsing \"9223372036854775808\": value out of range"),
        ("cid=-1", "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax"),
        ("cid=18446744073709551616", "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"18446744073709551616\": value out of range"),
        ("cid=%01%22", "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"\\x01\\\"\": invalid syntax"),
        ("state=ajar", "Error decoding state for ajar"),
    ],
)  # fmt: skip
def test_errors(query: str, text: str) -> None:
    with pytest.raises(BadQuery) as found:
        options("/connz", query)
    assert str(found.value) == text


@given(st.text(), st.sampled_from(["subs", "limit", "cid", "state", "sort", "auth"]))
def test_whatever_is_asked_is_answered_or_refused(value: str, name: str) -> None:
    for query in (value, f"{name}={value}"):
        try:
            options("/connz", query)
        except BadQuery as exc:
            assert str(exc).startswith("Error decoding ")
