import pytest

from edge.net.own_address import advertised, place


@pytest.mark.parametrize(
    ("said", "host", "expected"),
    [
        ("", "192.0.2.7", ("192.0.2.7", 7422)),
        ("gw.example", "0.0.0.0", ("gw.example", 7422)),
        ("gw.example:99", "0.0.0.0", ("gw.example", 99)),
        ("[2001:db8::1]:99", "::", ("2001:db8::1", 99)),
        ("[2001:db8::1]", "::", ("2001:db8::1", 7422)),
    ],
)
def test_what_leafs_are_told_to_dial(said: str, host: str, expected: tuple[str, int]) -> None:
    assert advertised(said, host, 7422) == expected


def test_anywhere_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.net.own_address.own_address", lambda: "192.0.2.9")
    assert advertised("", "0.0.0.0", 1) == advertised("", "::", 1) == ("192.0.2.9", 1)
    monkeypatch.setattr("edge.net.own_address.own_address", lambda: "")
    assert advertised("", "0.0.0.0", 1) == ("0.0.0.0", 1)


def test_as_it_is_written() -> None:
    assert place("192.0.2.9", 1) == "192.0.2.9:1" and place("::1", 1) == "[::1]:1"
