import pytest

from edge.errors import StoreError
from edge.uplink.losses import Loss
from edge.uplink.progress import Progress


def test_there_and_back() -> None:
    progress = Progress(
        "e1", ((1, "E"), (70, "F")), 17, "G", acked=3, settled=((5, 9), (12, 12)), leased=((10, 20),), hub_seq=5,
        hub_created="2026", dead=1, losses=(Loss(30, 40, 11, "limits", number=2),), receipts=2, gone={"limits": 11},
    )  # fmt: skip
    assert Progress.decode("T", progress.encode()) == progress


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b"null", b'{"edge":"e1"}', b'{"epoch":1}', b'{"epochs":3}'])
def test_damage_is_said(value: bytes) -> None:
    with pytest.raises(StoreError, match="uplink T: its progress in the store cannot be read"):
        Progress.decode("T", value)
