"""Questions to all servers of the hub at once, over the system account."""

import asyncio
import json
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg

from hub.errors import HubError
from hub.fleet import Reply, not_ready
from hub.nats_client import system
from hub.nats_conf import HubPlan


async def ask_servers(client: Client, what: str, count: int, timeout_s: float = 2.0) -> list[Reply]:
    """`$SYS.REQ.SERVER.PING.<what>`; returns when `count` servers answered or the time is over."""
    replies: list[Reply] = []
    complete = asyncio.Event()

    async def collect(message: Msg) -> None:
        reply = json.loads(message.data)
        if "data" in reply:
            replies.append(reply)
        if len(replies) >= count:
            complete.set()

    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, cb=collect)
    try:
        await client.publish(f"$SYS.REQ.SERVER.PING.{what}", b"", reply=inbox)
        async with asyncio.timeout(timeout_s):
            await complete.wait()
    except TimeoutError:
        pass
    finally:
        await subscription.unsubscribe()
    return replies


async def wait_ready(plan: HubPlan, fault: Callable[[], str | None], timeout_s: float) -> None:
    """Return when every node is in JetStream's cluster.

    `fault` is asked all along and names a reason to give up, such as a node that has died.
    """
    names = [node.name for node in plan.nodes]
    why = "no node answers yet"
    deadline = asyncio.get_running_loop().time() + timeout_s
    while asyncio.get_running_loop().time() < deadline:
        broken = fault()
        if broken is not None:
            raise HubError(broken)
        try:
            async with system(plan) as client:
                reason = not_ready(await ask_servers(client, "JSZ", len(names), 0.5), names)
        except HubError:
            # Not listening yet, or listening and not routed: the attempt itself took its 0.2 s.
            continue
        if reason is None:
            return
        why = reason
    raise HubError(f"the hub is not ready after {timeout_s:.0f} s: {why}")
