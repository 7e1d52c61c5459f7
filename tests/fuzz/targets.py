"""All that is fuzzed, by name."""

from edge.core.jwt import encode
from edge.jetstream.archive import MESSAGE, RECORD
from edge.protocol.proxy import BINARY_PREFIX
from firmware_bridge.frame import Data, Hello, Result
from firmware_bridge.frame import encode as frame
from firmware_bridge.payload import CommandResult, Identity, Telemetry, write_identity, write_result, write_telemetry
from tests.fuzz import documents, streams
from tests.fuzz.target import Target, stream

CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"protocol":1}\r\n'
NATS_WORDS = (
    b"CONNECT ", b"PUB ", b"HPUB ", b"SUB ", b"UNSUB ", b"PING\r\n", b"PONG\r\n", b"INFO ", b"+OK\r\n", b"-ERR ", b"\r\n",
    b"NATS/1.0\r\n\r\n", b"a.b", b"a.*", b">", b" 12 14\r\n", b"$SYS.REQ.", b'"user":"u"', b'"pass":"p"', b'"verbose":true',
    b'"name":"\\ud800"', b"\xff",
)  # fmt: skip
NATS_SEEDS = (
    CONNECT + b"SUB a.* q 1\r\nPUB a.b r 2\r\nhi\r\nHPUB a.b 12 14\r\nNATS/1.0\r\n\r\nhi\r\nUNSUB 1 1\r\nPING\r\n",
    CONNECT + b"SUB a.b 1\r\n" + b"PUB a.b 2\r\nhi\r\n" * 6 + b"PUB a.b x 0\r\n\r\n" * 3,
    b'CONNECT {"user":"u","pass":"p"}\r\nSUB a.> 1\nPUB a.no 1\nx\r\nPUB b 1\r\ny\r\nCONNECT {"echo":false}\r\n',
    b'{"verbose":true}+OK\r\nINFO {}\r\nPONG\r\n',
)
LEAF = (
    b'INFO {"connect_info":true,"remote_account":"A","import":{"allow":["a.>"]},"export":{"deny":["b"]}} \r\nPONG\r\n'
    b"LS+ a.*\r\nLS+ q.work g 2\r\nLMSG a.b 2\r\nhi\r\nHMSG a.b | g 12 14\r\nNATS/1.0\r\n\r\nhi\r\nLMSG a.b + r g h 0\r\n\r\n"
    b"LS- q.work g\r\n-ERR 'Permissions Violation for Publish to \"a\"'\r\nPING\r\n"
)
LEAF_HUB = (
    b'INFO {"compression":"off"} \r\nCONNECT {"name":"e","cluster":"c","version":"2.12.0","headers":true,"remote_account":"A",'
    b'"deny_pub":["no.>"]}\r\nLS+ a.*\r\nLS+ q.work g 2\r\nLMSG a.b 2\r\nhi\r\nLMSG a.b 2\r\nhi\r\nLMSG a.b 2\r\nhi\r\n'
    b"HMSG a.b | g 12 14\r\nNATS/1.0\r\n\r\nhi\r\nLMSG a.b + r g h 0\r\n\r\nLS- q.work g\r\n-ERR 'x'\r\nPING\r\nPONG\r\n"
)
LEAF_WORDS = (
    b"INFO ", b"LS+ ", b"LS- ", b"LMSG ", b"HMSG ", b" | ", b" + ", b"$LDS.", b"-ERR '", b"'\r\n", b'"max_payload":', b'"nonce":',
    b'"tls_required":true', b'"leafnode_urls":["', b'"ldm":true', b"\r\n", b"g", b"\\ud800", b"\xff",
)  # fmt: skip
S2 = b"\x00\x11\x00\x00\xaf\x0b3o\x14\x10hello\x05\x05\x05\x00\x05\x00\x01\x08\x00\x00\xb1od\x17more"
GRANT = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n\x82\x02hi"
MQTT = (
    b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c\x82\x06\x00\x01\x00\x01t\x01\x32\x06\x00\x01t\x00\x07x"
    b"\x34\x06\x00\x01t\x00\x08x\x62\x02\x00\x08\x40\x02\x00\x01\xc0\x00\xe0\x00"
)
MQTT_WILL = b"\x10\x1d\x00\x04MQTT\x04\xee\x00\x3c\x00\x01c\x00\x01w\x00\x02by\x00\x01u\x00\x01p\x00\x00\x00"
FRAMES = b"\x82\x85\x01\x02\x03\x04QKMC\x0b\x89\x80\x00\x00\x00\x00\x88\x82\x00\x00\x00\x00\x03\xe8"
HTTP = b"GET /connz?subs=1 HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
HTTP_WORDS = (
    b"GET ", b"HEAD ", b"POST ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"Host: x\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n",
    b"Content-Length: ", b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"%2e", b"0\r\n\r\n",
)  # fmt: skip
SERIAL = b"\0" + b"".join(
    map(frame, (
        Hello(1, 1, 7, 0, write_identity(Identity("pump", "pump", "1.0"))),
        Data(1, 0, write_telemetry(Telemetry("t", 21.5, "C", 7))), Data(1, 1, b"\xa1\x01\xf9"),
        Result(1, 1, write_result(CommandResult(0, {"a": [1, None, b"x"]}))),
    ))
)  # fmt: skip
CONFIG = (
    b"listen: 127.0.0.1:4222\naccounts { A { users [{user: a, password: $2a$, permissions {publish: {deny: [\"a.>\"]}}}],"
    b" exports [{service: a.*}], mappings {a.*: b.$1} }, B { imports [{service {account: A, subject: a.1}, to: x}] } }\n",
    b'jetstream { store_dir: "/x", max_file: 1GB }\nleafnodes { remotes [{url: "nats://u:p@h:7422", account: $G}] }\nX: 5\nport: $X\n',
    b"authorization { users = [ {user: b, nkey: U}, ], timeout: 2.5 } # c\nmax_payload: 64k; ping_interval: '2m'\n(\n)\n",
    b"tls { cert_file: c, key_file: k, verify: true }\nwebsocket { port: 80, no_tls: true }\nmqtt {port: 1883}\nserver_name: e\n",
    b'uplink { T: { subjects: ["t.>"], hub_stream: T, max_bytes: 2GB } }\nlog_file: "x"\nhttp: 8222\noperator: /x.jwt\n',
)
CONFIG_WORDS = (
    b"{", b"}", b"[", b"]", b": ", b" = ", b"\n", b"'", b'"', b"(\n", b"\n)\n", b"$X", b"true", b"1GB", b"2.5", b"port", b"users", b"nkey",
    b"accounts", b"exports", b"imports", b"mappings", b"permissions", b"default_permissions", b"jetstream", b"leafnodes",
    b"limits", b"resolver_preload", b"# c\n", b"2026-01-02T03:04:05Z", b"-1", b"\\x41",
)  # fmt: skip
OTHER = documents.SIGNER.public.encode()
CLAIMS = (
    b'{"iss":"A","sub":"U","nats":{"type":"user","version":2,"pub":{"allow":["a.>"]},"resp":{"max":1,"ttl":5}},"exp":1,"nbf":2}',
    b'{"limits":{"conn":1,"subs":-1,"mem_storage":1,"tiered_limits":{"R1":{}}},"exports":[{"subject":"a.*","type":"service",'
    b'"token_req":true,"account_token_position":2,"service_latency":{"sampling":50,"results":"l"}},{"subject":"s.*.*","type":"stream"}],"imports":['
    b'{"subject":"s.*.1","account":"' + OTHER + b'","type":"stream","local_subject":"b.$1"},'
    b'{"subject":"a.x","account":"' + OTHER + b'","type":"service","local_subject":"c","token":"x"}],"mappings":{"a":[{"subject":"b","weight":50}]},'
    b'"signing_keys":["A",{"key":"A","template":{}}],"revocations":{"*":5},"authorization":{"auth_users":["U"]}}',
    b'{"src":["10.0.0.0/8"],"times":[{"start":"08:00:00","end":"17:00:00"}],"times_location":"Europe/Zurich","subs":1,'
    b'"allowed_connection_types":["STANDARD"],"bearer_token":true,"sub":{"deny":["{{tag(a)}}.{{name()}}"]}}',
)
CLAIMS_WORDS = (
    b'"nats":{', b'"type":"user"', b'"type":"account"', b'"version":2', b'"pub":{"allow":[', b'"sub":{"deny":[', b"]}", b"null", b"-1",
    b"{{tag(a)}}", b"{{account-tag(a)}}", b'"limits":{', b'"exports":[{', b'"imports":[{', b'"weight":', b'"cluster":"', b'"src":"', b"\\udc00",
)  # fmt: skip
JETSTREAM = (
    b'$JS.API.STREAM.CREATE.N||{"name":"N","subjects":["n.>"],"retention":"workqueue","max_msgs_per_subject":1}\0n.a|NATS/1.0\r\n'
    b"Nats-Msg-Id: 1\r\nNats-Expected-Last-Sequence: 0\r\nNats-TTL: 5s\r\n\r\n|x\0$JS.API.STREAM.INFO.N||{\"subjects_filter\":\">\"}",
    b'$JS.API.CONSUMER.CREATE.S.D.s.a||{"stream_name":"S","config":{"durable_name":"D","filter_subject":"s.a","ack_wait":1,'
    b'"backoff":[1,2],"max_deliver":3}}\0$JS.API.CONSUMER.MSG.NEXT.S.C||{"batch":5,"expires":1000000000,"idle_heartbeat":1}\0'
    b'$JS.ACK.S.C.1.1.1.1.0||-NAK {"delay":5}\0$JS.ACK.S.C.1.1.1.1.0||+NXT 2',
    b'$JS.API.STREAM.MSG.GET.S||{"last_by_subj":"s.*"}\0$JS.API.STREAM.PURGE.S||{"filter":"s.a","keep":1}\0$JS.API.DIRECT.GET.S||{"multi_last":'
    b'["s.>"],"batch":2}\0$JS.API.STREAM.MSG.DELETE.S||{"seq":1}\0$JS.API.STREAM.UPDATE.S||{"name":"S","subjects":["s.>","u"]}',
)
JETSTREAM_WORDS = (
    b"$JS.API.", b"STREAM.", b"CONSUMER.", b"CREATE.", b"UPDATE.", b"INFO.", b"DELETE.", b"LIST", b"NAMES", b"$JS.ACK.S.C.1.1.1.1.0", b"\0", b"||",
    b'"name":"S"', b'"config":{', b'"subjects":["', b'"sources":[{', b'"mirror":{', b'"opt_start_seq":', b'"opt_start_time":"2026-',
    b'"deliver_policy":"', b'"republish":{', b'"subject_transform":{', b'"metadata":{', b'"deliver_subject":"', b"+ACK", b"-NAK", b"+TERM",
    b"\\ud800", b"\xff",
)  # fmt: skip
SYSTEM = (b'{"server_name":"e","cluster":"c","tags":["a"],"limit":5,"cid":7,"filter_subject":"a.>"}', b"subs=1&limit=5&state=closed&sort=rtt")
USER_JWT = encode({"sub": documents.USER.public, "nats": {"type": "user"}}, documents.ACCOUNT).encode()
CREDS = (
    b"-----BEGIN NATS USER JWT-----\nx.y.z\n------END NATS USER JWT------\n-----BEGIN USER NKEY SEED-----\n"
    + documents.USER.seed.encode() + b"\n------END USER NKEY SEED------\n"
)  # fmt: skip
ARCHIVE_PARTS = (
    b'S{"config":{"name":"S"},"state":{"last":9},"consumers":1}', b'C{"name":"c","config":{"durable":"c"},"state":"[[],[]]"}',
    b"M" + MESSAGE.pack(1, 5, 1, 0) + b"s.x", b'E{"messages":1}',
)  # fmt: skip
ARCHIVE = b"".join(RECORD.pack(part[0], len(part) - 1) + part[1:] for part in ARCHIVE_PARTS)
ARCHIVE_WORDS = (
    b"S", b"C", b"M", b"E", b"\0\0\0", b"\x0e\0\0\0", b"\xff\xff\xff\xff", b'{"messages":1}', b'"state":', b"null", b"\x9e",
    b"\xff\x06\0\0S2sTwO",
)  # fmt: skip

TARGETS: dict[str, Target] = {
    "nats": stream(streams.nats, NATS_SEEDS, NATS_WORDS),
    "nats-users": stream(streams.nats_with_users, NATS_SEEDS, NATS_WORDS),
    "leaf": stream(streams.leaf, (LEAF,), LEAF_WORDS),
    "leaf-hub": stream(streams.leaf_hub, (LEAF_HUB,), (*LEAF_WORDS, b"CONNECT ", b'"is_hub":true', b'"isolate":true', b'"deny_pub":["')),
    "s2": stream(streams.s2, (S2,), (b"\x00", b"\x01", b"\xfe", b"\x05\x00", b"\x15\x00", b"\x1d\x00", b"\xff\x06\x00\x00S2sTwO")),
    "websocket-asker": stream(streams.websocket_asker, (GRANT,), (*HTTP_WORDS, b"HTTP/1.1 101 S\r\n", b"Sec-WebSocket-Accept: ", b"\x82\x05")),
    "mqtt": stream(streams.mqtt, (MQTT, MQTT_WILL), (b"\x00\x04MQTT\x04", b"\x00\x01t", b"\x00\x03$SY", b"\x82", b"\x32", b"\x62\x02")),
    "websocket": stream(streams.websocket, (streams.UPGRADE,), (*HTTP_WORDS, b"Sec-WebSocket-", b"Origin: ", b"Cookie: j=", b"/mqtt")),
    "websocket-frames": stream(streams.websocket_frames, (FRAMES,), (b"\x82\x80", b"\xc2\xfe", b"\x88\x82", b"\x89\x80", b"\x03\xe8")),
    "proxy": stream(
        streams.proxy,
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1111 4222\r\n", BINARY_PREFIX + b"\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x04\x57\x10\x7e"),
        (b"PROXY ", b"TCP6 ", b"UNKNOWN", b"::1", b" 65536", b"\r\n", BINARY_PREFIX, b"\x20\x00", b"\x21\x21\x00\x24"),
    ),
    "http": stream(streams.http, (HTTP,), HTTP_WORDS),
    "serial": stream(streams.serial, (SERIAL,), (b"\0", b"\x01\x01", b"\xa1\x01", b"\xbf", b"\xff", b"\xfb", b"\x82")),
    "config": Target(documents.config, CONFIG, CONFIG_WORDS),
    "flags": Target(documents.flags, (b"-p\n4222\n--js\n-sd=/x\n--signal=ldm=12\n-DV",), (b"\n", b"-", b"--", b"=", b"port", b"cluster", b"-1")),
    "subjects": Target(
        documents.subjects,
        (b"a.*.>\na.b.c", b"orders.*.*\no.{{partition(3,1)}}.$2", b"a.*\n{{splitfromleft(1,2)}}.{{slicefromright(1,2)}}.{{left(1,1)}}"),
        (b".", b"*", b">", b"$1", b"{{wildcard(1)}}", b"{{partition(3)}}", b"{{split(1,-)}}", b"{{random(5)}}", b"\n"),
    ),
    "headers": Target(documents.headers, (b"NATS/1.0 503 No\r\nA: b\r\nA:c\r\n\r\n", b"NATS/1.0\r\n\r\n"), (b"\r\n", b":", b"NATS/1.0", b"A: ")),
    "jwt": Target(documents.jwt, (*CLAIMS, USER_JWT), CLAIMS_WORDS),
    "nkeys": Target(documents.nkeys, (documents.USER.public.encode(), documents.USER.seed.encode(), CREDS), (b"SU", b"=", b"-----BEGIN ", b"\n")),
    "jetstream": Target(documents.jetstream, JETSTREAM, JETSTREAM_WORDS),
    "archive": Target(documents.archive, (ARCHIVE, ARCHIVE[:60]), ARCHIVE_WORDS),
    "system": Target(documents.system, SYSTEM, (b'"', b":", b"null", b"true", b"[", b"-1", b"&", b"=", b"%zz", b"subs=detail")),
}
