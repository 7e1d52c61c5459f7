import zlib

import pytest
from cramjam import zstd

from hub.errors import HubError
from hub.payload import payload


def test_as_it_was() -> None:
    assert payload(None, b"x") == payload({}, b"x") == b"x"
    assert payload({"Content-Encoding": "deflate"}, zlib.compress(b"abc")) == b"abc"
    assert payload({"Content-Encoding": "zstd"}, bytes(zstd.compress(b"abc"))) == b"abc"


@pytest.mark.parametrize(
    "encoding, data", [("deflate", b"x"), ("deflate", zlib.compress(b"abc")[:-2]), ("zstd", b"x"), ("br", b"x")]
)
def test_what_cannot_be_read(encoding: str, data: bytes) -> None:
    with pytest.raises(HubError, match=r"a payload with Content-Encoding"):
        payload({"Content-Encoding": encoding}, data)
