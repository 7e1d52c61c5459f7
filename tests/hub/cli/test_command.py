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
