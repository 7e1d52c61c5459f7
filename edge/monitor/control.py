"""The buttons that the system account can press."""

import asyncio
from collections.abc import Callable

from edge.net.listener import ClientListener


class Buttons:
    """``reload`` raises PetioleError when the configuration is wrong or cannot be had without a restart."""

    def __init__(self, listener: ClientListener, reload: Callable[[], None]) -> None:
        self.listener = listener
        self.reload = reload

    def kick(self, cid: int) -> bool:
        """After this batch: somebody may kick itself."""
        connection = self.listener.connections.get(cid)
        if connection is None:
            return False
        asyncio.get_running_loop().call_soon(connection.close_with, "", "Kicked")
        return True

    def lame_duck(self, cid: int) -> str:
        connection = self.listener.connections.get(cid)
        if connection is None:
            return "no such client id"
        if not connection.tell_lame_duck():
            return "client does not support Lame Duck Mode or is not ready to receive the notification"
        return ""
