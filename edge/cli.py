"""The commands of ``petiole-edge`` for people; the daemon itself starts in ``serve.py``.  What they do is in ``tools``.

A mistake is one line, Ctrl-C none.
"""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from edge.errors import PetioleError
from edge.serve import PROGRAM, check, serve
from edge.tools.completion import SHELLS, RunCommand, complete_value, script
from edge.tools.report import SUBJECTS
from edge.tools.top import SORTS
from edge.version import VERSION

if TYPE_CHECKING:
    from edge.tools.monitoring import Monitoring

INTERRUPTED = 130  # as a shell counts SIGINT
WHAT = (*SUBJECTS, "all")


class _Edge(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PetioleError as exc:
            click.echo(f"{PROGRAM}: {exc}", err=True)
            ctx.exit(1)
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(INTERRUPTED)


@click.group(cls=_Edge, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, "-v", "--version", prog_name=PROGRAM, message="%(prog)s: v%(version)s")
def cli() -> None:
    """An edge-first NATS leaf node: keeps what it acknowledged, and carries it to the hub."""


@cli.command(cls=RunCommand, context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("flags", nargs=-1, type=click.UNPROCESSED, shell_complete=complete_value)
def run(flags: tuple[str, ...]) -> None:
    """Serve; run --help lists its flags."""
    sys.exit(serve(flags))


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(f"{PROGRAM}: v{VERSION}")


@cli.command("check")
@click.argument("file", required=False, type=click.Path())
@click.option("-c", "--config", "path", metavar="FILE", type=click.Path(), help="The same as the argument.")
def check_command(file: str | None, path: str | None) -> None:
    """Check a configuration file."""
    if file and path and file != path:
        raise click.UsageError(f"two files: {file} and {path}; check one after the other")
    if not (file or path):
        raise click.UsageError("which file? check FILE")
    sys.exit(check(file or path or ""))


# ---- what a running server says


def _monitoring(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say where monitoring is; the command gets it as ``monitoring``."""

    def found(url: str, config: str, ca_file: str, insecure: bool, **rest: Any) -> None:
        from edge.tools.monitoring import Monitoring, find_url

        command(monitoring=Monitoring(find_url(url, config), ca_file, insecure), **rest)

    found.__name__, found.__doc__ = command.__name__, command.__doc__
    found.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in (
        click.option("-k", "--insecure", is_flag=True, help="With https: trust whoever answers."),
        click.option("--cacert", "ca_file", default="", type=click.Path(), help="With https: who signs certificates."),
        click.option("-c", "--config", default="", metavar="FILE", type=click.Path(), help="The server's own file."),
        click.option("--url", default="", help="Of the monitoring.  [default: as FILE says, or http://127.0.0.1:8222]"),
    ):
        found = option(found)
    return found


@cli.command()
@_monitoring
@click.option("-d", "--delay", default=1.0, type=click.FloatRange(0.1, 3600), help="Seconds between two looks.")
@click.option("-n", "--connections", "limit", default=1024, type=click.IntRange(1, 1024), help="How many to show.")
@click.option("--sort", default="cid", type=click.Choice(SORTS), help="What connections are sorted by.")
@click.option("--once", is_flag=True, help="Print what is so after one delay, and end; so where there is no terminal.")
def top(monitoring: "Monitoring", delay: float, limit: int, sort: str, once: bool) -> None:
    """Watch a running server live.

    Load, rates and connections, of this server or of a real nats-server.  Keys: ? shows them.
    """
    from edge.tools.top import View, print_once, watch

    is_live = sys.stdin.isatty() and sys.stdout.isatty() and not once
    (watch if is_live else print_once)(monitoring, View(limit, sort), delay)


@cli.command()
@click.argument("what", default="all", type=click.Choice(WHAT))
@_monitoring
@click.option("--json", "as_json", is_flag=True, help="For programs: the entries as monitoring has them.")
def report(monitoring: "Monitoring", what: str, as_json: bool) -> None:
    """Show what a running server has.

    connections, accounts, streams, leafs, uplinks, or all of them.
    """
    from edge.tools.report import report, report_json

    if as_json:
        click.echo(report_json(monitoring, what))
        return
    for line in report(monitoring, what):
        click.echo(line)


# ---- what needs no server


@cli.command()
@click.option("-c", "--config", default="", metavar="FILE", type=click.Path(), help="[default: /etc/petiole/edge.conf]")
@click.option("--deep", is_flag=True, help="Look at every message in the store, however long it takes.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(config: str, deep: bool, as_json: bool) -> None:
    """Examine this machine, and change nothing.

    Configuration, ports, certificates, disk, store, clock, memory, the way to the hub: what is wrong comes with what to
    do about it.  Exit status 1 when something does not work.
    """
    from edge.tools.doctor import examination
    from edge.tools.doctor.machine import Machine

    findings = []
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for finding in examination.examine(config, os.environ, Machine(), deep):
        findings.append(finding)
        for line in () if as_json else examination.lines(finding, colours):
            click.echo(line)
    click.echo(examination.as_json(findings) if as_json else f"\n{examination.summary(findings)}")
    sys.exit(1 if examination.has_failed(findings) else 0)


# ---- the store


def _store(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which store; the command gets its directory as ``folder``."""

    def found(store: str, config: str, **rest: Any) -> None:
        from edge.tools.database.access import find_store

        command(folder=find_store(store, config), **rest)

    found.__name__, found.__doc__ = command.__name__, command.__doc__
    found.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in (
        click.option("-c", "--config", default="", metavar="FILE", type=click.Path(), help="That names the store."),
        click.option("-s", "--store", default="", metavar="DIRECTORY", type=click.Path(), help="The store itself."),
    ):
        found = option(found)
    return found


@cli.command()
@click.argument("query", required=False)
@_store
@click.option("--json", "form", flag_value="json", help="An object on a line for each row.")
@click.option("--csv", "form", flag_value="csv", help="For spreadsheets.")
def sql(folder: str, query: str | None, form: str | None) -> None:
    """Ask a store in SQL; nothing can be changed.

    Also while the server runs.  The view messages has stream, seq, subject, time, headers, payload:

    SELECT time, payload ->> '$.celsius' FROM messages WHERE subject = 'telemetry.barn' ORDER BY seq DESC LIMIT 10
    """
    from edge.tools.database.access import open_store
    from edge.tools.database.sql import ask, show_unpacked

    connection = open_store(folder)
    try:
        show_unpacked(connection)
        for line in ask(connection, query or sys.stdin.read(), form or "table"):
            click.echo(line)
    finally:
        connection.close()


def _server(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which running server."""
    for option in (
        click.option("--domain", default="", help="JetStream domain, of a server behind the one that is named."),
        click.option("--creds", default="", metavar="FILE", type=click.Path(), help="Credentials to log in with."),
        click.option("--server", metavar="URL", help="A running server, such as nats://user:password@127.0.0.1:4222."),
    ):
        command = option(command)
    return command


@cli.command()
@click.argument("target", type=click.Path())
@click.option("-c", "--config", default="", metavar="FILE", type=click.Path(), help="That names the store.")
@click.option("-s", "--store", default="", metavar="DIRECTORY", type=click.Path(), help="The store itself.")
@click.option("--stream", default="", help="Only this one, out of a running server.")
@_server
def backup(target: str, config: str, store: str, stream: str, server: str | None, creds: str, domain: str) -> None:
    """Copy a store, or one stream, into a file.

    Also while the server runs: everything that was acknowledged before is in it, all of one moment.
    """
    from edge.tools.figures import size

    if bool(stream) is not bool(server):
        raise click.UsageError("--stream and --server belong together: a stream out of a running server")
    if server:
        from edge.tools.database.streams import Server, take_out

        end = take_out(Server(server, creds, domain), stream, target)
        click.echo(f"{target}: {end.messages} messages, {size(os.path.getsize(target))}")
        return
    from edge.tools.database.access import find_store
    from edge.tools.database.backup import backup as copy

    streams, length = copy(find_store(store, config), target)
    click.echo(f"{target}: {streams} streams, {size(length)}")


@cli.command()
@click.argument("source", type=click.Path())
@click.argument("folder", metavar="[DIRECTORY]", required=False, type=click.Path())
@click.option("--stream", default="", help="The name that a restored stream gets; else the one it had.")
@_server
def restore(source: str, folder: str | None, stream: str, server: str | None, creds: str, domain: str) -> None:
    """Make a store of a backup.

    In a directory that has none yet; or bring one stream back, to a running server that has none of its name.
    """
    if bool(folder) is bool(server):
        raise click.UsageError("either DIRECTORY, for a store, or --server, for a stream")
    if server:
        from edge.tools.database.streams import Server, bring_back

        name, messages = bring_back(Server(server, creds, domain), source, stream)
        click.echo(f"{name}: {messages} messages")
        return
    from edge.tools.database.backup import restore as make_store

    streams, messages = make_store(source, folder or "")
    click.echo(f"{folder}: {streams} streams, {messages} messages")


@cli.command()
@_store
@click.option("--repair", is_flag=True, help="Put right what can be; the server must be stopped.")
def verify(folder: str, repair: bool) -> None:
    """Look at everything in a store.

    Every message's checksum, the counts of streams, the places of consumers.  Exit status 1 when something is wrong.
    """
    from edge.tools.database import verify as check

    if repair:
        for line in check.repair(folder):
            click.echo(f"repaired: {line}")
    found = check.verify(folder)
    for flaw in found.flaws:
        click.echo(flaw.text)
    click.echo(f"{found.messages} messages of {found.streams} streams: {len(found.flaws) or 'no'} faults")
    sys.exit(1 if found.flaws else 0)


@cli.command()
@click.option("-p", "--pass", "password", help="The password, where nobody reads the shell's history.")
@click.option("-g", "--generate", is_flag=True, help="Make a password; it is printed on standard error.")
@click.option("--cost", default=11, type=click.IntRange(4, 31), help="Of bcrypt: a step more doubles the time.")
def passwd(password: str | None, generate: bool, cost: int) -> None:
    """Print the bcrypt hash of a password.

    The hash goes into the configuration, behind password:.  The password is read from standard input, or asked for
    where that is a terminal.
    """
    from edge.tools import passwd

    if generate:
        if password is not None:
            raise click.UsageError("--generate makes a password: --pass cannot give one too")
        password = passwd.generate()
        click.echo(f"password: {password}", err=True)
    elif password is None:
        password = _read_password()
    for warning in passwd.warnings(password, cost):
        click.echo(f"{PROGRAM}: warning: {warning}", err=True)
    click.echo(passwd.hash_password(password, cost))


def _read_password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True))
    return sys.stdin.readline().rstrip("\r\n")


@cli.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a completion script for the shell.

    Its last line says how to install it.
    """
    click.echo(script(cli, shell), nl=False)
