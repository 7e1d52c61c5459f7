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
@click.option("--durable", is_flag=True, help="Leave it at the hub: the edge runs it once, when it can; see commands.")
@click.option("--deadline", default="24h", show_default=True, help="With --durable: not run later (15m, 7d, ...).")
@click.option("--idempotent", is_flag=True, help="With --durable: may be run again after a power cut in the middle.")
@dir_option
def send(
    edge: str, device: str, verb: str, argument: str, timeout_s: float, durable: bool, deadline: str, idempotent: bool,
    directory: Path,
) -> None:  # fmt: skip
    """Send VERB to DEVICE behind EDGE and print its result as JSON; of a durable command, its id."""
    import asyncio
    import json

    from hub.commands import command_payload, command_subject, send_command
    from hub.nats_client import operator

    subject = command_subject(edge, device, verb)
    payload = command_payload(argument)
    if durable:
        _queue(subject, payload, deadline, idempotent, directory)
        return
    plan = running_plan(directory)

    async def ask() -> object:
        async with operator(plan) as client:
            return await send_command(client, subject, payload, timeout_s)

    click.echo(json.dumps(asyncio.run(ask()), ensure_ascii=False))


def _queue(subject: str, payload: bytes, deadline: str, idempotent: bool, directory: Path) -> None:
    import asyncio
    from datetime import UTC, datetime

    from hub.nats_client import operator
    from hub.queued_commands import deadline_after, queue_command

    until = deadline_after(deadline, datetime.now(UTC))
    plan = running_plan(directory)

    async def put() -> str:
        async with operator(plan) as client:
            return await queue_command(client, subject, payload, until, idempotent)

    click.echo(asyncio.run(put()))


@command.command()
@click.argument("id")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0.1), default=10.0, show_default=True)
@dir_option
def result(id: str, timeout_s: float, directory: Path) -> None:
    """Wait for the result of the durable command ID and print it as JSON; status 1 unless it was done."""
    import asyncio
    import json

    from hub.errors import HubError
    from hub.nats_client import operator
    from hub.queued_commands import command_result

    plan = running_plan(directory)

    async def ask() -> dict[str, object] | None:
        async with operator(plan) as client:
            return await command_result(client, id, timeout_s)

    found = asyncio.run(ask())
    if found is None:
        raise HubError(f"command {id}: no result within {timeout_s:g} s; petiole-hub commands shows what waits")
    click.echo(json.dumps(found, ensure_ascii=False))
    if found.get("state") != "done":
        raise SystemExit(1)


@click.command()
@click.argument("edge", default="*")
@dir_option
def commands(edge: str, directory: Path) -> None:
    """List durable commands, those of EDGE or all: id, edge, device, verb, deadline, state, answer."""
    import asyncio
    from datetime import UTC, datetime

    from hub.commands import command_subject
    from hub.nats_client import operator
    from hub.queued_commands import Queued, queued_commands

    if edge != "*":
        command_subject(edge, "device", "verb")
    plan = running_plan(directory)

    async def ask() -> list[Queued]:
        async with operator(plan) as client:
            return await queued_commands(client, datetime.now(UTC), edge)

    for each in asyncio.run(ask()):
        deadline = f"{each.deadline:%Y-%m-%dT%H:%M:%SZ}" if each.deadline else "-"
        what = f"{each.edge} {each.device} {each.verb}"
        click.echo(f"{each.id}  {what}  {deadline}  {each.state}  {each.answer}".rstrip())
