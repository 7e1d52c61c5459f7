"""The cluster itself: three real processes, one of them killed while publishes run."""

import asyncio
import signal
from pathlib import Path

import pytest
from nats.errors import NoServersError, TimeoutError
from nats.js.errors import NoStreamResponseError, ServiceUnavailableError

from hub.errors import HubError
from hub.nats_client import GO_ON_FOR_EVER, operator
from hub.nats_server import HubCluster, find_nats_server
from hub.streams import ensure_streams, stream_states
from hub.system_account import wait_ready

FAILOVER = (TimeoutError, NoStreamResponseError, ServiceUnavailableError, NoServersError)


async def publish(js, n):
    """Publish reading n until it is acknowledged, as a store-and-forward sender does."""
    while True:
        try:
            return await js.publish("telemetry.edge-1.t.c", n.encode(), headers={"Nats-Msg-Id": n}, timeout=1)
        except FAILOVER:
            await asyncio.sleep(0.05)


def test_hub_stores_three_times(hub):
    async def main():
        async with operator(hub.plan) as client:
            return await stream_states(client), await ensure_streams(client)

    (stream,), created = asyncio.run(main())
    assert (stream.name, stream.replicas, stream.subjects) == ("TELEMETRY", 3, ("telemetry.>",))
    assert created == []


@pytest.mark.parametrize("victim", ["leader", "follower"])
def test_publishes_go_on_when_a_node_is_killed(hub, victim):
    async def main():
        async with operator(hub.plan, GO_ON_FOR_EVER) as client:
            js = client.jetstream()
            await js.purge_stream("TELEMETRY")
            (stream,) = await stream_states(client)
            node = stream.leader if victim == "leader" else stream.followers[0].node
            for n in range(20):
                await publish(js, f"{victim}-{n}")
            hub.kill(node)
            for n in range(20, 40):
                await publish(js, f"{victim}-{n}")
            assert hub.missing() == [node]
            hub.start(node, find_nats_server(None))
            await wait_ready(hub.plan, lambda: None, 30)
            while True:
                (stream,) = await stream_states(client)
                if stream.leader and all(replica.current for replica in stream.followers):
                    return stream.messages

    assert asyncio.run(main()) == 40


def test_a_stranger_with_our_old_pid_is_not_ended(hub, tmp_path):
    (tmp_path / "run.json").write_text('{"hub-1": {"pid": 1, "config": "%s"}}' % (tmp_path / "hub-1.conf"))
    cluster = HubCluster(hub.plan, tmp_path)
    assert cluster.running() == []
    assert cluster.stop() == []
    assert Path("/proc/1").exists()


def test_second_owner_finds_the_same_processes(hub):
    again = HubCluster(hub.plan, hub.directory)
    assert [process.pid for process in again.running()] == [process.pid for process in hub.running()]


def test_what_a_node_said_before_it_ended(hub, tmp_path):
    """The ports of the running hub, once more: nats-server says what is wrong, so do we."""
    second = HubCluster(hub.plan, tmp_path)
    process = second.start("hub-1", find_nats_server(None))

    def fault():
        return None if process.alive() else second.last_words("hub-1")

    async def main():
        while fault() is None:
            await asyncio.sleep(0.02)

    try:
        asyncio.run(main())
        assert "address already in use" in second.last_words("hub-1")
    finally:
        second.stop()


def test_run_file_that_is_damaged(hub, tmp_path):
    (tmp_path / "run.json").write_text("[1]")
    with pytest.raises(HubError, match=r"run\.json: cannot be read"):
        HubCluster(hub.plan, tmp_path)


@pytest.mark.parametrize("content", ["#!/bin/sh\necho hello\n", "#!/bin/sh\necho nats-server: v2.9.1\n", "x"])
def test_named_binary_that_will_not_do(tmp_path, content):
    binary = tmp_path / "nats-server"
    binary.write_text(content)
    binary.chmod(0o755)
    with pytest.raises(HubError, match=str(binary)):
        find_nats_server(binary)


def test_named_binary_that_is_missing(tmp_path):
    with pytest.raises(HubError, match="cannot be run as nats-server"):
        find_nats_server(tmp_path / "absent")


def test_node_that_dies_by_signal_is_missing_until_started(hub):
    process = hub.running()[0]
    process.signal(signal.SIGKILL)
    process.kill()
    assert hub.missing() == [process.name]
    hub.start(process.name, find_nats_server(None))
    assert hub.missing() == []
    asyncio.run(wait_ready(hub.plan, lambda: None, 30))
