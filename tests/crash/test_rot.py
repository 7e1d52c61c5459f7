"""Pages of every kind, with bits flipped; ``python -m tests.crash --rot`` goes on for as long as wanted."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.crash.rot import Rotten, Sound, build

KINDS = [
    ("message/leaf", "consumer/leaf", "free"),
    ("message/overflow", "sqlite_schema/leaf", "stream/leaf"),
    ("message/internal", "stream_copy/leaf"),
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sound]:
    folder = tmp_path_factory.mktemp("rot")
    return folder, build(folder, random.Random(1))


@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: kinds[0])
def test_rot_costs_what_it_hits(sound: tuple[Path, Sound], kinds: Sequence[str]) -> None:
    Rotten(*sound, random.Random(4), kinds).prove()
