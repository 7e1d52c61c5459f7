"""What the hub's servers say about themselves, as typed values.  Pure: replies in, nouns and lines out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Reply = dict[str, Any]
"""A server's answer to `$SYS.REQ.SERVER.PING.<Z>`: {"server": {"name", "ver", ...}, "data": {...}}."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf connection as its hub node sees it."""

    name: str
    node: str
    address: str
    rtt: str
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class Replica:
    node: str
    current: bool
    lag: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of the hub and where its copies are; `leader` is None while an election runs."""

    name: str
    subjects: tuple[str, ...]
    replicas: int
    messages: int
    size_bytes: int
    leader: str | None
    followers: tuple[Replica, ...]


def meta_leader(replies: Iterable[Reply]) -> str | None:
    """The leader that the nodes agree on; None where they name none or several."""
    leaders = {_meta(reply).get("leader") for reply in replies}
    return leaders.pop() if len(leaders) == 1 else None


def not_ready(replies: Sequence[Reply], names: Sequence[str]) -> str | None:
    """Why the cluster of `names` cannot store R3 yet, from JSZ replies; None when it can."""
    absent = sorted(set(names) - {reply["server"]["name"] for reply in replies})
    if absent:
        return f"{', '.join(absent)} does not answer yet"
    leader = meta_leader(replies)
    if leader is None:
        return "no JetStream leader is elected yet"
    led = next(_meta(reply) for reply in replies if reply["server"]["name"] == leader)
    current = {replica["name"] for replica in led.get("replicas", ()) if replica["current"]}
    behind = sorted(set(names) - current - {leader})
    return f"{', '.join(behind)} has not joined JetStream yet" if behind else None


def leafs(replies: Iterable[Reply]) -> list[Leaf]:
    """The leaf connections in LEAFZ replies, by name."""
    found = [
        Leaf(
            name=leaf["name"],
            node=reply["server"]["name"],
            address=f"{leaf['ip']}:{leaf['port']}",
            rtt=leaf.get("rtt", ""),
            received=leaf["in_msgs"],
            sent=leaf["out_msgs"],
        )
        for reply in replies
        for leaf in reply["data"].get("leafs") or ()
    ]
    return sorted(found, key=lambda leaf: leaf.name)


def stream_line(stream: Stream) -> str:
    copies = [f"{stream.leader or 'no'} leader"]
    copies += [
        f"{replica.node} {'current' if replica.current else f'behind by {replica.lag}'}" for replica in stream.followers
    ]
    return (
        f"{stream.name}  R{stream.replicas}  {', '.join(stream.subjects)}  "
        f"{stream.messages} messages, {size(stream.size_bytes)}  ({', '.join(copies)})"
    )


def leaf_line(leaf: Leaf) -> str:
    return (
        f"{leaf.name}  on {leaf.node} from {leaf.address}  rtt {leaf.rtt or '?'}  "
        f"{leaf.received} messages in, {leaf.sent} out"
    )


def size(count: int) -> str:
    """A number of bytes for people: 1536 -> 1.5 KB."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"


def _meta(reply: Reply) -> dict[str, Any]:
    meta: dict[str, Any] = reply["data"].get("meta_cluster") or {}
    return meta
