"""The commands of ``petiole-edge`` for people; the daemon itself starts in ``serve.py``."""

import sys

import click

from edge.serve import PROGRAM, check, serve
from edge.version import VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, "-v", "--version", prog_name=PROGRAM, message="%(prog)s: v%(version)s")
def cli() -> None:
    """An edge-first NATS leaf node: keeps what it acknowledged, and carries it to the hub."""


@cli.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def run(flags: tuple[str, ...]) -> None:
    """Serve, with nats-server's flags: run [-c FILE] ... (run --help lists them)."""
    sys.exit(serve(flags))


@cli.command("check")
@click.option("-c", "--config", "path", required=True, metavar="FILE", help="The configuration file to check.")
def check_command(path: str) -> None:
    """Say what is wrong with a configuration file, or that nothing is."""
    sys.exit(check(path))
