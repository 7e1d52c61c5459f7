import asyncio
import json
import subprocess
import sys

from hub.nats_client import operator


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
            await client.jetstream().publish("results.edge-1.pump", json.dumps(result).encode())

    waits, over, done = send("--idempotent"), send("--deadline", "2026-01-01T00:00:00Z"), send("--deadline", "15m")
    asyncio.run(answer(done))
    listed = petiole_hub("commands", "--dir", hub.directory).output.splitlines()
    assert [line.split("  ")[:2] for line in listed] == [[id, "edge-1 pump start"] for id in (waits, over, done)]
    assert [line.split("  ")[3:] for line in listed] == [["waits"], ["overdue"], ["done", '{"level": 3}']]


def test_deadline_that_is_none(petiole_hub, hub):
    words = ("command", "send", "edge-1", "pump", "start", "--durable", "--deadline", "soon", "--dir", hub.directory)
    result = petiole_hub(*words)
    assert (result.exit_code, "expected such as 90s" in result.output) == (1, True)
