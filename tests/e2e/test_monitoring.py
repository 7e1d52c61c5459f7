"""The monitoring port: the same requests to our server and to the real one, and what only ours has: metrics, the page
in a real browser, and peers that mean no good."""

import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

PATIENCE = 60.0
BASE = 'server_name: s\nlisten: 127.0.0.1:-1\nhttp: "127.0.0.1:-1"\n'
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
OPEN = "*"  # Access-Control-Allow-Origin
NOT_FOUND = "404 page not found\n"

Start = Callable[..., Any]


class Answer(NamedTuple):
    status: int
    headers: Any
    body: bytes

    @property
    def seen(self) -> tuple[int, str, str | None]:
        return self.status, self.headers["Content-Type"], self.headers.get("Access-Control-Allow-Origin")


def monitor_of(server: Any) -> tuple[str, int]:
    """As the log has it."""
    found = re.search(r"Starting (https?) monitor on 127\.0\.0\.1:(\d+)", server.log.read_text())
    assert found, server.log.read_text()
    return found.group(1), int(found.group(2))


def ask(server: Any, target: str, method: str = "GET", body: bytes | None = None, context: Any = None) -> Answer:
    scheme, port = monitor_of(server)
    make = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = make("127.0.0.1", port, timeout=PATIENCE, **({"context": context} if context else {}))
    try:
        connection.request(method, target, body)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def say(server: Any, data: bytes, enough: bytes = b"") -> bytes:
    """What comes back to raw bytes, up to the end of the connection or to ``enough``."""
    with socket.create_connection(("127.0.0.1", monitor_of(server)[1]), timeout=PATIENCE) as connection:
        connection.sendall(data)
        said = b""
        while not (enough and enough in said):
            try:
                chunk = connection.recv(65536)
            except ConnectionResetError:
                break
            if not chunk:
                break
            said += chunk
        return said


# ---- the same as nats-server


def test_documents(either: Start, tmp_path: Path) -> None:
    server = either(f'{BASE}jetstream {{ store_dir: "{tmp_path}/s" }}')
    for target in (
        "/varz", "/connz", "/connz?subs=1&limit=5&offset=-1", "/connz?subs=detail&sort=idle", "/connz?state=CLOSED",
        "/connz?user=a&acc=b", "/connz?cid=77", "/routez", "/routez?subs=1", "/gatewayz", "/gatewayz?accs=1&acc_name=A",
        "/leafz", "/leafz?subs=1&acc=N", "/subsz", "/subscriptionsz", "/subsz?subs=1&test=foo.bar", "/accountz",
        "/accountz?acc=$G", "/accstatz", "/accstatz?unused=1", "/jsz", "/jsz?accounts=1&streams=1&consumers=1&config=1",
        "/jsz?acc=N", "/healthz", "/healthz?js-enabled-only=true", "/healthz?js-server-only=1", "/ipqueuesz",
        # what is malformed is passed over
        "/connz?limit=%zz&subs=1", "/connz?limit=1;subs=x", "/connz?unknown=x&&=&limit=", "/health%7a",
        # there is no JSONP any more
        "/varz?callback=f", "http://elsewhere/varz",
    ):  # fmt: skip
        answer = ask(server, target)
        assert (target, *answer.seen) == (target, 200, JSON, OPEN), answer.body
        assert isinstance(json.loads(answer.body), dict)
    assert ask(server, "/healthz").body == b'{"status":"ok"}'
    assert ask(server, "/varz").body.startswith(b'{\n  "server_id": "N')
    for method in ("HEAD", "POST", "DELETE", "OPTIONS", "FOO"):
        assert ask(server, "/routez", method).seen == (200, JSON, OPEN)
    assert ask(server, "/routez", "POST", b"x" * 1000).status == 200
    assert ask(server, "/varz", "HEAD").body == b""
    assert int(ask(server, "/healthz", "HEAD").headers["Content-Length"]) == 15
    assert ask(server, "/debug/vars").seen == (200, "application/json; charset=utf-8", None)
    assert ask(server, "/stacksz").seen == (200, JSON, OPEN)


def test_errors(either: Start, tmp_path: Path) -> None:
    server = either(f'{BASE}jetstream {{ store_dir: "{tmp_path}/s" }}')
    for target, status, text in (
        ("/healthz?js-enabled-only=x", 400, "Error decoding boolean for 'js-enabled-only': strconv.ParseBool: parsing \"x\": invalid syntax"),
        ("/connz?limit=x&auth=maybe", 400, "Error decoding boolean for 'auth': strconv.ParseBool: parsing \"maybe\": invalid syntax"),
        ("/connz?limit=x", 400, "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax"),
        ("/connz?limit=%2B%2b1", 400, "Error decoding int for 'limit': strconv.Atoi: parsing \"++1\": invalid syntax"),
        ("/connz?limit=1_000", 400, "Error decoding int for 'limit': strconv.Atoi: parsing \"1_000\": invalid syntax"),
        ("/connz?limit=%D9%A1", 400, "Error decoding int for 'limit': strconv.Atoi: parsing \"\u0661\": invalid syntax"),
        ("/connz?offset=99999999999999999999", 400, "Error decoding int for 'offset': strconv.Atoi: parsing \"99999999999999999999\": value out of range"),
        ("/connz?cid=-1", 400, "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax"),
        ("/connz?cid=%01%22%5c%0a", 400, "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"\\x01\\\"\\\\\\n\": invalid syntax"),
        ("/connz?cid=%7f%c2%a0%e2%80%a8%07%0b%08%f3%a0%80%81x", 400, "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"\\x7f\\u00a0\\u2028\\a\\v\\b\\U000e0001x\": invalid syntax"),
        ("/connz?state=q", 400, "Error decoding state for q"),
        ("/connz?sort=zz", 400, "invalid sorting option: zz"),
        ("/connz?sort=stop", 400, "sort by stop only valid on closed connections"),
        ("/connz?subs=2", 400, "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"2\": invalid syntax"),
        ("/routez?subs=2", 400, "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"2\": invalid syntax"),
        ("/leafz?subs=2", 400, "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"2\": invalid syntax"),
        ("/gatewayz?accs=maybe", 400, "Error decoding boolean for 'accs': strconv.ParseBool: parsing \"maybe\": invalid syntax"),
        ("/accstatz?unused=x", 400, "Error decoding boolean for 'unused': strconv.ParseBool: parsing \"x\": invalid syntax"),
        ("/subsz?test=a.*", 400, "invalid test subject, must be valid publish subject: a.*"),
        ("/jsz?leader-only=x", 400, "Error decoding boolean for 'leader-only': strconv.ParseBool: parsing \"x\": invalid syntax"),
        ("/accountz?acc=N", 400, "Account N does not exist"),
        ("/ipqueuesz?all=x", 400, "Error decoding boolean for 'all': strconv.ParseBool: parsing \"x\": invalid syntax"),
        ("/raftz", 404, "No Raft nodes registered"),
        ("/nope", 404, NOT_FOUND),
        ("/varz/", 404, NOT_FOUND),
        ("/VARZ", 404, NOT_FOUND),
        ("/expvarz", 404, NOT_FOUND),
    ):  # fmt: skip
        answer = ask(server, target)
        assert (target, *answer.seen, answer.body.decode()) == (target, status, TEXT, None, text)
        assert answer.headers.get("X-Content-Type-Options") == ("nosniff" if text == NOT_FOUND else None)
    for target, place in (("//varz?a=b", "/varz?a=b"), ("/./varz", "/varz"), ("/a/../varz", "/varz"), ("/a//b/", "/a/b/")):
        answer = ask(server, target)
        assert (answer.status, answer.headers["Location"]) == (307, place)
    for target, status, text in (
        ("/healthz?account=N", 404, '{"status":"unavailable","error":"JetStream account \\"N\\" not found"}'),
        ("/healthz?stream=N", 400, '{"status":"error","error":"\\"account\\" must not be empty when checking stream health"}'),
    ):
        answer = ask(server, target)
        assert (target, *answer.seen, answer.body.decode()) == (target, status, JSON, OPEN, text)
    server.wait_for_log('[WRN] Healthcheck failed: "JetStream account \\"N\\" not found"')


def test_the_protocol(either: Start) -> None:
    server = either(BASE)
    host = b"Host: x\r\n\r\n"
    for data, status in (
        (b"garbage\r\n\r\n", b"400 Bad Request"),
        (b"\x16\x03\x01\x00\xa5\x01\r\n\r\n", b"400 Bad Request"),
        (b"GET /varz\r\n\r\n", b"400 Bad Request"),
        (b"GET varz HTTP/1.1\r\n" + host, b"400 Bad Request"),
        (b"GET  /varz HTTP/1.1\r\n" + host, b"400 Bad Request"),
        (b"GET /%zz HTTP/1.1\r\n" + host, b"400 Bad Request"),
        (b"GET * HTTP/1.1\r\n" + host, b"400 Bad Request"),
        (b"GET /varz HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET /varz HTTP/1.1\r\nHost: a\r\n" + host, b"400 Bad Request"),
        (b"GET /varz HTTP/1.1\r\nBad Header: 1\r\n" + host, b"400 Bad Request"),
        (b"GET /varz HTTP/1.1\r\nNoColon\r\n" + host, b"400 Bad Request"),
        (b"POST /varz HTTP/1.1\r\nContent-Length: -3\r\n" + host, b"400 Bad Request"),
        (b"POST /varz HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n" + host, b"400 Bad Request"),
        (b"POST /varz HTTP/1.1\r\nTransfer-Encoding: foo\r\n" + host, b"501 Not Implemented"),
        (b"GET /varz HTTP/2.0\r\n" + host, b"505 HTTP Version Not Supported"),
        (b"CONNECT x:1 HTTP/1.1\r\n" + host, b"404 Not Found"),
        (b"GET /varz HTTP/1.1\r\nA: " + b"x" * (2 << 20) + b"\r\n" + host, b"431 Request Header Fields Too Large"),
        (b"GET /varz HTTP/1.0\r\n\r\n", b"200 OK"),
        (b"GET /varz HTTP/1.1\r\nConnection: close\r\n" + host, b"200 OK"),
    ):
        first = say(server, data).partition(b"\r\n")[0]  # and then it is closed
        assert first.startswith((b"HTTP/1.1 " + status, b"HTTP/1.0 " + status)), (data[:80], first)
    twice = b"GET /routez HTTP/1.1\r\n" + host
    said = say(server, twice + b"POST /nope HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + host + b"3\r\nabc\r\n0\r\n\r\n" + twice
               + b"GET /end HTTP/1.1\r\nConnection: close\r\n" + host)  # fmt: skip
    assert re.findall(rb"HTTP/1.1 (\d+) ", said) == [b"200", b"404", b"200", b"404"]


def test_a_base_path(either: Start) -> None:
    server = either(f"{BASE}http_base_path: mon\n")
    assert ask(server, "/mon/varz").seen == (200, JSON, OPEN)
    assert ask(server, "/mon").seen[:2] == (200, "text/html; charset=utf-8")
    for target in ("/varz", "/", "/mon/", "/mon/nope", "/monvarz"):
        assert (target, ask(server, target).seen) == (target, (404, TEXT, None))


def test_https(either: Start, authority: Any) -> None:
    """With the certificate of the clients' listener, and without asking for theirs.  Another one after a reload."""
    pair = authority.server("https")
    server = either(
        "listen: 127.0.0.1:-1\nhttps: 127.0.0.1:-1\n"
        f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}", ca_file: "{authority.file}", verify: true }}'
    )
    assert monitor_of(server)[0] == "https"
    assert ask(server, "/varz", context=authority.context()).seen == (200, JSON, OPEN)
    assert say(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == (
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    )
    before = certificate(server)
    other = authority.server("https-other")
    shutil.copy(other.cert, pair.cert)
    shutil.copy(other.key, pair.key)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("Reloaded server configuration")
    assert certificate(server) != before
    assert ask(server, "/varz", context=authority.context()).status == 200


def certificate(server: Any) -> str:
    return ssl.get_server_certificate(("127.0.0.1", monitor_of(server)[1]))


def test_where_it_is(either: Start, tmp_path: Path) -> None:
    server = either(f'{BASE}ports_file_dir: "{tmp_path}"')
    (file,) = wait_for(lambda: list(tmp_path.glob("*.ports")))
    assert json.loads(file.read_text())["monitoring"] == [f"http://127.0.0.1:{monitor_of(server)[1]}"]
    log = server.log.read_text()
    assert log.index("Starting http monitor on") < log.index("Listening for client connections on")
    assert re.search(r"\[INF\] Starting http monitor on 127\.0\.0\.1:\d+\n", log)


def wait_for(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("flags", [("-m", "-1"), ("--http_port=-1",)])
def test_the_flag(either: Start, flags: tuple[str, ...]) -> None:
    server = either("listen: 127.0.0.1:-1")
    server.kill()
    server.command += ["-a", "127.0.0.1", *flags]
    server.start()
    assert ask(server, "/varz").status == 200
    assert "not served" not in server.log.read_text()


def test_it_answers_as_soon_as_the_server_is_ready(start_edge: Start) -> None:
    for i in range(3):
        server = start_edge(BASE, name=f"ready{i}")
        assert json.loads(ask(server, "/varz").body)["connections"] == 0
        server.kill()


def test_it_answers_in_lame_duck_mode(either: Start) -> None:
    server = either(BASE)
    wire = server.wire()
    wire.login()
    server.process.send_signal(signal.SIGUSR2)
    server.wait_for_log("Entering lame duck mode")
    assert ask(server, "/varz").status == 200


def test_requests_are_counted(either: Start) -> None:
    server = either(BASE)
    for target in ("/routez", "/subscriptionsz", "/subsz", "/", "/nope"):
        ask(server, target)
    counted = json.loads(ask(server, "/varz").body)["http_req_stats"]
    assert {name: counted[name] for name in ("/", "/routez", "/subsz", "/varz")} == {"/": 1, "/routez": 1, "/subsz": 2, "/varz": 1}
    assert "/nope" not in counted


# ---- ours


def test_a_port_that_is_taken(start_edge: Start, free_port: Callable[[], int], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "c.conf").write_text(f"listen: 127.0.0.1:-1\nhttp: 127.0.0.1:{port}")
        command = [sys.executable, "-m", "edge", "run", "-c", str(tmp_path / "c.conf")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert f"[FTL] cannot listen for monitoring connections on 127.0.0.1:{port}: " in done.stderr
    assert "Traceback" not in done.stderr


def test_ours_is_only_read(start_edge: Start) -> None:
    server = start_edge(BASE)
    for target in ("/", "/metrics", "/uplinkz", "/commandz"):
        assert ask(server, target, "POST").status == 405
        assert ask(server, target, "HEAD").status == 200
    assert json.loads(ask(server, "/uplinkz").body) == {"edge": "s", "leaf": None, "uplinks": {}}
    assert json.loads(ask(server, "/commandz").body) == {"edge": "s", "commands": []}


def test_no_openssl_for_plain_http(start_edge: Start) -> None:
    server = start_edge(BASE)
    for target in ("/", "/metrics", "/varz", "//varz"):
        ask(server, target)
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "libssl" not in maps and "libcrypto" not in maps


def figures(server: Any) -> dict[tuple[str, ...], float]:
    """By name and the values of its labels."""
    answer = ask(server, "/metrics")
    assert answer.seen == (200, "text/plain; version=0.0.4; charset=utf-8", None)
    families = text_string_to_metric_families(answer.body.decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


HUB = """server_name: hub
listen: 127.0.0.1:-1
leafnodes {{ listen: 127.0.0.1:{port} }}
jetstream {{ store_dir: "{folder}/hub", domain: hub }}
"""
EDGE = """server_name: barn
listen: 127.0.0.1:-1
http: 127.0.0.1:-1
mqtt {{ listen: 127.0.0.1:-1 }}
ports_file_dir: "{folder}/ports"
jetstream {{ store_dir: "{folder}/barn", domain: barn }}
leafnodes {{ remotes [ {{ url: "nats://127.0.0.1:{port}" }} ] }}
uplink {{ TELEMETRY: {{ subjects: ["telemetry.>"], hub_domain: hub, hub_stream: TELEMETRY }} }}
"""
EVIL = "<img src=x onerror=document.body.remove()>"


@pytest.fixture
def barn(start_edge: Start, start_nats: Start, free_port: Callable[[], int], tmp_path: Path) -> Any:
    """An edge that is connected to a hub, whose stream is not there; with a sensor whose name is an attack."""
    port = free_port()
    start_nats(HUB.format(port=port, folder=tmp_path), "hub")
    server = start_edge(EDGE.format(port=port, folder=tmp_path))
    wire = server.wire()
    wire.login(json.dumps({"verbose": False, "headers": True, "name": EVIL}))
    for subject in ("telemetry.barn.pump1", "telemetry.<script>alert(1)</script>", "telemetry.barn.pump1"):
        wire.send(f"PUB {subject} inbox 4\r\n21.5\r\n".encode())
    wire.send(b"PING\r\n")
    wire.expect(rb"PONG\r\n")
    wait_for(lambda: figures(server).get(("petiole_uplink_backlog_messages", "TELEMETRY")) == 3)
    return server


def test_metrics_and_uplinks_of_a_live_edge(barn: Any) -> None:
    found = figures(barn)
    assert found["petiole_connections", "nats"] == 1
    assert found["petiole_account_connections", "$G"] == 1
    assert found["petiole_received_messages_total", "$G", "client"] == 3
    assert found["petiole_received_bytes_total", "$G", "client"] == 12
    assert found["petiole_stream_messages", "$G", "TELEMETRY"] == 3
    assert found["petiole_stream_last_sequence", "$G", "TELEMETRY"] == 3
    assert found["petiole_mqtt_connections",] == 0
    assert found["petiole_store_commits_total",] >= 2
    assert found["petiole_store_file_bytes", "log"] > 0
    assert found["petiole_store_full",] == found["petiole_store_failing",] == 0
    assert found["petiole_process_resident_memory_bytes",] > 10 << 20
    assert found["petiole_process_start_time_seconds",] == pytest.approx(time.time(), abs=600)
    assert any(name[0] == "petiole_leaf_up" for name in found)
    wait_for(lambda: "not found" in json.loads(ask(barn, "/uplinkz").body)["uplinks"]["TELEMETRY"]["reason"])
    status = json.loads(ask(barn, "/uplinkz").body)
    assert status["edge"] == "barn" and status["leaf"]["connected"] is True
    assert status["uplinks"]["TELEMETRY"]["backlog_messages"] == 3
    assert figures(barn)["petiole_uplink_state", "TELEMETRY", "blocked"] == 1


def browse(server: Any, folder: Path, *flags: str) -> str:
    """What a browser has made of the page; it has run whatever it would run."""
    chromium = shutil.which("chromium")
    assert chromium, "a browser is missing: apt install chromium"
    common = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")
    more = ("--disable-background-networking", f"--user-data-dir={folder / 'chromium'}", "--window-size=360,740")
    url = f"http://127.0.0.1:{monitor_of(server)[1]}/"
    done = subprocess.run([chromium, *common, *more, *flags, url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_in_a_browser(barn: Any, tmp_path: Path) -> None:
    """Twelve seconds of the browser's own time: it asks for itself again, and what others chose stays text."""
    picture = tmp_path / "page.png"
    dom = browse(barn, tmp_path, "--virtual-time-budget=12000", "--dump-dom")
    assert dom.count("<script>") == 1
    assert "&lt;img src=x onerror=document.body.remove()&gt;" in dom
    assert "telemetry.&lt;script&gt;alert(1)&lt;/script&gt;" in dom
    for text in ("<h1>barn</h1>", "Uplink TELEMETRY is blocked", "telemetry.barn.pump1", "3 messages", 'href="varz"', 'href="metrics"'):
        assert text in dom, text
    assert '<div id="gone" role="alert" style="display: none;">' in dom  # by the script, after it has looked again
    assert json.loads(ask(barn, "/varz").body).get("http_req_stats", {"/": 3})["/"] >= 2
    browse(barn, tmp_path, f"--screenshot={picture}")
    head = picture.read_bytes()[:24]
    assert head.startswith(b"\x89PNG") and int.from_bytes(head[16:20], "big") == 360


def test_the_page_fits_a_phone(barn: Any, tmp_path: Path) -> None:
    """Nothing is wider than the screen: the probe is a frame of 360 pixels around the page."""
    page = ask(barn, "/").body.decode()
    probe = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script>"
    framed = tmp_path / "framed.html"
    framed.write_text(re.sub(r"<script>.*?</script>", lambda found: probe, page, flags=re.DOTALL))
    chromium = shutil.which("chromium")
    assert chromium
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
         f"--user-data-dir={tmp_path / 'probe'}", "--window-size=360,740", "--dump-dom", framed.as_uri()],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    found = re.search(r"<title>(\d+) of (\d+)</title>", done.stdout)
    assert found and int(found.group(1)) <= int(found.group(2)), done.stdout[:500]


# ---- peers that mean no good


def test_many_that_never_end_their_request(start_edge: Start) -> None:
    """They take each other's places, not that of who asks for something."""
    server = start_edge(BASE)
    port = monitor_of(server)[1]
    lorises = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(200)]
    with contextlib.ExitStack() as stack:
        for loris in lorises:
            stack.enter_context(loris)
            with contextlib.suppress(OSError):  # it has lost its place already
                loris.sendall(b"GET /varz HTTP/1.1\r\nHost: x\r\nA: ")
        assert ask(server, "/varz").status == 200
        assert figures(server)["petiole_process_open_fds",] < 100


def test_whatever_is_sent(start_edge: Start) -> None:
    server = start_edge(BASE)
    pieces = st.sampled_from(
        [b"GET /varz HTTP/1.1\r\n", b"POST /metrics HTTP/1.0\r\n", b"Host: x\r\n", b"\r\n", b"Transfer-Encoding: chunked\r\n",
         b"ffffffffffffffff\r\n", b"Content-Length: 5\r\n", b"Expect: 100-continue\r\n", b"Connection: upgrade\r\n", b"\xff\x00"]
    )  # fmt: skip

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.one_of(st.binary(max_size=300), st.lists(pieces, max_size=12).map(b"".join)))
    def send(data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", monitor_of(server)[1]), timeout=PATIENCE) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(65536):
                    pass

    send()
    assert ask(server, "/varz").status == 200
    assert "Traceback" not in server.log.read_text()
    assert "[ERR]" not in server.log.read_text()


# ---- our tools read it


def test_the_tools(barn: Any) -> None:
    def tool(*arguments: str) -> str:
        command = [sys.executable, "-m", "edge", *arguments, "--url", f"http://127.0.0.1:{monitor_of(barn)[1]}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout

    top = tool("top", "--once", "-d", "0.1")
    assert "Connections: 2" in top and re.search(r"  In:   Msgs: [4-9]  Bytes: [1-9]", top), top
    assert re.search(rf"{EVIL[:20]}\S+ .* 3 +0 +12 ", top), top
    report = tool("report", "all")
    assert re.search(r"Streams: 1\n.*\n +\$G +TELEMETRY +telemetry\.> +file +3 ", report), report
    assert "Connections: 2\n" in report
    assert re.search(r"\n +\d +- +Leafnode +127\.0\.0\.1:\d+ +\$G ", report) and re.search(r"\n +\d +<img .* nats +127", report), report
    assert re.search(r"Leafs: 1\n.*\n +hub +\$G +127\.0\.0\.1:\d+ +out ", report), report
    assert re.search(r"Uplinks: 1\n.*\n +TELEMETRY +blocked +3 ", report), report
    entries = json.loads(tool("report", "all", "--json"))
    assert {name: len(found) for name, found in entries.items() if name != "accounts"} == {
        "connections": 2, "streams": 1, "leafs": 1, "uplinks": 1
    }  # fmt: skip


def test_the_doctor(barn: Any) -> None:
    """What it finds on this machine is another matter."""
    wait_for(lambda: "not found" in json.loads(ask(barn, "/uplinkz").body)["uplinks"]["TELEMETRY"]["reason"])
    command = [sys.executable, "-m", "edge", "doctor", "--json", "-c", str(barn.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found = {each["check"]: (each["level"].lower(), each["found"]) for each in json.loads(done.stdout)["checks"]}
    assert found["health"] == ("ok", "the server says that it is well")
    assert found["link"][0] == "ok" and found["link"][1].startswith("connected to hub, 127.0.0.1:")
    assert found["uplink"][0] == "warn" and "TELEMETRY is blocked, 3 messages wait" in found["uplink"][1]
