"""petiole-hub tail: what passes through the hub, as it passes."""

from pathlib import Path

import click

from hub.cli.state_dir import dir_option, running_plan
from hub.errors import HubError


def payload_text(payload: bytes) -> str:
    """One printable line: text as it is, everything else as hexadecimal."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return payload.hex()
    return text if text.isprintable() else payload.hex()


@click.command()
@click.argument("subject", default=">")
@dir_option
def tail(subject: str, directory: Path) -> None:
    """Print time of arrival, subject and payload of every message under SUBJECT until Ctrl-C."""
    import asyncio
    from datetime import UTC, datetime

    from edge.subjects import is_valid
    from hub.nats_client import GO_ON_FOR_EVER, operator

    if not is_valid(subject):
        raise HubError(f"{subject!r} is no subject: tokens between dots, * for one token, > for the rest")
    plan = running_plan(directory)

    async def follow() -> None:
        async with operator(plan, GO_ON_FOR_EVER) as client:
            subscription = await client.subscribe(subject)
            await client.flush()
            click.echo(f"listening on {subject}", err=True)
            async for message in subscription.messages:
                now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
                click.echo(f"{now}Z  {message.subject}  {payload_text(message.data)}")

    try:
        asyncio.run(follow())
    except KeyboardInterrupt:
        pass
