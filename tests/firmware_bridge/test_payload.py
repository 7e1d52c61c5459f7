"""What a device may say in CBOR, and everything else."""

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.payload import (
    CommandCall,
    CommandResult,
    Identity,
    PayloadError,
    Telemetry,
    read_command,
    read_identity,
    read_result,
    read_telemetry,
    write_command,
    write_identity,
    write_result,
    write_telemetry,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("reading", [
    Telemetry("temp", 21.5, "C", 1000), Telemetry("door", True), Telemetry("n", -(2**64)), Telemetry("t", "x", "", 0), Telemetry("raw", b"\0"),
])  # fmt: skip
def test_readings(reading: Telemetry) -> None:
    assert read_telemetry(write_telemetry(reading)) == reading


def test_identities() -> None:
    assert read_identity(write_identity(Identity("pump", "1.0", 250))) == Identity("pump", "1.0", 250)
    assert read_identity(cbor2.dumps({1: "pump"})) == Identity("pump", "", 0)
    for nameless in ({}, {1: ""}, {1: 7}, {2: "1.0"}):
        with pytest.raises(PayloadError):
            read_identity(cbor2.dumps(nameless))


@given(VALUES)
def test_arguments_and_results_there_and_back(value: Any) -> None:
    assert read_command(write_command(CommandCall("go", value))) == CommandCall("go", value)
    assert read_result(write_result(CommandResult(0, value))) == CommandResult(0, value)


@pytest.mark.parametrize(("payload", "why"), [
    (b"", "cut off"), (b"\x01", "not a CBOR map"), (b"\xa1\x01", "cut off"), (b"\xa0\x00", "behind the map"),
    (b"\xbf\x01\x61a\xff", "without a length"), (b"\x9f\xff", "without a length"),
    (b"\xa1\x02" + b"\x81" * 20 + b"\x00", "too deep"), (b"\xa1\x01\x78\xff", "cut off"), (b"\x9b" + b"\xff" * 8, "cut off"),
    (b"\xa1\x01\x62\xc3\x28", "not CBOR"), (b"\xa1\x02\xc1\x00", "tag 1"), (b"\xa1\x02\xd8\x1c\x81\xd8\x1d\x00", "tag 28"),
    (b"\xa1\xa0\x00", "not CBOR|without channel"), (b"\xa1\x01\x18", "cut off"),
])  # fmt: skip
def test_what_is_no_payload_says_why(payload: bytes, why: str) -> None:
    with pytest.raises(PayloadError, match=why):
        read_telemetry(payload)


@given(st.binary(max_size=250) | st.binary(max_size=60).map(lambda tail: b"\xa2\x01\x61a\x02" + tail))
def test_any_bytes_are_a_payload_or_an_error(payload: bytes) -> None:
    for read in (read_telemetry, read_identity, read_command, read_result):
        try:
            read(payload)
        except PayloadError:
            pass


@pytest.mark.parametrize("value", ["\ud800", {"deep": "\udfff"}])
def test_what_has_no_cbor_is_an_error(value: Any) -> None:
    with pytest.raises(PayloadError, match="no CBOR"):
        write_command(CommandCall("go", value))
