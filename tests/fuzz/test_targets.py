"""Every target with bytes made of what it knows and of what it does not; and with what once broke it.

``python -m tests.fuzz`` looks on, guided by what the bytes reach.
"""

import gc
import logging
import sys
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.target import Take
from tests.fuzz.targets import TARGETS

SEEDS = Path(__file__).with_name("seeds")
STREAMS = [name for name, target in TARGETS.items() if target.open is not None]
CHUNK, CHUNKS = 1 << 14, 128
MOST = 1_500_000  # bytes that a peer may make us keep: a hub's INFO may have one megabyte
CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, logging.Logger)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    for seed in (*TARGETS[name].seeds, b"", b"\0"):
        TARGETS[name].run(seed)


@pytest.mark.parametrize("path", sorted(SEEDS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_broke_it(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_whatever_comes(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    words = st.sampled_from(target.words) | st.binary(max_size=12)
    seed = data.draw(st.sampled_from(target.seeds))
    at, to = sorted((data.draw(st.integers(0, len(seed))), data.draw(st.integers(0, len(seed)))))
    target.run(seed[:at] + b"".join(data.draw(st.lists(words, max_size=12))) + seed[to:])


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_without_end(name: str, data: st.DataObject) -> None:
    """Two megabytes of the same: it ends, or is not kept."""
    target = TARGETS[name]
    words = st.sampled_from(target.words) | st.binary(min_size=1, max_size=12)
    begin = data.draw(st.sampled_from([b"", *(seed[1:] for seed in target.seeds)]))
    pattern = b"".join(data.draw(st.lists(words, min_size=1, max_size=4)))
    assert target.open is not None
    take = target.open()
    going = take(begin) if begin else True
    chunk = pattern * (CHUNK // len(pattern))  # whole, so that frames stay frames
    for _ in range(CHUNKS):
        if not going:
            break
        going = take(chunk)
    assert size_of(take) < MOST


def size_of(take: Take) -> int:
    """Bytes of all that hangs on it, but for code."""
    seen: set[int] = set()
    found: list[object] = [cell.cell_contents for cell in take.__closure__ or ()]
    total = 0
    while found:
        item = found.pop()
        if id(item) in seen or isinstance(item, CODE):
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        found.extend(gc.get_referents(item))
    return total
