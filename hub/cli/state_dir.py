"""The --dir option that all commands share, and the hub found there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from hub.errors import HubError
from hub.nats_conf import HubPlan
from hub.nats_server import HubCluster
from hub.plan import load_plan

Command = TypeVar("Command", bound=Callable[..., None])


def default_dir() -> Path:
    """Where the XDG convention keeps state."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "petiole-hub"


def dir_option(command: Command) -> Command:
    return click.option(
        "--dir",
        "directory",
        type=click.Path(file_okay=False, path_type=Path),
        default=default_dir,
        show_default="~/.local/state/petiole-hub",
        help="State directory of the hub: configuration, passwords, stores, logs.",
    )(command)


def known_hub(directory: Path) -> HubCluster:
    """The hub of `directory`, running or not."""
    directory = directory.expanduser().absolute()
    plan = load_plan(directory)
    if plan is None:
        raise HubError(f"{directory}: no hub was ever started here; petiole-hub up starts one")
    return HubCluster(plan, directory)


def running_plan(directory: Path) -> HubPlan:
    """The plan of a hub of which at least one node lives."""
    cluster = known_hub(directory)
    if not cluster.running():
        raise HubError(f"{cluster.directory}: the hub is not running; petiole-hub up starts it")
    return cluster.plan
