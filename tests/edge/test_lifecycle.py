"""Tasks, their ends, and lame duck mode; without sockets."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from edge.errors import ConfigError
from edge.lifecycle import Lifecycle, lame_duck


class Server:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.problem = ""
        self.leave = asyncio.Event()

    def reload(self) -> None:
        self.asked.append("reload")
        if self.problem:
            raise ConfigError("x.conf", 1, 2, self.problem)

    def reopen_log(self) -> None:
        self.asked.append("reopen")

    async def lame_duck(self) -> None:
        self.asked.append("lame duck")
        await self.leave.wait()


class Listener:
    def __init__(self, clients: int) -> None:
        self.said: list[str] = []
        self.open = list(range(clients))

    async def stop(self) -> None:
        self.said.append("stop")

    def stop_accepting(self) -> None:
        self.said.append("stop accepting")

    def announce_lame_duck(self) -> None:
        self.said.append("announce")

    def closers(self) -> list[Callable[[], None]]:
        return [lambda client=client: self.open.remove(client) for client in self.open]  # type: ignore[misc]


def test_signals() -> None:
    async def main() -> None:
        server = Server()
        lifecycle = Lifecycle(server)
        lifecycle.hear(signal.SIGHUP)
        assert server.asked == []  # not ready yet
        serving = asyncio.create_task(lifecycle.serve())
        await asyncio.sleep(0)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR2):
            lifecycle.hear(number)
        await asyncio.sleep(0)
        assert server.asked == ["reload", "reopen", "lame duck"]
        lifecycle.hear(signal.SIGTERM)
        assert not lifecycle.stopping.is_set()  # lame duck mode is on its way to the same end
        server.leave.set()
        await serving

    asyncio.run(main())


def test_a_mistake_in_the_new_configuration_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server = Server()
        server.problem = "not this"
        lifecycle = Lifecycle(server)
        lifecycle.is_serving = True
        lifecycle.hear(signal.SIGHUP)

    asyncio.run(main())
    assert "Failed to reload server configuration: x.conf:1:2: not this" in caplog.messages


def test_a_task_that_fails_takes_the_server_with_it() -> None:
    async def fail() -> None:
        raise RuntimeError("a bug")

    async def forever() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        lifecycle = Lifecycle(Server())
        other = lifecycle.start(forever())
        lifecycle.start(fail())
        with pytest.raises(RuntimeError, match="a bug"):
            await lifecycle.serve()
        assert other.cancelled()

    asyncio.run(main())


def test_a_task_may_be_ended_before() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        lifecycle = Lifecycle(Server())
        task = lifecycle.start(forever())
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)  # its callback
        assert not lifecycle.stopping.is_set() and not lifecycle.tasks
        lifecycle.hear(signal.SIGINT)
        await lifecycle.serve()

    asyncio.run(main())


def test_lame_duck_mode_closes_the_clients_of_every_listener() -> None:
    one, two = Listener(3), Listener(2)
    asyncio.run(lame_duck([one, two], 0, 1_000_000))
    assert one.said == two.said == ["stop accepting", "announce"]
    assert one.open == two.open == []


def test_lame_duck_mode_ends_at_once_without_clients() -> None:
    one = Listener(0)
    asyncio.run(lame_duck([one], 3600 * 10**9, 7200 * 10**9))
    assert one.said == ["stop accepting"]
