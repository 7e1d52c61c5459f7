import pytest

from edge.errors import StoreError
from edge.uplink.progress import Progress


def test_there_and_back() -> None:
    progress = Progress("e1", "E", 17, acked=3, limit=9, hub_seq=5, hub_created="2026", dead=1)
    assert Progress.decode("T", progress.encode()) == progress


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b"null", b'{"edge":"e1"}'])
def test_damage_is_said(value: bytes) -> None:
    with pytest.raises(StoreError, match="uplink T: its progress in the store cannot be read"):
        Progress.decode("T", value)
