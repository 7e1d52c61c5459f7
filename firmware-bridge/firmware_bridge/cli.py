"""``petiole-bridge``."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

import click

from edge.version import VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, "-v", "--version", prog_name="petiole-bridge", message="%(prog)s: v%(version)s")
def cli() -> None:
    """Serial devices to subjects of the local edge, and commands back."""


@cli.command()
@click.option("--port", required=True, metavar="PATH", help="The serial port, as /dev/ttyUSB0.")
@click.option("--baud", default=115200, show_default=True, type=click.IntRange(50, 4_000_000), help="Its speed.")
@click.option("--edge", required=True, metavar="NAME", help="The edge's name, second token of the subjects.")
@click.option("--server", default="nats://127.0.0.1:4222", show_default=True, metavar="URL", help="The local edge.")
@click.option("--user", metavar="NAME", help="User at the edge.")
@click.option("--password", metavar="TEXT", envvar="PETIOLE_PASSWORD", help="Its password [env: PETIOLE_PASSWORD].")
@click.option("--journal", metavar="FILE", help="What is known to be stored [default: one for each port].")
@click.option("-D", "--debug", is_flag=True, help="Say more.")
def run(
    port: str, baud: int, edge: str, server: str, user: str | None, password: str | None, journal: str | None,
    debug: bool,
) -> None:  # fmt: skip
    """Bridge one serial port until told to stop."""
    from nats.errors import Error as NatsError

    from firmware_bridge.bridge import Options, serve
    from firmware_bridge.journal import JournalError
    from firmware_bridge.messages import token

    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO, format="%(asctime)s [%(levelname).3s] %(message)s"
    )
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)
    if token(edge) != edge:
        raise click.BadParameter(f"{edge!r} cannot be a token of a subject", param_hint="--edge")
    if not is_server(server):
        raise click.BadParameter(f"{server!r} is not as nats://127.0.0.1:4222", param_hint="--server")
    ready = logging.getLogger("petiole-bridge").info
    try:
        _until_told(
            serve(
                Options(port, baud, edge), server, user, password, journal or default_journal(port),
                lambda: ready("Bridge is ready: %s to %s", port, server),
            )
        )  # fmt: skip
    except (JournalError, NatsError, OSError, ValueError) as exc:
        raise click.ClickException(f"{server}: {exc}" if isinstance(exc, NatsError) else str(exc)) from exc


@cli.command()
@click.option("--port", required=True, metavar="PATH", help="The serial port, or a pseudo-terminal.")
@click.option("--baud", default=115200, show_default=True, type=click.IntRange(50, 4_000_000), help="Its speed.")
@click.option("--name", default="simulator", show_default=True, help="The device's name.")
@click.option("--rate", default=20.0, show_default=True, type=click.FloatRange(min=0.01), help="Readings a second.")
@click.option("--count", default=0, type=click.IntRange(min=0), help="Stop after so many [default: never].")
def simulate(port: str, baud: int, name: str, rate: float, count: int) -> None:
    """Be a device on a serial port: readings of a counter, and the verbs echo, set_led, status."""
    from firmware_bridge.simulator import Simulator

    async def main() -> None:
        simulator = Simulator(port, baud, name, rate, count)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, simulator.stop)
        await simulator.run()

    _until_told(main())


def default_journal(port: str) -> str:
    """One file for each port, where systemd keeps the unit's state or in the user's own."""
    state = os.environ.get("STATE_DIRECTORY") or os.path.join(
        os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "petiole"
    )
    return os.path.join(state, f"bridge-{os.path.basename(port)}.db")


def is_server(url: str) -> bool:
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        return parts.scheme in ("nats", "tls", "ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run until it ends, or SIGINT or SIGTERM ends it."""

    async def main() -> None:
        task = asyncio.create_task(work)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            pass

    asyncio.run(main())


def main() -> None:
    sys.exit(cli())


if __name__ == "__main__":
    main()
