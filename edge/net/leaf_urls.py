"""Where the servers of a hub are: what is configured, and what they tell of each other."""

import ipaddress
import random
from collections.abc import Sequence
from typing import NamedTuple

from edge.net.leaf_options import LeafUrl


class Place(NamedTuple):
    """A server to try next.  ``name`` is what its certificate is to bear."""

    host: str
    port: int
    user: str
    password: str
    encrypted: bool
    websocket: bool
    path: str
    name: str

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class LeafUrls:
    """Round robin: first what the hub has told of, which may be newer, then what is configured.

    As nats-server has it, addresses that were told of get the user of the first configured url that has one, and are
    expected to have certificates for its name where they are numbers; ``distrust_name`` when they have not.
    """

    def __init__(self, urls: Sequence[LeafUrl], rng: random.Random, randomize: bool) -> None:
        self.configured = [_place(url) for url in urls]
        if randomize:
            rng.shuffle(self.configured)
        self.login = next((place for place in self.configured if place.user), self.configured[0])
        self.name = next((place.host for place in self.configured if not is_address(place.host)), "")
        self.all = self.configured
        self.told: tuple[str, ...] = ()
        self.last: Place | None = None

    def learn(self, addresses: tuple[str, ...]) -> None:
        """``host:port`` of all servers of the hub, as the latest INFO has them."""
        if addresses == self.told:
            return
        self.told = addresses
        known = {(place.host, place.port) for place in self.configured}
        found = [place for address in addresses if (place := self._told(address)) is not None]
        self.all = [place for place in found if (place.host, place.port) not in known] + self.configured

    def next(self) -> Place:
        """Each in its turn: who was tried last goes to the end."""
        if self.last is not None and len(self.all) > 1 and self.all[0] == self.last:
            self.all = [*self.all[1:], self.all[0]]
        self.last = self.all[0]
        return self.last

    def distrust_name(self) -> None:
        self.name = ""
        self.all = [place._replace(name=place.host) for place in self.all]

    def _told(self, address: str) -> Place | None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            return None
        name = self.name if is_address(host) and self.name else host
        return self.login._replace(host=host, port=int(port), name=name)


def _place(url: LeafUrl) -> Place:
    return Place(url.host, url.port, url.user, url.password, url.encrypted, url.websocket, url.path, url.host)


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
