"""A real hub of three nats-servers, on ports and in a directory of its own."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hub.cli import main
from hub.nats_client import operator
from hub.nats_server import HubCluster, find_nats_server
from hub.plan import new_plan, save_plan
from hub.state_files import private_directory
from hub.streams import ensure_streams
from hub.system_account import wait_ready

READY_S = 90.0


def no_fault() -> None:
    return None


@contextmanager
def running_hub(directory: Path) -> Iterator[HubCluster]:
    directory = private_directory(directory)
    cluster = HubCluster(new_plan("127.0.0.1", None, ("edge-1", "edge-2")), directory)
    save_plan(cluster.plan, directory)

    async def ready() -> None:
        await wait_ready(cluster.plan, no_fault, READY_S)
        async with operator(cluster.plan) as client:
            await ensure_streams(client)

    try:
        for name in cluster.missing():
            cluster.start(name, find_nats_server(None))
        asyncio.run(ready())
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubCluster]:
    """One hub for the tests of a file; a test that kills a node starts it again."""
    with running_hub(tmp_path_factory.mktemp("hub")) as cluster:
        yield cluster


@pytest.fixture
def petiole_hub() -> Callable[..., Result]:
    """Type a petiole-hub command; answers what click's runner saw."""

    def run(*words: Any) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words])

    return run
