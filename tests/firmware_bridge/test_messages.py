"""Subjects and JSON of the bridge."""

import json
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.subjects import is_literal
from firmware_bridge.messages import UNDECODABLE, msg_id, plain, read_reading, result_json, rfc3339, token
from firmware_bridge.payload import CommandResult, Telemetry, write_result, write_telemetry


@given(st.text(max_size=30))
def test_any_name_becomes_one_token(name: str) -> None:
    made = token(name)
    assert is_literal(made) and "." not in made and token(made) == made


@pytest.mark.parametrize(("name", "made"), [("pump", "pump"), ("a b.c*>", "a_b_c__"), ("", "_"), ("é\n", "é_")])
def test_tokens(name: str, made: str) -> None:
    assert token(name) == made


def test_an_id_names_a_reading_for_ever() -> None:
    assert msg_id("pump", 0xBEEF, 17) == "pump:0000beef:17"


@pytest.mark.parametrize(("reading", "channel", "body"), [
    (Telemetry("temp", 21.5, "C", 7), "temp", {"value": 21.5, "unit": "C"}),
    (Telemetry("a.b", True), "a_b", {"value": True}),
    (Telemetry("x", b"\0\1"), "x", {"bytes": "AAE="}),
    (Telemetry("x", float("nan")), "x", {"value": "nan"}),
])  # fmt: skip
def test_readings(reading: Telemetry, channel: str, body: Any) -> None:
    got, text, at_ms, wrong = read_reading(write_telemetry(reading))
    assert (got, json.loads(text), at_ms, wrong) == (channel, body, reading.at_ms, "")


def test_what_is_no_reading_is_kept_as_it_came() -> None:
    channel, text, at_ms, wrong = read_reading(b"\xff\0")
    assert channel == UNDECODABLE and json.loads(text) == {"bytes": "/wA="} and at_ms is None and wrong


@given(st.binary(max_size=245))
def test_any_payload_becomes_a_message_and_a_reply(payload: bytes) -> None:
    channel, text, _, _ = read_reading(payload)
    assert is_literal(channel) and isinstance(strictly(text.decode()), dict)
    assert result_json("go", payload)["status"]
    strictly(json.dumps(result_json("go", payload)))


@pytest.mark.parametrize(("result", "answer"), [
    (CommandResult(0), {"status": "ok"}),
    (CommandResult(0, {"a": [1, None, 2.5, b"\0"], 3: "x"}), {"status": "ok", "value": {"a": [1, None, 2.5, "AA=="], "3": "x"}}),
    (CommandResult(1), {"status": "unknown verb", "error": "fly: unknown verb"}),
    (CommandResult(3, "off"), {"status": "bad argument", "value": "off", "error": "fly: bad argument"}),
    (CommandResult(99), {"status": "failed", "error": "fly: failed"}),
    (CommandResult(0, float("inf")), {"status": "ok", "value": "inf"}),
])  # fmt: skip
def test_results(result: CommandResult, answer: Any) -> None:
    assert result_json("fly", write_result(result)) == answer


def test_what_json_has_not() -> None:
    assert plain(cbor2.undefined) == "undefined"
    assert rfc3339(0.25) == "1970-01-01T00:00:00.250Z"


def strictly(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)
