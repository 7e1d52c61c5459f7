"""Readings to a live stream, ours and the real one: refused, cut off and killed, in order and once."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats
import pytest

from firmware_bridge import lookback, publisher
from firmware_bridge.lookback import Place, StreamSilent, ids_after
from firmware_bridge.messages import MSG_ID, msg_id
from firmware_bridge.publisher import Outgoing, Publisher, read_pub_ack

CONFIG = 'listen: 127.0.0.1:{port}\njetstream {{ store_dir: "{store}" }}\n'
Start = Callable[..., Any]


@pytest.fixture
def server(either: Start, free_port: Callable[[], int], tmp_path: Path) -> Any:
    return either(CONFIG.format(port=free_port(), store=tmp_path / "store"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "RETRY_SECONDS", 0.05)


def reading(seq: int, device: str = "pump") -> Outgoing:
    id = msg_id(device, 9, seq)
    return Outgoing(device, 9, seq, id, f"telemetry.barn.{device}.n", b"%d" % seq, {MSG_ID: id})


class Desk:
    """A publisher at work, and what it says is stored."""

    def __init__(self, url: str, place: Place | None = None, **options: Any) -> None:
        self.url = url
        self.options = options
        self.places: dict[str, Place] = {} if place is None else {"pump": place}
        self.stored: list[int] = []

    async def __aenter__(self) -> "Desk":
        async def lost() -> None:
            self.publisher.connection_lost()

        async def quiet(error: Exception) -> None: ...

        self.client = await nats.connect(
            self.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, disconnected_cb=lost, reconnected_cb=lost,
            error_cb=quiet, **self.options,
        )  # fmt: skip
        self.publisher = Publisher(self.client, "telemetry.barn", self.places.get, self.on_first, self.on_stored)
        await self.publisher.start()
        self.task = asyncio.create_task(self.publisher.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.client.close()

    async def on_first(self, device: str, place: Place) -> None:
        self.places[device] = place

    def on_stored(self, reading: Outgoing, place: Place) -> None:
        self.stored.append(reading.seq)
        self.places[reading.device] = place

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not is_so():
                assert not self.task.done(), self.task
                await asyncio.sleep(0.01)

    async def add_stream(self, window: float = 120) -> None:
        await self.client.jetstream().add_stream(name="T", subjects=["telemetry.>"], duplicate_window=window)

    async def in_stream(self) -> list[int]:
        js = self.client.jetstream()
        last = (await js.stream_info("T")).state.last_seq
        return [int((await js.get_msg("T", seq)).data or b"0") for seq in range(1, last + 1)]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_in_order_and_with_their_places(server: Any) -> None:
    async def main() -> None:
        async with Desk(server.url) as desk:
            await desk.add_stream()
            for seq in range(1, 101):
                desk.publisher.send(reading(seq))
                desk.publisher.send(reading(seq))  # received once more while it is in flight
            await desk.until(lambda: len(desk.stored) == 100)
            assert desk.stored == await desk.in_stream() == list(range(1, 101))
            assert desk.places["pump"] == Place("T", 100)
            assert not desk.publisher.flying and not desk.publisher.ids

    run(main())


def test_none_overtakes_one_that_was_refused(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Desk(server.url) as desk:
            for seq in range(1, 31):
                desk.publisher.send(reading(seq))
            await desk.until(lambda: "no stream takes this subject" in caplog.text)
            await desk.add_stream()
            await desk.until(lambda: len(desk.stored) == 30)
            await desk.client.jetstream().delete_stream("T")
            desk.publisher.send(reading(31))
            await desk.until(lambda: caplog.text.count("no stream") == 2)
            for seq in range(32, 40):
                desk.publisher.send(reading(seq))
            await desk.add_stream()
            await desk.until(lambda: len(desk.stored) == 39)
            assert await desk.in_stream() == list(range(31, 40))
            assert caplog.text.count("no stream") == 2, "each reason once"

    run(main())


def test_one_that_is_refused_among_others_is_neither_lost_nor_doubled(server: Any) -> None:
    """The others were on their way already; what comes later waits for it."""

    async def main() -> None:
        async with Desk(server.url) as desk:
            js = desk.client.jetstream()
            await js.add_stream(name="T", subjects=["telemetry.>"], max_msg_size=200)
            desk.publisher.send(reading(1))
            await desk.until(lambda: desk.stored == [1])
            for seq in range(2, 11):
                desk.publisher.send(reading(seq) if seq != 5 else replace(reading(5), payload=b" " * 200 + b"5"))
            await desk.until(lambda: len(desk.stored) == 9 and desk.publisher.refused == 5)
            await js.update_stream(name="T", subjects=["telemetry.>"], max_msg_size=1000)
            await desk.until(lambda: len(desk.stored) == 10)
            desk.publisher.send(reading(11))
            await desk.until(lambda: len(desk.stored) == 11)
            assert await desk.in_stream() == [1, 2, 3, 4, 6, 7, 8, 9, 10, 5, 11]

    run(main())


def test_killed_for_longer_than_the_duplicate_window(server: Any) -> None:
    """What was in flight is looked up: the ids alone are forgotten by then.  What comes later goes behind it."""

    async def main() -> None:
        async with Desk(server.url) as desk:
            await desk.add_stream(window=0.1)
            for seq in range(1, 121):
                desk.publisher.send(reading(seq))
            await desk.until(lambda: len(desk.stored) > 5)
            server.kill()
            for seq in range(121, 151):
                desk.publisher.send(reading(seq))
            await asyncio.sleep(0.3)  # the window
            server.start()
            for seq in range(151, 201):
                desk.publisher.send(reading(seq))
                await asyncio.sleep(0.01)
            await desk.until(lambda: len(desk.stored) == 200)
            assert await desk.in_stream() == list(range(1, 201))
            assert sorted(desk.stored) == list(range(1, 201))

    run(main())


def test_what_another_process_has_published_is_found(server: Any) -> None:
    async def main() -> None:
        async with Desk(server.url, Place("T", 2)) as desk:
            await desk.add_stream(window=0.1)
            js = desk.client.jetstream()
            for seq in (1, 2, 3, 4, 6):
                await js.publish(f"telemetry.barn.pump.{seq}", b"%d" % seq, headers={MSG_ID: msg_id("pump", 9, seq)})
            await asyncio.sleep(0.3)  # the window
            for seq in range(3, 9):  # they come one by one
                desk.publisher.send(reading(seq))
                await desk.until(lambda seq=seq: seq in desk.stored)  # type: ignore[misc]
            assert await desk.in_stream() == [1, 2, 3, 4, 6, 5, 7, 8]

    run(main())


def test_one_that_was_killed_before_its_first_puback_is_looked_for_too(server: Any) -> None:
    async def main() -> None:
        async with Desk(server.url) as first:
            await first.add_stream(window=0.1)
            await first.client.jetstream().publish("telemetry.barn.valve.n", b"77")
            first.publisher.on_stored = lambda reading, place: None  # it does not come that far
            first.publisher.send(reading(1))
            await first.until(lambda: not first.publisher.flying)
            assert first.places == {"pump": Place("T", 1)}
        await asyncio.sleep(0.3)  # the window
        async with Desk(server.url, first.places["pump"]) as second:
            for seq in (1, 2):
                second.publisher.send(reading(seq))
            await second.until(lambda: len(second.stored) == 2)
            assert await second.in_stream() == [77, 1, 2]

    run(main())


def test_each_device_is_looked_for(server: Any) -> None:
    async def main() -> None:
        async with Desk(server.url, Place("T", 0)) as desk:
            desk.places["valve"] = Place("T", 0)
            await desk.add_stream(window=0.1)
            js = desk.client.jetstream()
            await js.publish("telemetry.barn.valve.n", b"1", headers={MSG_ID: msg_id("valve", 9, 1)})
            await asyncio.sleep(0.3)  # the window
            desk.publisher.send(reading(1))
            await desk.until(lambda: len(desk.stored) == 1)
            desk.publisher.send(reading(1, "valve"))
            desk.publisher.send(reading(2, "valve"))
            await desk.until(lambda: len(desk.stored) == 3)
            state = (await js.stream_info("T")).state
            assert state.messages == 3

    run(main())


def test_a_stream_that_is_gone_has_nothing(server: Any) -> None:
    async def main() -> None:
        async with Desk(server.url, Place("OLD", 70)) as desk:
            await desk.add_stream()
            desk.publisher.send(reading(1))
            await desk.until(lambda: desk.stored == [1])
            assert await ids_after(desk.client, Place("T", 0), "telemetry.barn.pump.>") == {"pump:00000009:1": Place("T", 1)}
            assert await ids_after(desk.client, Place("T", 1), "telemetry.barn.pump.>") == {}

    run(main())


def test_one_that_may_not_ask_goes_on_with_a_warning(
    start_nats: Start, free_port: Callable[[], int], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookback, "PATIENCE_SECONDS", 0.1)
    server = start_nats(
        CONFIG.format(port=free_port(), store=tmp_path / "store")
        + 'authorization { users [ { user: bridge, password: x, permissions: { publish: { deny: "$JS.API.STREAM.MSG.GET.>" } } } ] }'
    )

    async def main() -> None:
        async with Desk(server.url, Place("T", 3), user="bridge", password="x") as desk:
            await desk.add_stream()
            desk.publisher.send(reading(1))
            await desk.until(lambda: desk.stored == [1])
            assert "does not say what it has" in caplog.text

    caplog.set_level(logging.WARNING)
    run(main())


def test_an_edge_without_streams_is_silent(start_nats: Start) -> None:
    async def main() -> None:
        client = await nats.connect(start_nats("listen: 127.0.0.1:-1").url)
        with pytest.raises(StreamSilent, match="responders"):
            await ids_after(client, Place("T", 1), ">")
        await client.close()

    run(main())


class Answer:
    def __init__(self, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.data = data
        self.headers = headers


@pytest.mark.parametrize(("data", "headers", "read"), [
    (b'{"stream":"T","seq":5}', None, Place("T", 5)),
    (b'{"stream":"T","seq":5,"duplicate":true}', None, Place("T", 5)),
    (b"", {"Status": "503"}, "no stream takes this subject"),
    (b'{"error":{"code":503,"description":"insufficient resources"},"stream":"T","seq":0}', None, "insufficient resources"),
    (b'{"error":"x","stream":"T","seq":5}', None, "an answer that is no PubAck"),
    (b'{"stream":"T","seq":0}', None, "an answer that is no PubAck"),
    (b'{"stream":"T","seq":"5"}', None, "an answer that is no PubAck"),
    (b"[]", None, "an answer that is no PubAck"), (b"hello", None, "an answer that is no PubAck"), (b"", None, "an answer that is no PubAck"),
])  # fmt: skip
def test_pub_acks(data: bytes, headers: dict[str, str] | None, read: object) -> None:
    assert read_pub_ack(Answer(data, headers)) == read  # type: ignore[arg-type]
