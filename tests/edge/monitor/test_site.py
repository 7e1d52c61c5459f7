"""Paths to what answers there, with and without a base path."""

import pytest

from edge.monitor.site import Site, clean
from edge.protocol.http import Request, Response


class Endpoints:
    def find(self, path: str) -> bool:
        return path == "/varz"

    def answer(self, path: str, request: Request) -> Response:
        return Response(200, "application/json", f"{path}?{request.query}".encode())


def ask(path: str, base: str = "", method: str = "GET", query: str = "") -> Response:
    views = {"/": lambda: Response(200, "text/html", b"page"), "/metrics": lambda: Response(200, "text/plain", b"figures")}
    return Site(base, Endpoints(), views).answer(Request(method, path, query))


def test_what_is_where() -> None:
    assert ask("/").body == b"page"
    assert ask("/metrics").body == b"figures"
    assert ask("/varz", query="a=b").body == b"/varz?a=b"
    assert ask("/nope") == Response(404, "text/plain; charset=utf-8", b"404 page not found\n", (("X-Content-Type-Options", "nosniff"),))


@pytest.mark.parametrize("path", ["/varz/", "/metrics/", "/VARZ", "/%2e", "/varz\0"])
def test_what_is_not(path: str) -> None:
    assert ask(path).status == 404


def test_a_base_path() -> None:
    assert ask("/mon", "/mon").body == b"page"
    assert ask("/mon/metrics", "/mon").body == b"figures"
    assert ask("/mon/varz", "/mon").body == b"/varz?"
    for path in ("/", "/varz", "/mon/", "/monvarz", "/mon/x"):
        assert ask(path, "/mon").status == 404


def test_ours_is_for_reading() -> None:
    assert ask("/metrics", method="HEAD").status == 200
    refused = ask("/", method="POST")
    assert (refused.status, dict(refused.headers)["Allow"]) == (405, "GET, HEAD")
    assert ask("/varz", method="POST").status == 200  # as of nats-server


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        ("/", "/"), ("//varz", "/varz"), ("/./varz", "/varz"), ("/a/../varz", "/varz"), ("/../..", "/"), ("/a//b/", "/a/b/"),
        ("/a/.", "/a/"), ("/a/..", "/"), ("/...", "/..."),
    ],
)  # fmt: skip
def test_clean(path: str, cleaned: str) -> None:
    assert clean(path) == cleaned == clean(cleaned)


def test_a_path_that_is_not_clean_is_sent_to_the_clean_one() -> None:
    moved = ask("//a b\r\n/../varz", query="x=1")
    assert (moved.status, dict(moved.headers)["Location"]) == (307, "/varz?x=1")
    assert dict(ask("//a\r\nb").headers)["Location"] == "/a%0D%0Ab"
