import asyncio
import json
import subprocess
import sys

import nats

from hub.nats_client import operator
from hub.nats_conf import edge_block
from hub.streams import DOWNLINK_STREAMS, ensure_streams


def test_send_prints_the_result(hub):
    async def main():
        async with operator(hub.plan) as client:

            async def pump(message):
                await message.respond(json.dumps({"got": json.loads(message.data)}).encode())

            await client.subscribe("commands.edge-1.pump.start", cb=pump)
            await client.flush()
            words = ["command", "send", "edge-1", "pump", "start", '{"speed": 3}', "--dir", str(hub.directory)]
            sent = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "from hub.cli import main; main()", *words, stdout=subprocess.PIPE
            )
            output, _ = await sent.communicate()
            return sent.returncode, output

    assert asyncio.run(main()) == (0, b'{"got": {"speed": 3}}\n')


def test_nobody_there(hub, petiole_hub):
    result = petiole_hub("command", "send", "edge-1", "pump", "start", "--dir", hub.directory)
    assert result.exit_code == 1
    assert result.output.startswith("Error: nobody answers commands.edge-1.pump.start")


def test_argument_that_is_not_json(petiole_hub, hub):
    result = petiole_hub("command", "send", "edge-1", "pump", "start", "{", "--dir", hub.directory)
    assert (result.exit_code, "not JSON" in result.output) == (1, True)


def test_durable_commands_and_what_became_of_them(petiole_hub, hub):
    def send(*more):
        words = ("command", "send", "edge-1", "pump", "start", "--durable", *more, "--dir", hub.directory)
        result = petiole_hub(*words)
        assert result.exit_code == 0, result.output
        return result.output.strip()

    async def answer(id):
        async with operator(hub.plan) as client:
            result = {"command": id, "state": "done", "result": {"level": 3}, "error": ""}
            told = {"Petiole-Command": id}
            await client.jetstream().publish("results.edge-1.pump", json.dumps(result).encode(), headers=told)

    waits, over, done = send("--idempotent"), send("--deadline", "2026-01-01T00:00:00Z"), send("--deadline", "15m")
    asyncio.run(answer(done))
    listed = petiole_hub("commands", "--dir", hub.directory).output.splitlines()
    assert [line.split("  ")[:2] for line in listed] == [[id, "edge-1 pump start"] for id in (waits, over, done)]
    assert [line.split("  ")[3:] for line in listed] == [["waits"], ["overdue"], ["done", '{"level": 3}']]
    assert petiole_hub("commands", "edge-1", "--dir", hub.directory).output.splitlines() == listed
    assert petiole_hub("commands", "barn", "--dir", hub.directory).output == ""
    result = petiole_hub("command", "result", done, "--dir", hub.directory)
    assert (result.exit_code, json.loads(result.output)["result"]) == (0, {"level": 3})
    result = petiole_hub("command", "result", waits, "--timeout", "0.1", "--dir", hub.directory)
    assert (result.exit_code, f"command {waits}: no result within 0.1 s" in result.output) == (1, True)


def test_through_an_edge_with_the_block_that_up_prints(petiole_hub, hub, start_edge, tmp_path):
    block = edge_block(hub.plan, "edge-2", with_files=False)
    edge = start_edge(f'{block}listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path}", domain: edge-2 }}\n', "edge-2")

    async def main():
        async with operator(hub.plan) as client:
            await ensure_streams(client, streams=DOWNLINK_STREAMS)
            await (await client.jetstream().key_value("DESIRED")).put("edge-2.pump.level", b"7")
        device = await nats.connect(edge.url)

        async def pump(message):
            await message.respond(json.dumps({"got": json.loads(message.data)}).encode())

        await device.subscribe("commands.edge-2.pump.start", cb=pump)
        await device.flush()
        words = ("command", "send", "edge-2", "pump", "start", '{"speed": 3}', "--durable", "--dir", hub.directory)
        id = (await asyncio.to_thread(petiole_hub, *words)).output.strip()
        words = ("command", "result", id, "--timeout", "60", "--dir", hub.directory)
        result = await asyncio.to_thread(petiole_hub, *words)
        assert (result.exit_code, json.loads(result.output)["result"]) == (0, {"got": {"speed": 3}}), result.output
        desired = await device.jetstream().key_value("DESIRED")
        watcher = await desired.watch("edge-2.>")
        async with asyncio.timeout(60):
            while (entry := await watcher.updates(timeout=60)) is None:
                continue
        assert entry.value == b"7"
        await (await device.jetstream().key_value("REPORTED")).put("edge-2.pump.level", b"8")
        async with operator(hub.plan) as client, asyncio.timeout(60):
            seen = await (await client.jetstream().key_value("REPORTED")).watch("edge-2.>")
            while (entry := await seen.updates(timeout=60)) is None:
                continue
        assert entry.value == b"8"
        await device.close()

    asyncio.run(main())


def test_deadline_that_is_none(petiole_hub, hub):
    words = ("command", "send", "edge-1", "pump", "start", "--durable", "--deadline", "soon", "--dir", hub.directory)
    result = petiole_hub(*words)
    assert (result.exit_code, "expected such as 90s" in result.output) == (1, True)
