import asyncio
from typing import Any

from edge.monitor.control import Buttons


class Connection:
    def __init__(self) -> None:
        self.closed: tuple[str, ...] | None = None

    def close_with(self, text: str, reason: str) -> None:
        self.closed = text, reason

    def close(self, reason: str) -> None:
        self.closed = (reason,)


class Listener:
    def __init__(self, cid: int) -> None:
        self.connections = {cid: Connection()}


class Link:
    refused: tuple[str, str] | None = None

    def refuse(self, text: str, end: str) -> None:
        self.refused = text, end


class Leafs:
    def __init__(self, cid: int) -> None:
        self.cid, self.link = cid, Link()

    def find(self, cid: int) -> Link | None:
        return self.link if cid == self.cid else None


def test_kicking_whoever_has_the_number() -> None:
    """After the batch: somebody may kick itself."""
    clients: Any = Listener(1)
    mqtt: Any = Listener(2)
    leafs: Any = Leafs(3)

    async def main() -> None:
        buttons = Buttons(clients, lambda: mqtt, lambda: leafs, lambda: None)
        assert [buttons.kick(cid) for cid in (1, 2, 3, 4)] == [True, True, True, False]
        assert clients.connections[1].closed is mqtt.connections[2].closed is None
        await asyncio.sleep(0)
        assert clients.connections[1].closed == ("", "Kicked")
        assert mqtt.connections[2].closed == ("kicked",)
        assert leafs.link.refused == ("", "Kicked")
        assert not Buttons(clients, lambda: None, lambda: None, lambda: None).kick(2)

    asyncio.run(main())
