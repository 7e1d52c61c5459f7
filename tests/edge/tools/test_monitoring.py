"""Monitoring of a real nats-server, and of everything that is none: one line says what is wrong."""

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config.load import load_config
from edge.flags import Flags
from edge.tools.errors import ToolError
from edge.tools.monitoring import PAGE, Monitoring, configured_url, find_url


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        code, body = {"/list": (200, b"[1]"), "/html": (200, b"<p>"), "/bad": (400, b"invalid\nsorting"), "/healthz": (503, b'{"status": "unavailable"}')}.get(path, (404, b"no"))
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other_http() -> Iterator[str]:
    """A web server that is no nats-server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_real_server(start_monitored: Callable[..., Any]) -> None:
    server, url = start_monitored()
    wires = [server.wire() for _ in range(3)]
    for wire in wires:
        wire.login()
    monitoring = Monitoring(url)
    assert monitoring.get("varz")["server_name"] == "oracle"
    assert monitoring.find("uplinkz") is None
    assert [each["cid"] for each in monitoring.connections(sort="cid")] == sorted(each["cid"] for each in monitoring.connections())
    assert len(monitoring.connections()) == 3
    assert Monitoring(url.removeprefix("http://")).get("varz")["server_name"] == "oracle"
    with pytest.raises(ToolError, match="HTTP 400: invalid sorting option: bogus"):
        monitoring.get("connz", sort="bogus")


def test_more_connections_than_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [{"cid": i} for i in range(PAGE * 2 + 5)]
    monitoring = Monitoring("http://127.0.0.1:1")

    def get(document: str, offset: int, limit: int, **query: object) -> dict[str, Any]:
        return {"total": len(entries), "connections": entries[offset : offset + limit]}

    monkeypatch.setattr(monitoring, "get", get)
    assert monitoring.connections() == entries


def test_a_server_whose_connections_leave_between_two_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monitoring = Monitoring("http://127.0.0.1:1")
    monkeypatch.setattr(monitoring, "get", lambda *_, offset, **query: {"total": 9, "connections": [{}] if not offset else None})
    assert monitoring.connections() == [{}]


@pytest.mark.parametrize(
    ("document", "problem"),
    [("list", "no monitoring of a NATS server"), ("html", "no monitoring of a NATS server"), ("bad", "HTTP 400: invalid sorting"), ("varz", "not found; is http://")],
)
def test_another_web_server(other_http: str, document: str, problem: str) -> None:
    with pytest.raises(ToolError, match=problem):
        Monitoring(other_http).get(document)


def test_a_server_that_is_not_well_says_so(other_http: str) -> None:
    assert Monitoring(other_http).get("healthz") == {"status": "unavailable"}


def test_a_port_that_is_not_monitoring(start_nats: Callable[..., Any]) -> None:
    with pytest.raises(ToolError, match="is it the monitoring port"):
        Monitoring(f"http://127.0.0.1:{start_nats().port}").get("varz")


def test_nobody_there(free_port: Callable[[], int], silent: int) -> None:
    with pytest.raises(ToolError, match=r"nothing listens at .* is the server running"):
        Monitoring(f"127.0.0.1:{free_port()}").get("varz")
    with pytest.raises(ToolError, match="no answer within"):
        Monitoring(f"127.0.0.1:{silent}", timeout=0.1).get("varz")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://127.0.0.1:port", "http://[::1", "http://a b/"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ToolError):
        Monitoring(url).get("varz")


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="--cacert"):
        Monitoring("https://127.0.0.1:1", ca_file=str(tmp_path / "none.pem")).get("varz")


# ---- where it is


def conf(tmp_path: Path, text: str) -> str:
    path = tmp_path / "edge.conf"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http: 127.0.0.1:8333", "http://127.0.0.1:8333"),
        ("http: 8333", "http://127.0.0.1:8333"),
        ("http: 0.0.0.0:8333", "http://127.0.0.1:8333"),
        ('http: "[::1]:8333"', "http://[::1]:8333"),
        ("monitor_port: 8333", "http://127.0.0.1:8333"),
    ],
)
def test_as_the_configuration_says(tmp_path: Path, text: str, url: str) -> None:
    assert configured_url(load_config(conf(tmp_path, text), Flags(), {})) == url
    assert find_url("", conf(tmp_path, text)) == url


def test_a_port_of_the_systems_choice(tmp_path: Path) -> None:
    path = conf(tmp_path, f'http: 127.0.0.1:-1\nports_file_dir: "{tmp_path}"')
    with pytest.raises(ToolError, match="--url"):
        find_url("", path)
    (tmp_path / "a.ports").write_text("no JSON")
    (tmp_path / "b.ports").write_text('{"nats": ["nats://127.0.0.1:1"], "monitoring": ["http://127.0.0.1:4711"]}')
    assert find_url("", path) == "http://127.0.0.1:4711"


def test_the_url_comes_first_and_without_anything_the_usual_place(tmp_path: Path) -> None:
    assert find_url("http://x", "no file") == "http://x"
    assert find_url("", "") == "http://127.0.0.1:8222"
    with pytest.raises(ToolError, match="has no monitoring: add http:"):
        find_url("", conf(tmp_path, "port: 4222"))
