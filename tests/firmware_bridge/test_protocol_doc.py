"""The examples of docs/protocol.md are what the code writes, and each other."""

from pathlib import Path
from zlib import crc32

from firmware_bridge import cobs
from firmware_bridge.frame import Ack, Command, Data, Frame, Hello, Result, Who, decoded, encode, parse
from firmware_bridge.payload import (
    CommandCall,
    CommandResult,
    Identity,
    Telemetry,
    write_command,
    write_identity,
    write_result,
    write_telemetry,
)

DOC = Path(__file__).parents[2] / "firmware-bridge" / "docs" / "protocol.md"
EXAMPLES: dict[str, Frame] = {
    "WHO": Who(),
    "HELLO of a device named pump": Hello(0, 0x01020304, 1, 0, write_identity(Identity("pump", "1.0", 250))),
    "HELLO of the bridge": Hello(0x1234, 0x01020304, 1, 32, b"\xa0"),
    "DATA, temp is 21.5 C": Data(0x1234, 1, write_telemetry(Telemetry("temp", 21.5, "C", 1000))),
    "ACK, received": Ack(0x1234, 1, 2),
    "ACK, stored": Ack(0x1234, 2, 2),
    "COMMAND set_led true": Command(0x1234, 1, write_command(CommandCall("set_led", True))),
    "RESULT, done": Result(0x1234, 1, write_result(CommandResult(0, True))),
}


def rows() -> dict[str, tuple[bytes, bytes]]:
    """What the page has: name to decoded and wire bytes."""
    found = {}
    for line in DOC.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) == 3 and cells[0] in EXAMPLES:
            found[cells[0]] = (bytes.fromhex(cells[1].strip("`")), bytes.fromhex(cells[2].strip("`")))
    return found


def test_the_page_shows_every_frame_as_it_is() -> None:
    assert rows() == {name: (decoded(frame), encode(frame)) for name, frame in EXAMPLES.items()}


def test_the_page_can_be_followed_by_hand() -> None:
    for name, (content, wire) in rows().items():
        assert wire.endswith(b"\0") and cobs.decode(wire[:-1]) == content
        assert crc32(content[:-4]).to_bytes(4, "little") == content[-4:]
        assert parse(content) == EXAMPLES[name]


def test_the_check_value_of_the_crc() -> None:
    assert f"{crc32(b'123456789'):08X}" == "CBF43926" and "CBF43926" in DOC.read_text()
