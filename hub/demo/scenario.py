"""The acts of the demo, in order, and the count at the end."""

import asyncio
import json
from collections.abc import Callable

from nats.aio.client import Client

from hub.commands import command_subject, send_command
from hub.demo.leaf_link import LinkState
from hub.demo.pace import Pace
from hub.demo.picture import Picture
from hub.demo.stage import EDGE, SERIAL_DEVICE, Stage
from hub.demo.watch import wanted
from hub.errors import HubError
from hub.fleet import leafs
from hub.ledger import Account, Reading, balance
from hub.nats_client import GO_ON_FOR_EVER, operator, system
from hub.streams import TELEMETRY, ensure_streams, stored_messages
from hub.system_account import ask_servers, wait_ready

PATIENCE_S = 30.0
COMMAND_S = 10.0
VERB, ARGUMENT = "set_led", b'{"on":true}'
ON_THE_WAY = 20  # readings that no backlog is made of: devices and uplink go on while we look


class Scenario:
    def __init__(self, stage: Stage, pace: Pace, picture: Picture) -> None:
        self._stage = stage
        self._pace = pace
        self._picture = picture

    async def raise_curtain(self) -> None:
        """Hub, link and edge are there and know each other."""
        stage, picture = self._stage, self._picture
        stage.start_hub()
        await wait_ready(stage.hub.plan, lambda: stage.fault(hub=True), PATIENCE_S)
        async with operator(stage.hub.plan) as client:
            await ensure_streams(client)
        picture.nodes = dict.fromkeys((node.name for node in stage.hub.plan.nodes), "up")
        picture.note("hub: three nats-servers, stream TELEMETRY on all of them")
        await stage.link.open()
        await stage.start_edge()
        picture.edge = "running"

    async def play(self) -> None:
        await self._calm()
        await self._lose_the_link()
        await self._lose_a_node()
        await self._command()

    async def _calm(self) -> None:
        await self._until(lambda: self._picture.leaf_connected is True, "the edge reports its leaf connected")
        self._picture.note("edge: connected to the hub as a leaf")
        await self._until(lambda: len(self._picture.arrivals) >= 2, "both devices' readings reach the hub")
        self._picture.note("readings of both devices arrive")
        await self._pass(self._pace.calm_s)

    async def _lose_the_link(self) -> None:
        stage, picture, pace = self._stage, self._picture, self._pace
        await self._link(LinkState.ANSWERS_LOST, "link: answers of the hub are lost; it stores, the edge cannot know")
        await self._pass(pace.answers_lost_s)
        await self._link(LinkState.SILENT, "link: silent, nobody is told")
        await self._pass(pace.silent_s)
        await self._link(LinkState.CUT, "link: cut, connections refused")
        await self._pass(pace.cut_s)
        picture.note(f"edge: SIGKILL, {picture.backlog_messages} readings wait in its store")
        stage.edge.kill()
        picture.edge = "killed"
        await self._pass(pace.edge_dead_s)
        await stage.start_edge()
        picture.edge = "running"
        picture.note("edge: started again, link still cut")
        await self._reported("the restarted edge reports its state")
        picture.note(f"edge: found {picture.backlog_messages} readings in its store")
        await self._pass(pace.cut_s)
        await self._link(LinkState.UP, f"link: up again, backlog {picture.backlog_messages}")
        await self._reported("the edge reports its leaf connected again", connected=True)
        await self._drained(to=ON_THE_WAY)
        picture.note("backlog: drained")

    async def _lose_a_node(self) -> None:
        stage, picture = self._stage, self._picture
        node = await self._leaf_node()
        stage.hub.kill(node)
        picture.nodes[node] = "killed"
        picture.note(f"hub: SIGKILL to {node}, the node that the edge was connected to")
        made = sum(stage.produced().values())
        await self._until(lambda: picture.stored > made, "what was made after the loss is stored")
        picture.note("hub: two nodes store on, the edge has moved to one of them")
        await self._pass(self._pace.after_node_loss_s)

    async def _leaf_node(self) -> str:
        async with system(self._stage.hub.plan) as client:
            replies = await ask_servers(client, "LEAFZ", len(self._stage.hub.plan.nodes))
        found = [leaf.node for leaf in leafs(replies) if leaf.name == EDGE]
        if not found:
            raise HubError(f"no node of the hub has {EDGE} as a leaf")
        return found[0]

    async def _command(self) -> None:
        subject = command_subject(EDGE, SERIAL_DEVICE, VERB)
        async with operator(self._stage.hub.plan, GO_ON_FOR_EVER) as client:
            result = await send_command(client, subject, ARGUMENT, COMMAND_S)
        self._picture.note(f"command: {subject} {ARGUMENT.decode()} -> {json.dumps(result)}")

    async def settle(self) -> Account:
        """The devices make nothing more; wait until what they have is at the hub, then read the hub and count."""
        stage, picture = self._stage, self._picture
        await self._until(stage.serial.has_stopped, "the serial device stops")
        await self._until(lambda: stage.sensor.unacknowledged() == 0, "the edge acknowledges the sensor's readings")
        picture.note("devices: stopped")
        await self._drained(to=0)
        produced = stage.produced()
        try:
            await self._until(lambda: picture.stored >= sum(produced.values()), "everything is stored")
        except HubError:
            picture.note("hub: something is missing")  # the count says what
        async with operator(stage.hub.plan, GO_ON_FOR_EVER) as client:
            return balance(produced, await stored_readings(client))

    async def _reported(self, what: str, connected: bool = False) -> None:
        """A report that was asked for after this call; with `connected`, one that says so."""
        picture = self._picture
        known = picture.edge_reports + 1  # one may be under way
        await self._until(lambda: picture.edge_reports > known and (picture.leaf_connected or not connected), what)

    async def _drained(self, to: int) -> None:
        """Wait for a backlog of at most `to` readings, in a report that was asked for after this call."""
        picture = self._picture
        known = picture.edge_reports + 1
        await self._until(lambda: picture.edge_reports > known and picture.backlog_messages <= to, "the backlog drains")

    async def _link(self, state: LinkState, text: str) -> None:
        await self._stage.link.change(state)
        self._picture.link = state.value
        self._picture.note(text)

    async def _pass(self, seconds: float) -> None:
        """Let the world run; a part that ends by itself ends the demo."""
        over = asyncio.get_running_loop().time() + seconds
        await self._until(lambda: asyncio.get_running_loop().time() >= over, "time passes")

    async def _until(self, condition: Callable[[], object], what: str) -> None:
        clock = asyncio.get_running_loop()
        deadline = clock.time() + PATIENCE_S
        while not condition():
            if not wanted():
                raise asyncio.CancelledError
            if (fault := self._stage.fault()) is not None:
                raise HubError(fault)
            if clock.time() > deadline:
                raise HubError(f"waited {PATIENCE_S:.0f} s in vain until {what}")
            await asyncio.sleep(0.05)


async def stored_readings(client: Client) -> list[Reading]:
    """Every reading in the hub's stream."""
    return [reading(subject, payload) for subject, payload in await stored_messages(client, TELEMETRY)]


def reading(subject: str, payload: bytes) -> Reading:
    """Device and number of a stored message: `seq`, or the value where that is the device's counter itself."""
    body = json.loads(payload)
    return subject.split(".")[2], int(body["seq"] if "seq" in body else body["value"])
