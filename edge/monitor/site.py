"""What is where on the monitoring port: nats-server's endpoints, and our own beside them."""

from collections.abc import Callable, Mapping
from typing import Protocol

from edge.protocol.http import Request, Response

TEXT, HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"
PLAIN = (("X-Content-Type-Options", "nosniff"),)
METHODS = ("GET", "HEAD")

View = Callable[[], Response]


class Endpoints(Protocol):
    """``answer`` takes a path that ``find`` knows."""

    def find(self, path: str) -> bool: ...
    def answer(self, path: str, request: Request) -> Response: ...


class Site:
    """``base``: ``http_base_path``, with a slash before it and none behind, or empty.  ``views``: ours, by path; the
    page is ``/``."""

    def __init__(self, base: str, endpoints: Endpoints, views: Mapping[str, View]) -> None:
        self.base = base
        self.endpoints = endpoints
        self.views = views

    def answer(self, request: Request) -> Response:
        path = clean(request.path)
        if path != request.path:
            return _redirect(path, request.query)
        if path == (self.base or "/"):
            local = "/"
        elif path.startswith(f"{self.base}/") and path != f"{self.base}/":
            local = path[len(self.base) :]
        else:
            return _not_found()
        if self.endpoints.find(local):
            return self.endpoints.answer(local, request)
        view = self.views.get(local)
        if view is None:
            return _not_found()
        if request.method not in METHODS:
            return Response(405, TEXT, b"Method Not Allowed\n", (*PLAIN, ("Allow", ", ".join(METHODS))))
        return view()


def clean(path: str) -> str:
    """Without empty parts, ``.`` and ``..``, as Go's router has it; a slash at the end stays."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    ends = path.endswith(("/", "/.", "/..")) and parts
    return "/" + "/".join(parts) + ("/" if ends else "")


def _redirect(path: str, query: str) -> Response:
    from urllib.parse import quote

    place = quote(path, safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else "")
    return Response(307, TEXT, b"Temporary Redirect\n", (*PLAIN, ("Location", place)))


def _not_found() -> Response:
    return Response(404, TEXT, b"404 page not found\n", PLAIN)
