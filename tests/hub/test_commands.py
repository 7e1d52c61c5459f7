import asyncio

import pytest

from hub.commands import command_payload, command_subject, send_command
from hub.errors import HubError
from hub.nats_client import operator


def test_subject_names_edge_device_verb():
    assert command_subject("edge-1", "pump", "start") == "commands.edge-1.pump.start"


@pytest.mark.parametrize("token", ["", "a.b", "a b", "*", ">", "a\tb"])
@pytest.mark.parametrize("place", range(3))
def test_part_that_is_not_one_token(token, place):
    parts = ["edge-1", "pump", "start"]
    parts[place] = token
    with pytest.raises(HubError, match=("edge", "device", "verb")[place]):
        command_subject(*parts)


def test_payload_is_compact_json():
    assert command_payload(' { "on" : true, "level": [1, 2] } ') == b'{"on":true,"level":[1,2]}'


@pytest.mark.parametrize("text", ["", "{", "on", "{'on': 1}"])
def test_payload_that_is_not_json(text):
    with pytest.raises(HubError, match="not JSON"):
        command_payload(text)


def send(hub, subject, answer, timeout_s=5.0):
    """Send a command with a device behind `answer`, None for no device at all."""

    async def main():
        async with operator(hub.plan) as client:
            if answer is not None:
                await client.subscribe("commands.edge-1.pump.*", cb=answer)
                await client.flush()
            return await send_command(client, subject, b'{"n":2}', timeout_s)

    return asyncio.run(main())


def test_result_comes_back(hub):
    async def double(message):
        assert message.data == b'{"n":2}'
        await message.respond(b'{"result": 4}')

    assert send(hub, "commands.edge-1.pump.double", double) == {"result": 4}


def test_nobody_there(hub):
    with pytest.raises(HubError, match=r"nobody answers commands\.edge-9\.pump\.on"):
        send(hub, "commands.edge-9.pump.on", None)


def test_silent_device_may_have_done_it(hub):
    async def silent(_):
        pass

    with pytest.raises(HubError, match="may have been carried out"):
        send(hub, "commands.edge-1.pump.on", silent, timeout_s=0.2)


def test_answer_that_is_not_json(hub):
    async def babble(message):
        await message.respond(b"\xff\xfe")

    with pytest.raises(HubError, match="answer is not JSON"):
        send(hub, "commands.edge-1.pump.on", babble)
