"""petiole-hub command: have a device do something."""

from pathlib import Path

import click

from hub.cli.state_dir import dir_option, running_plan


@click.group()
def command() -> None:
    """Send commands to devices."""


@command.command()
@click.argument("edge")
@click.argument("device")
@click.argument("verb")
@click.argument("argument", metavar="[JSON]", default="{}")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0.1), default=5.0, show_default=True)
@dir_option
def send(edge: str, device: str, verb: str, argument: str, timeout_s: float, directory: Path) -> None:
    """Send VERB to DEVICE behind EDGE and print its result as JSON."""
    import asyncio
    import json

    from hub.commands import command_payload, command_subject, send_command
    from hub.nats_client import operator

    subject = command_subject(edge, device, verb)
    payload = command_payload(argument)
    plan = running_plan(directory)

    async def ask() -> object:
        async with operator(plan) as client:
            return await send_command(client, subject, payload, timeout_s)

    click.echo(json.dumps(asyncio.run(ask()), ensure_ascii=False))
