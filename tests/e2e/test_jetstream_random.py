"""Conversations made up at random: ours and the real server say the same.  Longer ones are a command of their own
(``made_up_jetstream.py``)."""

from collections.abc import Iterator

import pytest

from tests.e2e.made_up_jetstream import Author, Pair

SEEDS, STEPS = 6, 60


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("random"), SEEDS)
    yield pair
    pair.close()


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_both_say_the_same(seed: int, servers: Pair) -> None:
    assert servers.difference(Author(seed).conversation(STEPS)) == ""
