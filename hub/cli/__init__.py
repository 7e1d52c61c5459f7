"""petiole-hub: what an operator of the hub types.  One file per noun; a mistake is one line, no traceback."""

from typing import Any

import click

from hub.cli.cluster import down, status, up
from hub.cli.command import command, commands
from hub.cli.demo import demo
from hub.cli.simulate import simulate
from hub.cli.tail import tail
from hub.errors import HubError


class _Hub(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HubError as exc:
            raise click.ClickException(str(exc)) from exc


@click.group(cls=_Hub)
@click.version_option(package_name="petiole")
def main() -> None:
    """Run and use the hub that the edges connect to: three nats-servers on this machine."""


for _each in (up, status, command, commands, tail, down, demo, simulate):
    main.add_command(_each)
