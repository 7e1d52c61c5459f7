"""The buttons that the system account can press."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.net.listener import ClientListener

if TYPE_CHECKING:  # loaded where it is configured
    from edge.net.leaf_listener import LeafListener
    from edge.net.mqtt import MqttListener


class Buttons:
    """``reload`` raises PetioleError when the configuration is wrong or cannot be had without a restart."""

    def __init__(
        self,
        listener: ClientListener,
        mqtt: "Callable[[], MqttListener | None]",
        leafs: "Callable[[], LeafListener | None]",
        reload: Callable[[], None],
    ) -> None:
        self.listener = listener
        self.mqtt = mqtt
        self.leafs = leafs
        self.reload = reload

    def kick(self, cid: int) -> bool:
        """After this batch: somebody may kick itself."""
        loop = asyncio.get_running_loop()
        connection = self.listener.connections.get(cid)
        if connection is not None:
            loop.call_soon(connection.close_with, "", "Kicked")
            return True
        mqtt = self.mqtt()
        guest = mqtt.connections.get(cid) if mqtt is not None else None
        if guest is not None:
            loop.call_soon(guest.close, "kicked")
            return True
        leafs = self.leafs()
        leaf = leafs.find(cid) if leafs is not None else None
        if leaf is not None:
            loop.call_soon(leaf.refuse, "", "Kicked")
        return leaf is not None

    def lame_duck(self, cid: int) -> str:
        connection = self.listener.connections.get(cid)
        if connection is None:
            return "no such client id"
        if not connection.tell_lame_duck():
            return "client does not support Lame Duck Mode or is not ready to receive the notification"
        return ""
