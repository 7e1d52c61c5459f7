"""Connections to our own hub: as operator in the edges' account, or as system user."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
from nats.aio.client import Client
from nats.errors import Error, NoServersError

from hub.errors import HubError
from hub.nats_conf import OPERATOR, SYSTEM, HubPlan

GO_ON_FOR_EVER = -1


@asynccontextmanager
async def operator(plan: HubPlan, attempts: int = 1) -> AsyncIterator[Client]:
    """A connection that sees the edges' subjects; `attempts` on each node, also when it is lost later."""
    async with _connected(plan, OPERATOR, plan.passwords.operator, attempts) as client:
        yield client


@asynccontextmanager
async def system(plan: HubPlan, attempts: int = 1) -> AsyncIterator[Client]:
    """A connection that may ask the servers about themselves."""
    async with _connected(plan, SYSTEM, plan.passwords.system, attempts) as client:
        yield client


@asynccontextmanager
async def _connected(plan: HubPlan, user: str, password: str, attempts: int) -> AsyncIterator[Client]:
    try:
        client = await nats.connect(
            plan.client_urls(),
            user=user,
            password=password,
            max_reconnect_attempts=attempts,
            reconnect_time_wait=0.2,
            connect_timeout=2,
            error_cb=_unmentioned,
        )
    except (NoServersError, OSError, Error, TimeoutError) as exc:
        where = ", ".join(plan.client_urls())
        raise HubError(f"no node of the hub answers on {where}; petiole-hub up starts them") from exc
    try:
        yield client
    finally:
        await client.close()


async def _unmentioned(_: Exception) -> None:
    """A node that is down is what three nodes are for; where it matters the caller gets an exception."""
