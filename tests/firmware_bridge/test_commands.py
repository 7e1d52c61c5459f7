"""Requests and replies over a real server; the device is frames written by hand."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import nats
import pytest

from firmware_bridge import commands
from firmware_bridge.commands import Commands
from firmware_bridge.frame import Command, FrameReader, Hello, Result, Who, encode
from firmware_bridge.link import BridgeLink, Ended, Lost
from firmware_bridge.payload import CommandCall, CommandResult, read_command, write_result

Start = Callable[..., Any]


class Line:
    """A bridge's commands on one side, and what they send down on the other."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.link = BridgeLink(lambda hello: 0, lambda: 7)
        self.commands = Commands("barn", client, self.link, self.turn)
        self.reader = FrameReader()
        self.sent: asyncio.Queue[Any] = asyncio.Queue()

    def turn(self) -> None:
        self.link.tick(0)
        for frame in self.reader.receive(self.link.data_to_send()):
            self.sent.put_nowait(frame)

    async def connect(self) -> None:
        self.receive(Hello(0, 9, 1, 0, b"\xa0"))
        await self.commands.serve("pump")
        await self.client.flush()

    def receive(self, frame: Any) -> None:
        for event in self.link.receive(encode(frame), 0):
            if isinstance(event, Ended):
                self.commands.ended(event.payload)
            elif isinstance(event, Lost):
                self.commands.ended(None)
        self.turn()

    async def next(self, kind: type) -> Any:
        while not isinstance(frame := await self.sent.get(), kind):
            pass
        return frame

    def ask(self, verb: str, body: bytes = b"") -> "asyncio.Task[Any]":
        async def request() -> Any:
            return json.loads((await self.client.request(f"commands.barn.pump.{verb}", body, timeout=30)).data)

        return asyncio.create_task(request())


@pytest.fixture
def with_line(either: Start) -> Callable[[Callable[[Line], Coroutine[Any, Any, None]]], None]:
    def run(work: Callable[[Line], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            client = await nats.connect(either().url)
            async with asyncio.timeout(60):
                await work(Line(client))
            await client.close()

        asyncio.run(main())

    return run


def test_down_and_back(with_line: Any) -> None:
    async def work(line: Line) -> None:
        await line.connect()
        asked = line.ask("set_led", b'{"on": true}')
        command = await line.next(Command)
        assert (command.sid, command.id, read_command(command.payload)) == (7, 1, CommandCall("set_led", {"on": True}))
        line.receive(Result(7, 1, write_result(CommandResult(0, "done"))))
        assert await asked == {"status": "ok", "value": "done"}

    with_line(work)


def test_one_at_a_time(with_line: Any) -> None:
    async def work(line: Line) -> None:
        await line.connect()
        asked = [line.ask("echo", b"%d" % i) for i in range(3)]
        for id in (1, 2, 3):
            command = await line.next(Command)
            assert command.id == id and line.sent.empty()
            line.receive(Result(7, id, write_result(CommandResult(0, read_command(command.payload).argument))))
        assert [(await task)["value"] for task in asked] == [0, 1, 2]

    with_line(work)


@pytest.mark.parametrize(("body", "said"), [
    (b"{no json", "no JSON"), (b"\xff", "no JSON"), (b"[" * 100_000, "no JSON"), (b'"\\ud800"', "no CBOR"), (b'"%s"' % (b"x" * 300), "does not fit"),
])  # fmt: skip
def test_arguments_that_cannot_go_down(with_line: Any, body: bytes, said: str) -> None:
    async def work(line: Line) -> None:
        await line.connect()
        answer = await line.ask("echo", body)
        assert answer["status"] == "bad argument" and said in answer["error"]
        asked = line.ask("echo", b"1")  # and the next one goes
        await line.next(Command)
        line.receive(Result(7, 1, write_result(CommandResult(0))))
        assert await asked == {"status": "ok"}

    with_line(work)


def test_no_device_and_one_that_went_away(with_line: Any) -> None:
    async def work(line: Line) -> None:
        await line.commands.serve("pump")
        await line.client.flush()
        assert (await line.ask("echo"))["status"] == "offline"
        await line.connect()
        asked = line.ask("echo")
        await line.next(Command)
        line.receive(Hello(0, 10, 1, 0, b"\xa0"))
        assert (await asked)["status"] == "interrupted"

    with_line(work)


def test_a_device_that_does_not_answer_begins_a_new_session(with_line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids begin again with it: a command that the device never had does not bar those behind it."""
    monkeypatch.setattr(commands, "PATIENCE_SECONDS", 0.2)

    async def work(line: Line) -> None:
        await line.connect()
        assert (await line.ask("echo"))["status"] == "timeout"
        await line.next(Who)
        assert (await line.ask("echo"))["status"] == "offline"
        line.receive(Result(7, 1, write_result(CommandResult(0))))  # too late
        line.receive(Hello(0, 9, 1, 0, b"\xa0"))
        asked = line.ask("echo")
        while (command := await line.next(Command)).sid == 7:
            pass
        assert command.id == 1
        line.receive(Result(command.sid, 1, write_result(CommandResult(0))))
        assert await asked == {"status": "ok"}

    with_line(work)


def test_what_has_waited_too_long_is_not_carried_out(with_line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PATIENCE_SECONDS", 0.3)

    async def work(line: Line) -> None:
        await line.connect()
        async with line.commands.one_at_a_time:
            assert (await line.ask("echo"))["status"] == "busy"
        assert line.link.command is None

    with_line(work)


def test_another_device_on_the_line(with_line: Any) -> None:
    async def work(line: Line) -> None:
        await line.connect()
        await line.commands.serve("valve")
        await line.client.flush()
        with pytest.raises(nats.errors.NoRespondersError):
            await line.client.request("commands.barn.pump.echo", b"", timeout=30)
        asked = asyncio.create_task(line.client.request("commands.barn.valve.echo", b"", timeout=30))
        await line.next(Command)
        line.receive(Result(7, 1, b"\xff"))
        assert json.loads((await asked).data)["status"] == "failed"

    with_line(work)


def test_nobody_waits_for_the_reply(with_line: Any) -> None:
    async def work(line: Line) -> None:
        await line.connect()
        await line.client.publish("commands.barn.pump.set_led", b"true")
        assert (await line.next(Command)).id == 1
        line.receive(Result(7, 1, write_result(CommandResult(0))))

    with_line(work)
