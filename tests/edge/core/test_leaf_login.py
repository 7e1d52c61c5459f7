import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.leaf_login import LeafLogin, read_creds, read_seed
from edge.core.nkeys import KeyPair

SEED = KeyPair("U", bytes(32)).seed
CREDS = f"""-----BEGIN NATS USER JWT-----
eyJ.x
.y
------END NATS USER JWT------

*** keep this ***
-----BEGIN USER NKEY SEED-----
{SEED}
------END USER NKEY SEED------
"""


def test_creds_as_nsc_writes_them() -> None:
    assert read_creds(CREDS) == read_creds(CREDS.replace("\n", "\r\n")) == ("eyJ.x.y", SEED)


@pytest.mark.parametrize("text", ["", "eyJ", CREDS.partition("***")[0], CREDS.replace("SEED", "X")])
def test_what_is_no_creds(text: str) -> None:
    with pytest.raises(ValueError, match="JWT and its seed"):
        read_creds(text)


def test_a_seed_bare_or_between_dashes() -> None:
    assert read_seed(SEED) == read_seed(f"# mine\n  {SEED}\n") == read_seed(CREDS) == SEED
    with pytest.raises(ValueError):
        read_seed("nothing")


@given(st.text())
def test_whatever_is_in_the_file(text: str) -> None:
    for read in (read_creds, read_seed):
        try:
            read(text)
        except ValueError:
            continue


def test_nothing_to_say() -> None:
    assert LeafLogin().fields("nonce") == {}
