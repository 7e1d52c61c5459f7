import pytest

from edge.downlink.command import Command, State, device_headers, verdict
from edge.message import header_block, header_items
from edge.store.contract import Row


def row(subject="queued.commands.e1.pump.start", **headers):
    items = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Row(7, subject, 5, header_block(items) if items else b"", b"{}")


def test_command_from_its_message():
    found = Command.of(
        row(Nats_Msg_Id="a", Petiole_Deadline="1970-01-01T00:00:09Z", Petiole_Idempotent="true"), "COMMANDS"
    )
    assert found == Command(7, "a", "pump", "start", 5, 9_000_000_000, True, "")
    assert Command.of(row(), "COMMANDS") == Command(7, "COMMANDS:7", "pump", "start", 5, 0, False, "")


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (row(Petiole_Deadline="tomorrow"), "Petiole-Deadline: 'tomorrow' is no time"),
        (row("queued.commands.e1.pump"), "does not end with a device and a verb"),
        (row("queued.commands.e1.pump.a.b"), "does not end with a device and a verb"),
    ],
)
def test_command_that_cannot_be_run(message, fault):
    assert fault in Command.of(message, "COMMANDS").fault


def test_what_the_device_is_told():
    message = row(Nats_Msg_Id="a", Petiole_Idempotent="true", Colour="red")
    headers = device_headers(Command.of(message, "C"), message.headers)
    assert header_items(headers) == [("Petiole-Command", "a"), ("Petiole-Idempotent", "true"), ("Colour", "red")]


@pytest.mark.parametrize(
    ("payload", "state", "again", "doubtful"),
    [
        (b'{"status": "ok", "value": 3}', State.DONE, False, False),
        (b"", State.DONE, False, False),
        (b"\xff", State.DONE, False, False),
        (b"[1]", State.DONE, False, False),
        (b'{"status": 3}', State.DONE, False, False),
        (b'{"status": "offline"}', State.RECEIVED, True, False),
        (b'{"status": "busy"}', State.RECEIVED, True, False),
        (b'{"status": "timeout"}', State.INTERRUPTED, False, True),
        (b'{"status": "interrupted"}', State.INTERRUPTED, False, True),
        (b'{"status": "bad argument", "error": "no"}', State.FAILED, False, False),
        (b"[" * 100_000, State.DONE, False, False),
    ],
)
def test_verdicts(payload, state, again, doubtful):
    found = verdict(b"", payload)
    assert (found.state, found.again, found.doubtful) == (state, again, doubtful)


def test_verdict_of_a_service():
    headers = header_block([("Nats-Service-Error", "no such valve"), ("Nats-Service-Error-Code", "404")])
    assert verdict(headers, b"")[:3] == (State.FAILED, "", "no such valve")
    assert verdict(b"NATS/1.0 503\r\n\r\n", b"").again
