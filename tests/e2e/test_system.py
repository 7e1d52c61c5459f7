"""The system account on live servers: what ours says is held, key by key, against what the real one says."""

import asyncio
import json
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

from edge.protocol.mqtt import Connect, Kind, Signal, encode

Start = Callable[..., Any]

CONFIG = """
listen: 127.0.0.1:-1
server_name: core
accounts {
  SYS { users: [{user: s, password: s}] }
  A { users: [{user: a, password: a}, {user: p, password: p, permissions: {
    publish: {allow: ["x.>", "$SYS.REQ.USER.INFO"], deny: "x.no"}, subscribe: [">"], allow_responses: true }}] }
  B { users: [{user: b, password: b}] }
}
system_account: SYS
"""
SILENCE = 0.4  # seconds after which a server that does not answer is taken at its word
GONE = ("Client Closed", "Read Error")  # the second where a reset overtakes the end
QUIET = ("feature_flags", "metadata")


async def connect(url: str, user: str, **options: Any) -> Client:
    async def quiet(error: Exception) -> None: ...

    return await nats.connect(url, user=user, password=user, error_cb=quiet, allow_reconnect=False, **options)


def shape(value: Any) -> Any:
    """Keys and kinds, without what differs from one moment to the next."""
    match value:
        case dict():
            return {key: shape(item) for key, item in value.items() if key not in QUIET}
        case list():
            return [shape(item) for item in value[:1]]
        case bool() | None:
            return value
        case int() | float():
            return "number"
    return type(value).__name__


def ordered(value: Any) -> Any:
    """Lists in an order of their own: nats-server's come out of a map."""
    match value:
        case dict():
            return {key: ordered(item) for key, item in value.items()}
        case list():
            return sorted(map(ordered, value))
    return value


async def ask(nc: Client, subject: str, body: str = "", patience: float = 10) -> Any:
    try:
        message = await nc.request(subject, body.encode(), timeout=patience)
    except NoRespondersError:
        return "no responders"
    except NatsTimeout:
        return "silence"
    return json.loads(message.data)


async def on_both(
    start_edge: Start, start_nats: Start, transcript: Callable[[Any], Awaitable[Any]], config: str = CONFIG
) -> tuple[Any, Any]:
    """What the transcript brings on ours, and on the real one."""
    return await transcript(start_edge(config)), await transcript(start_nats(config))


REQUESTS = [
    # from an account
    ("a", "$SYS.REQ.USER.INFO", ""),
    ("p", "$SYS.REQ.USER.INFO", ""),
    ("a", "$SYS.REQ.ACCOUNT.PING.STATZ", ""),
    ("a", "$SYS.REQ.ACCOUNT.PING.STATZ", '{"accounts":["B"]}'),
    ("a", "$SYS.REQ.ACCOUNT.PING.CONNZ", "{bad"),
    ("a", "$SYS.REQ.ACCOUNT.PING.CONNZ", '{"offset":"x"}'),
    ("a", "$SYS.REQ.ACCOUNT.PING.CONNZ", "[]"),
    ("a", "$SYS.REQ.ACCOUNT.PING.STATZ", '{"server_name":"cor"}'),
    ("a", "$SYS.REQ.SERVER.PING", ""),
    ("a", "$SYS.REQ.ACCOUNT.A.STATZ", ""),
    ("a", "$SYS.DEBUG.SUBSCRIBERS", ">"),
    # from the system account
    ("s", "$SYS.REQ.USER.INFO", ""),
    ("s", "$SYS.REQ.USER.A.INFO", ""),
    ("s", "$SYS.REQ.SERVER.PING", ""),
    ("s", "$SYS.REQ.SERVER.PING", "{bad"),
    ("s", "$SYS.REQ.SERVER.PING.STATSZ", '{"host":"127"}'),
    ("s", "$SYS.REQ.SERVER.PING.IDZ", ""),
    ("s", "$SYS.REQ.SERVER.<id>.IDZ", ""),
    ("s", "$SYS.REQ.SERVER.<id>.STATSZ", ""),
    ("s", "$SYS.REQ.SERVER.PING.ACCSTATZ", ""),
    ("s", "$SYS.REQ.SERVER.<id>.BOGUS", ""),
    ("s", "$SYS.REQ.SERVER.OTHER.VARZ", ""),
    ("s", "$SYS.REQ.ACCOUNT.A.STATZ", ""),
    ("s", "$SYS.REQ.ACCOUNT.B.STATZ", '{"include_unused":true}'),
    ("s", "$SYS.REQ.ACCOUNT.PING.STATZ", ""),
    ("s", "$SYS.REQ.ACCOUNT.A.CONNS", ""),
    ("s", "$SYS.DEBUG.SUBSCRIBERS", "$SYS.>"),
    ("s", "$SYS.REQ.SERVER.<id>.ROUTEZ", ""),
    ("s", "$SYS.REQ.SERVER.<id>.GATEWAYZ", ""),
    ("s", "$SYS.REQ.SERVER.<id>.RAFTZ", ""),
    ("s", "$SYS.REQ.SERVER.<id>.PROFILEZ", ""),
    ("s", "$SYS.REQ.SERVER.<id>.PROFILEZ", '{"name":"no such"}'),
    ("s", "$SYS.REQ.SERVER.<id>.RELOAD", ""),
    ("s", "$SYS.REQ.SERVER.<id>.RELOAD", "{bad"),
    ("s", "$SYS.REQ.SERVER.<id>.KICK", '{"cid":99999}'),
    ("s", "$SYS.REQ.SERVER.<id>.LDM", '{"cid":99999}'),
]

SILENT = [
    ("a", "$SYS.REQ.ACCOUNT.PING.STATZ", '{"server_name":"zzz"}'),
    ("a", "$SYS.REQ.ACCOUNT.PING.STATZ", '{"server_name":"cor","exact_match":true}'),
    ("s", "$SYS.REQ.SERVER.PING.STATSZ", '{"domain":"x"}'),
    ("s", "$SYS.REQ.ACCOUNT.B.STATZ", ""),
    ("s", "$SYS.REQ.ACCOUNT.nope.STATZ", ""),
    ("s", "$SYS.REQ.ACCOUNT.B.CONNS", ""),
    ("s", "$SYS.REQ.SERVER.<id>.KICK", ""),
    ("s", "$SYS.REQ.SERVER.<id>.KICK", '{"cid":"x"}'),
]


def test_requests_are_answered_as_the_real_server_answers(start_edge: Start, start_nats: Start) -> None:
    async def transcript(server: Any) -> list[Any]:
        clients = {user: await connect(server.url, user) for user in ("s", "a", "p")}
        server_id = (await ask(clients["s"], "$SYS.REQ.SERVER.PING.IDZ"))["id"]
        answers = [
            await ask(clients[user], subject.replace("<id>", server_id), body) for user, subject, body in REQUESTS
        ]
        silences = [ask(clients[user], subject.replace("<id>", server_id), body, SILENCE) for user, subject, body in SILENT]
        assert await asyncio.gather(*silences) == ["silence"] * len(SILENT)
        for client in clients.values():
            await client.close()
        return answers

    ours, theirs = asyncio.run(on_both(start_edge, start_nats, transcript))
    for request, our, their in zip(REQUESTS, ours, theirs, strict=True):
        assert shape(our) == shape(their), request
        if isinstance(their, dict) and "error" in their:
            assert our["error"] == their["error"], request
        if request[1].endswith(".INFO"):
            assert ordered(our["data"]) == ordered(their["data"]), request


def test_who_comes_and_goes_is_told_as_the_real_server_tells_it(start_edge: Start, start_nats: Start) -> None:
    async def transcript(server: Any) -> list[tuple[str, Any]]:
        heard: list[tuple[str, Any]] = []
        seen: asyncio.Queue[str] = asyncio.Queue()

        async def hear(message: Msg) -> None:
            event = json.loads(message.data) if message.data else {}
            if "STATSZ" not in message.subject and "REQ" not in message.subject:
                heard.append((message.subject.replace(server_id, "<id>"), event))
                seen.put_nowait(message.subject)

        async def wait_for(end: str) -> None:
            while not (await asyncio.wait_for(seen.get(), 10)).endswith(end):
                pass

        system = await connect(server.url, "s")
        server_id = (await ask(system, "$SYS.REQ.SERVER.PING.IDZ"))["id"]
        await system.subscribe("$SYS.>", cb=hear)
        await system.flush()
        anna = await connect(server.url, "a", name="anna")
        await wait_for("A.CONNECT")
        await anna.publish("x", b"abc")
        await anna.flush()
        other = await connect(server.url, "b")
        await wait_for("B.CONNECT")
        await anna.close()
        await wait_for("A.DISCONNECT")
        await ask(system, f"$SYS.REQ.SERVER.{server_id}.KICK", json.dumps({"cid": other.client_id}))
        await wait_for("B.DISCONNECT")
        wire = server.wire()
        wire.send(b'CONNECT {"user":"a","pass":"wrong","lang":"raw","version":"1","name":"x","verbose":false}\r\n')
        wire.expect(rb"-ERR 'Authorization Violation'\r\n")
        await wait_for("$G.DISCONNECT")
        await system.close()
        await other.close()
        return heard

    def told(events: list[tuple[str, Any]]) -> list[Any]:
        """Sorted where the order is nobody's: of the counts and the event that goes with them."""
        return sorted(
            (subject, event.get("reason", ""), event.get("conns", -1), event.get("client", {}).get("user", ""))
            for subject, event in events
        )

    ours, theirs = asyncio.run(on_both(start_edge, start_nats, transcript))
    assert told(ours) == told(theirs)
    shapes = {subject: shape(event) for subject, event in theirs}
    for subject, event in ours:
        known = shapes[subject]
        if subject.endswith("$G.DISCONNECT") or subject.endswith("AUTH.ERR"):
            known["client"].pop("rtt", None)  # measured where CONNECT was believed
        assert shape(event) == known, subject
    [left] = [event for subject, event in ours if subject == "$SYS.ACCOUNT.A.DISCONNECT"]
    assert (left["sent"], left["received"]) == ({"msgs": 1, "bytes": 3}, {"msgs": 0, "bytes": 0})


def test_the_first_info_after_connect_says_where_one_is(either: Start) -> None:
    server = either(CONFIG)
    for user, is_system in (("s", b'"acc_is_sys":true'), ("a", b'"remote_account":"A"')):
        wire = server.wire()
        wire.send(
            b'CONNECT {"user":"%b","pass":"%b","protocol":1,"verbose":false}\r\nPING\r\n' % (user.encode(), user.encode())
        )
        assert is_system in wire.expect(rb"PONG\r\nINFO (\{.*?\}) ?\r\n").replace(b" ", b"")


def test_an_account_sees_its_own_requests_and_no_other(either: Start) -> None:
    server = either(CONFIG)
    login = '{"user":"%s","pass":"%s","verbose":false,"headers":true,"no_responders":true}'
    anna, other = server.wire(), server.wire()
    anna.login(login % ("a", "a"))
    other.login(login % ("b", "b"))
    other.send(b"SUB > 1\r\nPING\r\n")
    other.expect(rb"PONG\r\n")
    anna.send(b"SUB i 1\r\nSUB $SYS.> 2\r\nPUB $SYS.REQ.USER.INFO i 0\r\n\r\n")
    seen = anna.expect(rb"(MSG [^\r]*\r\n[^\r]*\r\n){2}")
    assert b"MSG $SYS.REQ.USER.INFO 2 i 0\r\n\r\n" in seen
    assert b'"user":"a"' in seen.replace(b" ", b"")
    other.send(b"PING\r\n")
    other.expect(rb"PONG\r\n")


def test_nobody_answers_without_a_system_account(either: Start) -> None:
    server = either("listen: 127.0.0.1:-1\nno_system_account: true")
    wire = server.wire()
    wire.login()
    wire.send(b"SUB i 1\r\nPUB $SYS.REQ.USER.INFO i 0\r\n\r\n")
    wire.expect(rb"HMSG i 1 \d+ \d+\r\nNATS/1.0 503\r\n")


def test_the_default_system_account_serves_the_global_one(either: Start) -> None:
    server = either()
    wire = server.wire()
    wire.login()
    wire.send(b"SUB i 1\r\nPUB $SYS.REQ.USER.INFO i 0\r\n\r\nPUB $SYS.REQ.ACCOUNT.PING.STATZ i 0\r\n\r\n")
    wire.expect(rb'MSG i 1 \d+\r\n[^\r]*"data":\{"user":"","account":"\$G","account_name":"\$G"\}\}\r\n')
    wire.expect(rb'MSG i 1 \d+\r\n[^\r]*"acc":"\$G"[^\r]*\r\n')


def test_statsz_comes_by_itself_and_a_farewell_at_the_end(start_edge: Start, start_nats: Start) -> None:
    def transcript(server: Any) -> list[Any]:
        wire = server.wire()
        wire.login('{"user":"s","pass":"s","verbose":false}')
        wire.send(b"SUB $SYS.SERVER.*.STATSZ 1\r\nSUB $SYS.SERVER.*.SHUTDOWN 2\r\n")
        statsz = wire.expect(rb"MSG \S+ 1 +\d+\r\n[^\r]*\r\n")
        server.stop()
        farewell = wire.expect(rb".*MSG \S+ 2 +\d+\r\n[^\r]*\r\n")
        return [json.loads(message.split(b"\r\n")[-2]) for message in (statsz, farewell)]

    ours, theirs = transcript(start_edge(CONFIG)), transcript(start_nats(CONFIG))
    assert [shape(event) for event in ours] == [shape(event) for event in theirs]


def test_lame_duck_mode_is_told(start_edge: Start, start_nats: Start) -> None:
    def transcript(server: Any) -> Any:
        wire = server.wire()
        wire.login('{"user":"s","pass":"s","verbose":false}')
        wire.send(b"SUB $SYS.SERVER.*.LAMEDUCK 1\r\nPING\r\n")
        wire.expect(rb"PONG\r\n")
        server.process.send_signal(signal.SIGUSR2)
        told = wire.expect(rb".*?MSG \S+ 1 +\d+\r\n[^\r]*\r\n")
        return json.loads(told.split(b"\r\n")[-2])

    assert shape(transcript(start_edge(CONFIG))) == shape(transcript(start_nats(CONFIG)))


def test_a_client_is_told_to_go_elsewhere(either: Start) -> None:
    async def main() -> None:
        server = either(CONFIG)
        told = asyncio.Event()

        async def lame_duck() -> None:
            told.set()

        system = await connect(server.url, "s")
        anna = await connect(server.url, "a", lame_duck_mode_cb=lame_duck)
        server_id = (await ask(system, "$SYS.REQ.SERVER.PING.IDZ"))["id"]
        answer = await ask(system, f"$SYS.REQ.SERVER.{server_id}.LDM", json.dumps({"cid": anna.client_id}))
        assert list(answer) == ["server"]
        await asyncio.wait_for(told.wait(), 10)
        await anna.close()
        await system.close()

    asyncio.run(main())


def test_trace_headers_pass_through(either: Start) -> None:
    async def main() -> None:
        nc = await nats.connect(either().url)
        sub = await nc.subscribe("x")
        headers = {
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "Nats-Trace-Dest": "trace.here",
            "Nats-Trace-Only": "false",
            "X-Custom": "1",
        }
        await nc.publish("x", b"hi", headers=headers)
        message = await sub.next_msg(timeout=60)
        assert message.data == b"hi"
        assert message.headers == headers
        await nc.close()

    asyncio.run(main())


LEAF = """
listen: 127.0.0.1:-1
server_name: leaf
accounts {{ SYS {{ users: [{{user: s, password: s}}] }}, A {{ users: [{{user: a, password: a}}] }} }}
system_account: SYS
leafnodes {{ reconnect: "0.1s", remotes: [ {{ url: "nats-leaf://{user}:{user}@127.0.0.1:{port}", account: {account} }} ] }}
"""


def hub_with_leafs(port: int) -> str:
    return CONFIG.replace("server_name: core", "server_name: hub") + f"leafnodes {{ listen: 127.0.0.1:{port} }}"


async def answers(nc: Client, subject: str, wanted: set[str]) -> dict[str, Any]:
    """Ask until all these servers have answered at once: interest takes its time from server to server."""
    while True:
        inbox = nc.new_inbox()
        sub = await nc.subscribe(inbox)
        await nc.publish(subject, b"", reply=inbox)
        found = {}
        try:
            while set(found) != wanted:
                answer = json.loads((await sub.next_msg(timeout=1)).data)
                if "server" in answer:
                    found[answer["server"]["name"]] = answer
            return found
        except NatsTimeout:
            pass
        finally:
            await sub.unsubscribe()


def test_a_hub_and_its_leaf_both_answer_for_their_account(
    start_nats: Start, either: Start, free_port: Callable[[], int]
) -> None:
    async def main() -> None:
        port = free_port()
        hub = start_nats(hub_with_leafs(port), "hub")
        leaf = either(LEAF.format(user="a", account="A", port=port), "leaf")
        both = {"hub", "leaf"}
        for server in (hub, leaf):
            anna = await connect(server.url, "a")
            async with asyncio.timeout(60):
                stats = await answers(anna, "$SYS.REQ.ACCOUNT.PING.STATZ", both)
                infos = await answers(anna, "$SYS.REQ.USER.INFO", both)
            assert [stats[name]["data"]["account_statz"][0]["leafnodes"] for name in sorted(both)] == [1, 1]
            assert {info["data"]["account"] for info in infos.values()} == {"A"}
            own = infos["hub" if server is hub else "leaf"]["data"]
            assert own == {"user": "a", "account": "A", "account_name": "A"}
            await anna.close()

    asyncio.run(main())


def test_a_leaf_of_the_system_account_is_one_of_the_servers(
    start_nats: Start, either: Start, free_port: Callable[[], int]
) -> None:
    async def main() -> None:
        port = free_port()
        hub = start_nats(hub_with_leafs(port), "hub")
        either(LEAF.format(user="s", account="SYS", port=port), "leaf")
        system = await connect(hub.url, "s")
        async with asyncio.timeout(60):
            found = await answers(system, "$SYS.REQ.SERVER.PING", {"hub", "leaf"})
            server_id = found["leaf"]["server"]["id"]
            await answers(system, f"$SYS.REQ.SERVER.{server_id}.STATSZ", {"leaf"})
        await system.close()

    asyncio.run(main())


def test_a_hub_that_comes_and_goes_is_told(start_nats: Start, either: Start, free_port: Callable[[], int]) -> None:
    async def main() -> None:
        port = free_port()
        leaf = either(LEAF.format(user="a", account="A", port=port), "leaf")
        system = await connect(leaf.url, "s")
        events: dict[str, asyncio.Queue[Any]] = {}
        for name in ("CONNECT", "DISCONNECT", "SERVER.CONNS"):
            events[name] = queue = asyncio.Queue()

            async def hear(message: Msg, queue: asyncio.Queue[Any] = queue) -> None:
                queue.put_nowait(json.loads(message.data))

            await system.subscribe(f"$SYS.ACCOUNT.A.{name}", cb=hear)
        await system.flush()
        hub = start_nats(hub_with_leafs(port), "hub")
        async with asyncio.timeout(60):
            came = await events["CONNECT"].get()
            await asyncio.get_running_loop().run_in_executor(None, hub.stop)
            went = await events["DISCONNECT"].get()
            counts = [(await events["SERVER.CONNS"].get())["leafnodes"]]
            while counts[-1]:
                counts.append((await events["SERVER.CONNS"].get())["leafnodes"])
        assert counts[0] == 1
        for event in (came, went):
            assert event["client"]["kind"] == "Leafnode"
            assert (event["client"]["acc"], event["client"]["host"]) == ("A", "127.0.0.1")
        assert went["reason"] in GONE
        await system.close()

    asyncio.run(main())


TRACED = """
listen: 127.0.0.1:-1
server_name: core
jetstream {{ store_dir: "{store}" }}
accounts {{
  SYS {{ users: [{{user: s, password: s}}] }}
  A {{
    users: [
      {{user: a, password: a}}
      {{user: p, password: p, permissions: {{publish: {{allow: ["x.>", "trace.>"]}}, subscribe: [">"]}}}}
    ]
    jetstream: enabled
    mappings {{ "m.1": "x.9" }}
    imports: [
      {{service: {{account: B, subject: "svc.1"}}, to: "imp.1"}}
      {{service: {{account: B, subject: "svc.2"}}, to: "imp.2"}}
    ]
  }}
  B {{ users: [{{user: b, password: b}}], exports: [{{service: "svc.1"}}, {{service: "svc.2", allow_trace: true}}] }}
}}
system_account: SYS
"""


def test_a_traced_message_shows_its_way(start_edge: Start, start_nats: Start, tmp_path: Any) -> None:
    async def transcript(server: Any) -> list[Any]:
        anna, bob = await connect(server.url, "a", name="anna"), await connect(server.url, "a", name="bob")
        limited, other = await connect(server.url, "p"), await connect(server.url, "b", name="other")
        traces = await bob.subscribe("trace.1")
        received = []

        async def hear(message: Msg) -> None:
            received.append((message.subject, message.headers))

        await bob.subscribe("x.>", cb=hear)
        await bob.subscribe("x.1", queue="q", cb=hear)
        await other.subscribe("svc.*", cb=hear)
        await anna.jetstream().add_stream(name="S", subjects=["s.>"])
        await bob.flush()
        await other.flush()
        told = []
        for sender, subject, only in (
            (anna, "x.1", ""),
            (anna, "nobody", ""),
            (anna, "x.1", "true"),
            (anna, "x.1", "maybe"),
            (anna, "s.1", ""),
            (anna, "m.1", ""),
            (limited, "nope", ""),
            (anna, "imp.1", ""),
            (anna, "imp.2", ""),
            (anna, "imp.1", "true"),
            (anna, "imp.2", "true"),
        ):
            headers = {"Nats-Trace-Dest": "trace.1", "X-Kept": "1"} | ({"Nats-Trace-Only": only} if only else {})
            await sender.publish(subject, b"hello", headers=headers)
            trace = json.loads((await traces.next_msg(timeout=60)).data)
            for event in trace["events"]:
                assert event.pop("ts")
                assert isinstance(event.pop("cid", 0), int)
            assert list(trace) == ["server", "request", "events"]
            told.append((subject, only, trace["request"], trace["events"]))
        await other.flush()
        for client in (anna, bob, limited, other):
            await client.close()
        return [told, sorted((subject, sorted(headers)) for subject, headers in received)]

    ours, theirs = (
        asyncio.run(transcript(start(TRACED.format(store=tmp_path / name))))
        for start, name in ((start_edge, "edge"), (start_nats, "nats"))
    )
    for our, their in zip(ours[0], theirs[0], strict=True):
        assert our == their
    assert ours[1] == theirs[1]


def test_what_the_system_account_exports_reaches_operators_elsewhere(either: Start) -> None:
    async def main() -> None:
        server = either("""
            listen: 127.0.0.1:-1
            server_name: core
            accounts {
              SYS {
                users: [{user: s, password: s}]
                exports: [
                  {service: "$SYS.DEBUG.SUBSCRIBERS"}, {service: "$SYS.REQ.SERVER.PING.STATSZ"}
                  {stream: "$SYS.ACCOUNT.>"}
                ]
              }
              OPS {
                users: [{user: o, password: o}]
                imports: [
                  {service: {account: SYS, subject: "$SYS.DEBUG.SUBSCRIBERS"}}
                  {service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.STATSZ"}, to: "ops.ping"}
                  {stream: {account: SYS, subject: "$SYS.ACCOUNT.>"}, prefix: "told"}
                ]
              }
              A { users: [{user: a, password: a}] }
            }
            system_account: SYS
        """)
        ops = await connect(server.url, "o")
        told = await ops.subscribe("told.$SYS.ACCOUNT.A.CONNECT")
        await ops.subscribe("told.x")
        await ops.flush()
        assert await ask(ops, "$SYS.DEBUG.SUBSCRIBERS", "told.>") == 2
        assert list(await ask(ops, "ops.ping")) == ["server", "statsz"]
        anna = await connect(server.url, "a")
        assert json.loads((await told.next_msg(timeout=60)).data)["client"]["user"] == "a"
        await anna.close()
        await ops.close()

    asyncio.run(main())


def test_mqtt_clients_come_and_go(either: Start, free_port: Callable[[], int], tmp_path: Any) -> None:
    port = free_port()

    def speak(password: bytes, *packets: bytes) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as device:
            device.sendall(encode(Connect("sensor1", True, 60, None, "a", password)))
            assert device.recv(4)
            for packet in packets:
                device.sendall(packet)
            while packets and device.recv(4096):
                pass

    async def main() -> None:
        more = f'jetstream {{ store_dir: "{tmp_path}" }}\nmqtt {{ listen: "127.0.0.1:{port}" }}\n'
        server = either(CONFIG.replace("A { users", "A { jetstream: enabled, users") + more)
        system = await connect(server.url, "s")
        subjects = ("$SYS.ACCOUNT.A.CONNECT", "$SYS.ACCOUNT.A.DISCONNECT", "$SYS.SERVER.*.CLIENT.AUTH.ERR")
        subs = [await system.subscribe(subject) for subject in subjects]
        await system.flush()
        await asyncio.to_thread(speak, b"a", encode(Signal(Kind.DISCONNECT)))
        await asyncio.to_thread(speak, b"wrong")
        came, went, refused = [json.loads((await sub.next_msg(timeout=60)).data) for sub in subs]
        told = {"host": "127.0.0.1", "user": "a", "kind": "Client", "client_type": "mqtt", "client_id": "sensor1"}
        for event in (came, went, refused):
            client = event["client"]
            assert {name: client[name] for name in told} == told
        assert set(came["client"]) == {*told, "start", "id", "acc", "name_tag"}
        assert set(went["client"]) - {"rtt"} == {*told, "start", "stop", "id", "acc", "name_tag"}
        assert went["reason"] in GONE
        assert refused["reason"] == "Authentication Failure"
        await system.close()

    asyncio.run(main())


def test_a_trace_goes_on_over_the_leaf(start_nats: Start, either: Start, free_port: Callable[[], int]) -> None:
    async def main() -> None:
        port = free_port()
        hub = start_nats(hub_with_leafs(port), "hub")
        leaf = either(LEAF.format(user="a", account="A", port=port), "leaf")
        clients = {"hub": await connect(hub.url, "a"), "leaf": await connect(leaf.url, "a")}
        for here, there in (("leaf", "hub"), ("hub", "leaf")):
            receiver = await clients[there].subscribe(f"to.{there}")
            traces = await clients[here].subscribe(f"trace.{here}")
            await clients[there].flush()
            await clients[here].flush()
            async with asyncio.timeout(60):
                found: dict[str, Any] = {}
                while set(found) != {"hub", "leaf"} or len(found[here]["events"]) < 2:  # interest takes its time
                    found.clear()
                    await clients[here].publish(f"to.{there}", b"x", headers={"Nats-Trace-Dest": f"trace.{here}"})
                    try:
                        while set(found) != {"hub", "leaf"}:
                            trace = json.loads((await traces.next_msg(timeout=0.5)).data)
                            found[trace["server"]["name"]] = trace
                    except NatsTimeout:
                        pass
            assert (await receiver.next_msg(timeout=60)).headers["Nats-Trace-Hop"] == "1"
            assert found[here]["hops"] == 1
            [left] = [event for event in found[here]["events"] if event["type"] == "eg"]
            assert (left["kind"], left["name"], left["hop"], left.get("error")) == (4, there, "1", None)
            assert found[there]["request"]["header"]["Nats-Trace-Hop"] == ["1"]
            came, delivered = found[there]["events"]
            assert (came["type"], came["kind"], came["name"]) == ("in", 4, here)
            assert (delivered["type"], delivered["sub"]) == ("eg", f"to.{there}")
        for client in clients.values():
            await client.close()

    asyncio.run(main())
