"""A store outlives what happens to the first page of its database."""

import random
from pathlib import Path
from typing import Any

import pytest

from edge.store.database import FILE
from edge.store.first_page import kept

PAGE = 4096


@pytest.fixture
def image(owner: Any, tmp_path: Path) -> bytes:
    store = owner.open(tmp_path)
    store.put_stream(1, "$G", "S", b"{}", b"state")
    store.append(1, [(seq, "a", 10, b"", b"%d" % seq + b"." * 100) for seq in range(1, 500)])
    owner.commit(store)
    owner.wait()
    store.delete_range(1, 1, 300)  # free pages
    owner.commit(store)
    owner.wait()
    owner.close(store)
    return (tmp_path / FILE).read_bytes()


@pytest.mark.parametrize("seed", range(30))
def test_flipped_bits_cost_nothing(owner: Any, tmp_path: Path, image: bytes, seed: int) -> None:
    dice, damaged = random.Random(seed), bytearray(image)
    place, many = (100 if seed % 2 else PAGE), dice.choice((1, 2, 20))
    for _ in range(many):
        damaged[dice.randrange(place)] ^= 1 << dice.randrange(8)
    (tmp_path / FILE).write_bytes(damaged)
    store = owner.open(tmp_path)
    assert [row.seq for row in store.scan(1, 0, 1000, 1000)] == list(range(301, 500))
    assert [(record.name, record.last_seq) for record in store.load().streams] == [("S", 499)]
    owner.close(store)


def test_a_page_of_nothing(owner: Any, tmp_path: Path, image: bytes) -> None:
    (tmp_path / FILE).write_bytes(bytes(PAGE) + image[PAGE:])
    store = owner.open(tmp_path)
    assert len(store.scan(1, 0, 1000, 1000)) == 199 and "first page" in store.load().damage[0]
    owner.close(store)


def test_another_database_in_its_place_is_left_alone(owner: Any, tmp_path: Path, image: bytes) -> None:
    other = b"SQLite format 3\0" + random.Random(1).randbytes(PAGE - 16)
    Path(kept(str(tmp_path / FILE))).write_bytes(other)
    store = owner.open(tmp_path)
    assert not store.damage and len(store.scan(1, 0, 1000, 1000)) == 199
    owner.close(store)
    assert Path(kept(str(tmp_path / FILE))).read_bytes()[100:] == image[100:PAGE], "the copy is of this one now"
