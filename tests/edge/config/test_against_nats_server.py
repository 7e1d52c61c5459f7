"""The same texts to us and to the real nats-server: what it accepts we accept, what it refuses we refuse.

Where we differ on purpose the table says so, with the reason.
"""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import ConfigError

SNIPPETS = [
    # separators and terminators
    "port 4222",
    "port: 4222",
    "port = 4222",
    "port=4222",
    "port:4222",
    "port :4222",
    "\tport\t:\t4222\t",
    "port\n4222",
    "port:\n4222",
    "port: 4222; debug: true",
    "port: 4222, debug: true",
    "port: 4222 debug: true",
    "port: 4222,\ndebug: true\n",
    "port: 4222\r\ndebug: true\r\n",
    "port: 4222;;",
    "port",
    "port:",
    ": 4222",
    "= 4222",
    "",
    "\n\n # nothing\n",
    "debug true // comment",
    "debug true # comment",
    "debug true #",
    "// comment\nport 4222",
    "/ comment\nport 4222",
    # JSON
    '{"port": 4222}',
    '{"port": 4222, "debug": true}\n',
    '{\n  "port": 4222,\n  "jetstream": {"store_dir": "/x", "domain": "d"}\n}\n',
    "{ port: 4222 } # end",
    '{"port": 4222',
    "{}",
    # maps and lists
    "jetstream { store_dir: x }",
    "jetstream: { store_dir: x }",
    "jetstream = { store_dir = x }",
    "jetstream {store_dir: x}",
    "jetstream\n{\n store_dir: x\n}\n",
    "jetstream { store_dir: x, domain:\n a }",
    "jetstream { store_dir: x; domain: a; }",
    "jetstream { store_dir: x,, domain: a }",
    "jetstream { store_dir: x domain: a }",
    "jetstream { store_dir: x",
    "jetstream { , store_dir: x }",
    "jetstream { ] }",
    "jetstream { # comment\n store_dir: x // more\n }",
    "jetstream{ store_dir: x }",
    "accounts { A {}, B {} }",
    "accounts { A {} B {} }",
    "accounts { A {}\n B {} }",
    "accounts: [A, B]",
    "accounts: [A B]",
    "accounts: [\n A\n B\n]",
    "accounts: [\n A,\n B,\n]",
    "accounts: [\n A\n , B\n]",
    "accounts: [A,,B]",
    "accounts: [,A]",
    "accounts: []",
    "accounts: [A; B]",
    "accounts: [A",
    "accounts: [A # one\n, B]",
    "accounts: [A // one\n B # two\n]",
    # strings
    "server_name: edge-1",
    "server_name: 'edge-1'",
    'server_name: "edge-1"',
    'server_name: "a b"',
    r'log_file: "a\tb"',
    r'server_name: "a\x41b"',
    r'server_name: "a\x4"',
    r'server_name: "a\q"',
    r"server_name: a\q",
    r"server_name: a\\q",
    r"server_name: 'a\q'",
    'server_name: "open',
    "server_name: 'open",
    'log_file: "two\nlines"',
    "log_file: 'it is'",
    "log_file: /var/log/x#1.log",
    "log_file: //x",
    "log_file: #x",
    "log_file: .x",
    "log_file: ./x",
    "log_file: x.y",
    "log_file: (\nblock\n)\n",
    "log_file: (\n a ) b\n)",
    "log_file: ( block )",
    "log_file: (\nopen",
    '"port": 4222',
    "'port': 4222",
    '"port: 4222',
    # numbers, and what begins like one
    "max_payload: 64k",
    "max_payload: 64K",
    "max_payload: 64kb",
    "max_payload: 64KiB",
    "max_payload: 64Ki",
    "max_payload: 1m",
    "max_payload: 1MB",
    "max_payload: 64kx",
    "max_payload: 64x",
    "log_file: 1k1x",
    'max_payload: "64KB"',
    "max_payload: 1.5",
    "max_payload: 1.",
    "max_payload: -",
    "max_payload: -x",
    "max_payload: 99999999999999999999",
    "max_pending: 64MB",
    "max_pending: 1g",
    "port: -1",
    "port: 1-2",
    "log_file: 2026-11-23T04:05:06Z",
    "log_file: 2026-13-23T04:05:06Z",
    "log_file: 2026-11-23",
    "host: 127.0.0.1",
    "host: 10.0.0.1/8",
    "listen: 127.0.0.1:4222",
    "listen: 4222abc",
    # booleans
    "debug: true",
    "debug: TRUE",
    "debug: yes",
    "debug: On",
    "debug: off",
    "debug: maybe",
    'debug: "true"',
    "debug: 1",
    # variables
    "a: 4223\nport: $a",
    "a: 4223\nport: $b",
    "port: $a\na: 4223",
    "port: $PORT_FROM_ENV",
    "server_name: $WORD",
    "server_name: $LOOP",
    "server_name: $TWO",
    "server_name: $EMPTY",
    "accounts: $MANY",
    'server_name: "$NOT_A_VARIABLE"',
    "jetstream { dir: x, store_dir: $dir }",
    "dir: x\njetstream { store_dir: $dir }",
    "jetstream { dir: x }\nlog_file: $dir",
    "t { user: a, password: b }\nauthorization: $t",
    # includes
    "include part.conf",
    "include ./part.conf",
    'include "./part.conf"',
    "include './part.conf'",
    "INCLUDE part.conf",
    "include part.conf; debug: true",
    "include nothing.conf",
    "include open.conf",
    "include x.conf {",
    "include 5",
    "include { }",
    "include\n",
    "include: 5",
    "jetstream { include missing.conf }",
    "include part.conf\nport: $max_payload",
    # keys
    "Port: 4222",
    "PORT: 4222",
    "prot: 4222",
    "jetstream { stor_dir: x }",
    "unknown { a: b }",
    "used: 1\nport: $used",
    # types
    'port: "4222"',
    "port: true",
    "server_name: 5",
    "server_name: { a: b }",
    "jetstream: on",
    "jetstream: enabled",
    "jetstream: maybe",
    "jetstream: [a]",
    "jetstream { enabled: enabled }",
    "jetstream { max_file: 1GB, max_mem: \"1G\" }",
    "jetstream { max_file: \"x\" }",
    "jetstream { sync_interval: always }",
    'jetstream { sync_interval: "2m" }',
    "jetstream { sync_interval: 10 }",
    "jetstream { store_dir: a }\nstore_dir: b",
    "jetstream { limits { max_ack_pending: 5 } }",
    "jetstream { strict: true }",
    "mqtt: on",
    "mqtt { port: 1883 }",
    "mqtt { listen: 127.0.0.1:1883, ack_wait: \"1m\", max_ack_pending: 100 }",
    "mqtt { max_ack_pending: 70000 }",
    "mqtt { prot: 1883 }",
    "mqtt { authorization { user: a, password: b, timeout: 3 } }",
    "http: 8222",
    "http: localhost:8222",
    "http: localhost",
    "http_port: 8222",
    "monitor_port: 8222",
    "listen: 4222",
    "listen: nohost",
    "listen: 0.0.0.0",
    'listen: "[::1]:4222"',
    "listen: [::1]:4222",
    'listen: ":4222"',
    "listen: *:4222",
    "listen: a:b",
    # durations
    'ping_interval: "2m"',
    "ping_interval: 90s",
    "ping_interval: 20",
    "ping_interval: 2m",
    'ping_interval: "2"',
    'ping_interval: "1h2m3.5s"',
    'ping_interval: "x"',
    "ping_interval: true",
    'write_deadline: "250ms"',
    # authorization
    "authorization { user: a, password: b }",
    "authorization { user: a, pass: b, timeout: 1.5 }",
    "authorization { token: t }",
    "authorization { user: a, password: b, token: t }",
    "authorization { token: t, users: [] }",
    "authorization { user: a, users: [{user: b}] }",
    "authorization { users: [{user: a, password: b}] }",
    "authorization { users: [{password: b}] }",
    "authorization { users: [a] }",
    "authorization { users: {user: a} }",
    "authorization { users: [{user: a, password: 5}] }",
    "authorization { users: [{user: a}], default_permissions: {publish: x} }",
    "authorization: on",
    "authorization { bogus: 1 }",
    "authorization { users: [{user: a, permissions: {publish: x, subscribe: [y, 'z.>']}}] }",
    "authorization { users: [{user: a, permissions: {publish: {allow: x, deny: [y]}}}] }",
    "authorization { users: [{user: a, permissions: {publish: {alow: x}}}] }",
    "authorization { users: [{user: a, permissions: {pub: a..b}}] }",
    "authorization { users: [{user: a, permissions: {pub: 'a b'}}] }",
    "authorization { users: [{user: a, permissions: on}] }",
    "authorization { user: a, password: b, timeout: \"2s\" }",
    # accounts
    "accounts { A { users: [{user: a, password: b}], jetstream: enabled } }",
    "accounts { A { jetstream: {max_mem: 1G, max_file: 10GB, max_streams: 5, max_consumers: 5} } }",
    "accounts { A { jetstream: {bogus: 1} } }",
    "accounts { A { bogus: 1 } }",
    "accounts { A: [x] }",
    'accounts { "$G": {} }',
    "accounts { $SYS: { users: [{user: a}] } }",
    "accounts { A: {users: [{user: a}]}, B: {users: [{user: a}]} }",
    "authorization { token: t }\naccounts { A: {users: [{user: a}]} }",
    "accounts: [A, A]",
    "authorization { users: [{user: a}, {user: a}] }",
    "jetstream { store_dir: }",
    "log_file: it's",
    "accounts { A: {} }\nsystem_account: A",
    # leafnodes
    'leafnodes { remotes: [ {url: "nats-leaf://a:b@h:7422"} ] }',
    "leafnodes { remotes = [ {url: nats-leaf://h} ] }",
    "leafnodes { remotes [ {urls: [\"nats-leaf://h:1\", \"nats://x\"], deny_imports: [\"a.>\"], deny_exports: b} ] }",
    "leafnodes { remotes [ {url: nats-leaf://h, deny_imports: a..b} ] }",
    "leafnodes { remotes [ {url: 5} ] }",
    "leafnodes { remotes [ {ulr: nats-leaf://h} ] }",
    "leafnodes { remotes {url: nats-leaf://h} }",
    "leafnodes { remotes [ h ] }",
    "leafnodes: on",
    'leafnodes { reconnect: "2s", remotes: [{url: "nats-leaf://h", no_randomize: true, hub: false}] }',
    "leafnodes { remotes [ {url: nats-leaf://h, hub: true, isolate: true, request_isolation: true} ] }",
    "leafnodes { port: 7422, advertise: 'gw:7422', no_advertise: true, isolate: true, write_deadline: '5s' }",
    "leafnodes { port: 7422, authorization { user: u, password: p, timeout: 0.5 } }",
    "leafnodes { port: 7422, authorization { account: A, users: [{user: u, pass: p, account: A}] } }\naccounts { A {} }",
    "leafnodes { port: 7422, authorization { users: [{user: u, nkey: x}] } }",
    "leafnodes { port: 7422, authorization { user: u, users: [{user: v}] } }",
    "leafnodes { port: 7422, authorization { users: [{user: v}, {user: v}] } }",
    "leafnodes { port: 7422, authorization { nkey: UX } }",
    "leafnodes { port: 7422, authorization { token: x } }",
    "leafnodes { port: 7422, min_version: 2.7.0 }",
    "leafnodes { port: 7422, min_version: v2.10.0 }",
    "leafnodes { port: 7422, write_timeout: close }",
    "leafnodes { port: 7422, write_timeout: never }",
    "leafnodes { port: 7422, compression { mode: s2_best } }",
    "leafnodes { remotes [ {url: \"wss://h\", ws_compression: true, ws_no_masking: true} ] }",
    "leafnodes { remotes [ {urls: [\"ws://a/x\", \"ws://b:80\"], websocket_compress: false} ] }",
    "leafnodes { remotes [ {url: nats://h, compression: s2_better}, {url: nats://h, account: $SYS} ] }",
    "leafnodes { remotes [ {url: nats://h, compression: off} ] }",
    'leafnodes { remotes [ {url: nats://h, compression { mode: auto, rtt_thresholds: ["0s", "20ms"] } } ] }',
    'leafnodes { remotes [ {url: nats://h, compression { mode: auto, rtts: ["x"] } } ] }',
    "leafnodes { remotes [ {url: nats://h, compression { modus: auto } } ] }",
    "leafnodes { remotes [ {url: nats://h, compression: 5} ] }",
    "leafnodes { remotes [ {url: nats://h}, {url: nats://h} ] }",
    "leafnodes { remotes [ {url: nats://h}, {url: nats://h, nkey: SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY} ] }",
    'leafnodes { remotes [ {url: "ws://h:80", proxy { url: "http://p:3128", username: u, password: p, timeout: "3s" } } ] }',
    'leafnodes { remotes [ {url: "ws://h:80", proxy { url: "http://p:3128", username: u } } ] }',
    'leafnodes { remotes [ {url: "ws://h:80", proxy { url: "socks5://p:3128" } } ] }',
    'leafnodes { remotes [ {url: "ws://h:80", proxy { ulr: "http://p:3128" } } ] }',
    'leafnodes { remotes [ {url: "ws://h:80", proxy: "http://p:3128" } ] }',
    'leafnodes { remotes [ {url: nats://h, first_info_timeout: "3s", dial_timeout: "2s", jetstream_cluster_migrate: true} ] }',
    # harmless keys that have no effect here
    "prof_port: 6060",
    "max_traced_msg_len: 100",
    "logtime_utc: true",
    'lame_duck_duration: "60s"',
    "server_tags: [a, b]",
    "system_account: $SYS",
    # everything of a complete server
    'tls { cert_file: cert.pem, key_file: key.pem }',
    'tls { cert_file: cert.pem }',
    'tls { key_file: key.pem }',
    'tls { cert_file: none.pem, key_file: key.pem }',
    'tls { cert_file: cert.pem, key_file: other.pem }',
    'tls { cert_file: part.conf, key_file: key.pem }',
    'tls { cert_file: cert.pem, key_file: key.pem, ca_file: part.conf }',
    'tls { cert_file: cert.pem, key_file: key.pem, ca_file: none.pem }',
    'tls { cert_file: cert.pem, key_file: key.pem, ca_file: cert.pem, verify: true }',
    'tls { cert_file: cert.pem, key_file: key.pem, verify_and_map: true, timeout: 2.5 }',
    'tls { cert_file: cert.pem, key_file: key.pem, timeout: "2s" }',
    'tls { cert_file: cert.pem, key_file: key.pem, timeout: x }',
    'tls { cert_file: cert.pem, key_file: key.pem, timeout: true }',
    'tls { cert_file: cert.pem, key_file: key.pem, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256] }',
    'tls { cert_file: cert.pem, key_file: key.pem, cipher_suites: [X] }',
    'tls { cert_file: cert.pem, key_file: key.pem, cipher_suites: [] }',
    'tls { cert_file: cert.pem, key_file: key.pem, cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA] }',
    'tls { cert_file: cert.pem, key_file: key.pem, cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA], allow_insecure_cipher_suites: true }',
    'tls { cert_file: cert.pem, key_file: key.pem, curve_preferences: [CurveP256, X25519] }',
    'tls { cert_file: cert.pem, key_file: key.pem, curve_preferences: [P256] }',
    'tls { cert_file: cert.pem, key_file: key.pem, curve_preferences: [] }',
    'tls { cert_file: cert.pem, key_file: key.pem, min_version: "1.3" }',
    'tls { cert_file: cert.pem, key_file: key.pem, min_version: "1.1" }',
    'tls { cert_file: cert.pem, key_file: key.pem, min_version: 1.3 }',
    'tls { cert_file: cert.pem, key_file: key.pem, min_version: "TLS1.3" }',
    'tls { cert_file: cert.pem, key_file: key.pem, handshake_first: true }',
    'tls { cert_file: cert.pem, key_file: key.pem, first: "auto" }',
    'tls { cert_file: cert.pem, key_file: key.pem, immediate: "250ms" }',
    'tls { cert_file: cert.pem, key_file: key.pem, handshake_first: x }',
    'tls { cert_file: cert.pem, key_file: key.pem, handshake_first: 5 }',
    'tls { cert_file: cert.pem, key_file: key.pem, pinned_certs: ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] }',
    'tls { cert_file: cert.pem, key_file: key.pem, pinned_certs: [abc] }',
    'tls { cert_file: cert.pem, key_file: key.pem, connection_rate_limit: 10 }',
    'tls { cert_file: cert.pem, key_file: key.pem, connection_rate_limit: "x" }',
    'tls { cert_file: cert.pem, key_file: key.pem, bogus: 1 }',
    'tls: true',
    'tls { certs: [ {cert_file: cert.pem} ] }',
    'tls { cert_file: cert.pem, key_file: key.pem, certs: [ {cert_file: cert.pem, key_file: key.pem} ] }',
    'tls { cert_file: cert.pem, key_file: key.pem, insecure: true }',
    'tls { cert_file: cert.pem, key_file: key.pem }\nallow_non_tls: true',
    'allow_non_tls: 5',
    'mqtt { port: 1883, tls { cert_file: cert.pem, key_file: key.pem } }',
    'mqtt { port: 1883, tls { cert_file: none.pem, key_file: key.pem } }',
    'websocket { port: 8080, no_tls: true }',
    'websocket { port: 8080, no_tls: true, bogus: 1 }',
    'websocket { port: 8080, tls { cert_file: cert.pem, key_file: key.pem } }',
    'websocket { listen: "127.0.0.1:-1", no_tls: true, compression: true, same_origin: true, allowed_origins: ["http://x:5"] }',
    'ws { port: 1, no_tls: true, handshake_timeout: 3 }',
    'ws { port: 1, no_tls: true, handshake_timeout: "3s" }',
    'ws { port: 1, no_tls: true, handshake_timeout: x }',
    'ws { port: 1, no_tls: true, headers { A: b } }',
    'ws { port: 1, no_tls: true, headers { A: 5 } }',
    'ws { port: 1, no_tls: true, headers: x }',
    'ws { port: 1, no_tls: true, authorization { user: a, password: b } }',
    'ws { port: 1, no_tls: true, authorization { usr: a } }',
    'ws { port: 1, no_tls: true, ping_interval: "5s", advertise: "h:5" }',
    'ws { port: 1, no_tls: true, user_cookie: u, pass_cookie: p, token_cookie: t }',
    'ws { port: "1" }',
    "authorization { users: [{user: a, permissions: {sub: 'a q'}}] }",
    "authorization { users: [{user: a, permissions: {sub: 'a.* q.*'}}] }",
    "authorization { users: [{user: a, permissions: {sub: 'a b c'}}] }",
    "authorization { users: [{user: a, permissions: {sub: {deny: ['a q', '> *.x']}}}] }",
    'authorization { users: [{user: a, permissions: {allow_responses: true}}] }',
    "authorization { users: [{user: a, permissions: {allow_responses: {max: 5, expires: '1m'}}}] }",
    "authorization { users: [{user: a, permissions: {allow_responses: {max: -1, ttl: '-1s'}}}] }",
    'authorization { users: [{user: a, permissions: {allow_responses: {ttl: 5}}}] }',
    'authorization { users: [{user: a, permissions: {allow_responses: {bogus: 5}}}] }',
    'authorization { users: [{user: a, permissions: {allow_responses: 5}}] }',
    'authorization { users: [{user: a, password: $2a$11$abc}] }',
    'authorization { users: [{user: a, allowed_connection_types: [MQTT, standard]}] }',
    'authorization { users: [{user: a, allowed_connection_types: MQTT}] }',
    'authorization { users: [{user: a, allowed_connection_types: [X]}] }',
    'accounts { A { exports: [{stream: "a.>"}] }, B { imports: [{stream: {account: A, subject: "a.b"}}] } }',
    'accounts { A { exports: [{stream: "a.>"}] }, B { imports: [{stream: {account: A, subject: "b"}}] } }',
    'accounts { A { exports: [{stream: "a.>", accounts: [X]}] }, B {  } }',
    'accounts { A { exports: [{stream: "a.>", accounts: [A]}] }, B { imports: [{stream: {account: A, subject: "a.b"}}] } }',
    'accounts { A { exports: [{stream: "a.>", accounts: [B]}] }, B { imports: [{stream: {account: A, subject: "a.b"}, prefix: p}] } }',
    'accounts { A { exports: [{stream: "a.>", accounts: [B]}] }, B { imports: [{stream: {account: A, subject: "a.b"}, prefix: "p.*"}] } }',
    'accounts { A { exports: [{stream: "a.>"}] }, B { imports: [{stream: {account: A, subject: "a.b"}, to: x}] } }',
    'accounts { A { exports: [{stream: "a.>"}] }, B { imports: [{stream: {account: A, subject: "a.*"}, to: "x.*"}] } }',
    'accounts { A { exports: [{stream: "a.>"}] }, B { imports: [{stream: {account: A, subject: "a.*"}, to: "x.$1"}] } }',
    'accounts { A { exports: [{stream: "a.>"}] }, B { imports: [{stream: {account: A, subject: "a.*"}, to: "x"}] } }',
    'accounts { A { exports: [{stream: "a.>"}] }, B { imports: [{stream: {account: A, subject: "a.>"}, to: "x.>"}] } }',
    'accounts { A { exports: [{stream: "a.>"}] }, B { imports: [{stream: {account: A, subject: "a.b"}}, {stream: {account: A, subject: "a.b"}, to: x}] } }',
    'accounts { A { exports: [{stream: "a.>"}] }, B { imports: [{stream: {account: X, subject: "a.b"}}] } }',
    'accounts { A { exports: [{stream: "a.>"}] }, B { imports: [{service: {account: A, subject: "a.b"}}] } }',
    'accounts { A { exports: [{service: "a.>"}] }, B { imports: [{service: {account: A, subject: "a.b"}, to: c}] } }',
    'accounts { A { exports: [{service: "a.*"}] }, B { imports: [{service: {account: A, subject: "a.*"}, to: "c.*"}] } }',
    'accounts { A { exports: [{service: "a.*"}] }, B { imports: [{service: {account: A, subject: "a.*"}, to: "c"}] } }',
    'accounts { A { exports: [{service: "a.*"}] }, B { imports: [{service: {account: A, subject: "a.b"}}, {service: {account: A, subject: "a.c"}, to: a.b}] } }',
    'accounts { A { exports: [{service: "a.*"}, {service: "b.*"}] }, B { imports: [{service: {account: A, subject: "a.*"}, to: "c.$1"}, {service: {account: A, subject: "b.*"}, to: "c.$1"}] } }',
    'accounts { A { exports: [{service: "a.*"}, {service: "b.*"}] }, B { imports: [{service: {account: A, subject: "a.*"}, to: "c.$1"}, {service: {account: A, subject: "b.*"}, to: "c.*"}] } }',
    'accounts { A { exports: [{service: "a.*"}, {service: "b.*"}] }, B { imports: [{service: {account: A, subject: "a.*"}, to: "c.*"}, {service: {account: A, subject: "b.*"}, to: "d.$1"}] } }',
    'accounts { A { exports: [{stream: "a", accounts: [B]}, {stream: "a", accounts: [C]}] }, B { imports: [{stream: {account: A, subject: a}}] }, C { imports: [{stream: {account: A, subject: a}}] }, D {} }',
    'accounts { A { exports: [{stream: "a", accounts: [B]}, {stream: "a"}] }, B {}, D { imports: [{stream: {account: A, subject: a}}] } }',
    'accounts { A { exports: [{service: "a.*"}], imports: [{service: {account: B, subject: "b.*"}, to: "c.$1"}] }, B { exports: [{service: "b.*"}], imports: [{service: {account: A, subject: "a.*"}, to: "b.$1"}] } }',
    'accounts { A { exports: [{service: "a.*"}], imports: [{service: {account: B, subject: "b.*"}, to: "a.$1"}] }, B { exports: [{service: "b.*"}], imports: [{service: {account: A, subject: "a.*"}, to: "b.$1"}] } }',
    'accounts { A { exports: [{stream: "a.*"}], imports: [{stream: {account: B, subject: "b.*"}, to: "a.$1"}] }, B { exports: [{stream: "b.*"}], imports: [{stream: {account: A, subject: "a.*"}, to: "b.$1"}] } }',
    'accounts { A { exports: [{stream: ">"}], imports: [{stream: {account: C, subject: "c.>"}}] }, B { exports: [{stream: ">"}], imports: [{stream: {account: A, subject: "c.>"}}] }, C { exports: [{stream: ">"}], imports: [{stream: {account: B, subject: "c.x"}}] } }',
    'accounts { A { exports: [{service: "a", response: stream, threshold: "1s"}] }, B {  } }',
    'accounts { A { exports: [{service: "a", response: x}] }, B {  } }',
    'accounts { A { exports: [{service: "a", threshold: 5}] }, B {  } }',
    'accounts { A { exports: [{stream: "a", response: stream}] }, B {  } }',
    'accounts { A { exports: [{service: "a", latency: lat}] }, B {  } }',
    'accounts { A { exports: [{service: "a", latency: {subject: lat, sampling: 50%}}] }, B {  } }',
    'accounts { A { exports: [{service: "a", latency: {subject: lat, sampling: headers}}] }, B {  } }',
    'accounts { A { exports: [{service: "a", latency: {subject: lat, sampling: 0}}] }, B {  } }',
    'accounts { A { exports: [{service: "a", latency: {sampling: 5}}] }, B {  } }',
    'accounts { A { exports: [{service: "a", latency: "l.*"}] }, B {  } }',
    'accounts { A { exports: [{service: "a", latency: a}] }, B {  } }',
    'accounts { A { exports: [{service: "a", latency: lat, response: stream}] }, B {  } }',
    'accounts { A { exports: [{stream: "a", latency: lat}] }, B {  } }',
    'accounts { A { exports: [{stream: "a", service: b}] }, B {  } }',
    'accounts { A { exports: {stream: a} }, B {  } }',
    'accounts { A { exports: [{stream: "a", bogus: b}] }, B {  } }',
    'accounts { A { exports: [{service: "a.*", account_token_position: 2}] }, B {  } }',
    'accounts { A { exports: [{service: "a.*", account_token_position: 1}] }, B {  } }',
    'accounts { A { exports: [{service: "a.*", account_token_position: 2}] }, B { imports: [{service: {account: A, subject: a.B}}] } }',
    'accounts { A { exports: [{service: "a.*", account_token_position: 2}] }, B { imports: [{service: {account: A, subject: a.C}}] } }',
    'accounts { A { exports: [{service: "a", allow_trace: true}] }, B {  } }',
    'accounts { A { exports: [{stream: "a", allow_trace: true}] }, B {  } }',
    'accounts { A { exports: [{service: "a"}] }, B { imports: [{service: {account: A, subject: a}, share: true}] } }',
    'accounts { A { exports: [{service: "a"}] }, B { imports: [{service: {account: A}}] } }',
    'accounts { A { exports: [{service: "a"}] }, B { imports: [{service: a}] } }',
    'accounts { A { exports: [{service: "a"}] }, B { imports: [{service: {account: A, subject: a}, prefix: p}] } }',
    'accounts { A { exports: [{service: "a"}] }, B { imports: [{service: {account: A, subject: a}, allow_trace: true}] } }',
    'accounts { A { exports: [{service: "a"}], imports: [{service: {account: B, subject: b}, to: a}] }, B { exports: [{service: b}], imports: [{service: {account: A, subject: a}, to: b}] } }',
    'accounts { A { exports: [{service: "a"}], imports: [{service: {account: B, subject: b}}] }, B { exports: [{service: b}], imports: [{service: {account: A, subject: a}}] } }',
    'accounts { A { exports: [{stream: "a"}], imports: [{stream: {account: B, subject: b}, to: a}] }, B { exports: [{stream: b}], imports: [{stream: {account: A, subject: a}, to: b}] } }',
    'accounts { A { exports: [{service: "a"}], imports: [{service: {account: A, subject: a}}] }, B {  } }',
    'accounts { A { exports: [{service: "a"}], imports: [{service: {account: A, subject: a}, to: b}] }, B {  } }',
    'accounts { A { exports: [{stream: "x.>"}], imports: [{stream: {account: B, subject: "x.>"}}] }, B { exports: [{stream: "x.>"}], imports: [{stream: {account: A, subject: "x.>"}}] } }',
    'accounts { A { mappings { a: b } }, B {  } }',
    'accounts { A { mappings { a: [{dest: b, weight: 50%}, {dest: c, weight: 50%}] } }, B {  } }',
    'accounts { A { mappings { a: [{dest: b, weight: 50%}, {dest: b, weight: 10%}] } }, B {  } }',
    'accounts { A { mappings { a: [{dest: b, weight: 101%}] } }, B {  } }',
    'accounts { A { mappings { a: [{dest: b, weight: 50%, cluster: x}, {dest: c, weight: 80%}] } }, B {  } }',
    'accounts { A { mappings { a: [{dest: b, weight: x}] } }, B {  } }',
    'accounts { A { mappings { a: [{dest: b, bogus: x, weight: 5}] } }, B {  } }',
    'accounts { A { mappings { a: 5 } }, B {  } }',
    'accounts { A { mappings { a..b: c } }, B {  } }',
    'accounts { A { mappings: x }, B {  } }',
    'mappings { "a.*": "b.{{wildcard(1)}}" }',
    'mappings { "a.*": "b.{{wildcard(2)}}" }',
    'mappings { "a.*": "b.{{bogus(1)}}" }',
    'mappings { "a.*": "b.{{partition(3,1)}}.$1" }',
    'mappings { "a.*": "b.{{partition()}}" }',
    'mappings { "a.*": "b.{{split(1,-)}}" }',
    'mappings { "a.*": "b.{{WILDCARD(1)}}" }',
    'mappings { "a.*": "b.{{SplitFromLeft(1,2)}}.{{splitfromright( 1 , 2 )}}" }',
    'mappings { "a.*": "b.{{split(1,)}}" }',
    'mappings { "a.*": "b.{{split(1,- )}}" }',
    'mappings { "a.*": "b.{{split(1,.)}}" }',
    'mappings { "a.*": "b.{{split (1,.)}}" }',
    'mappings { "a.*": "b.{{wildcard(0)}}" }',
    'mappings { "a": "b.{{wildcard(0)}}" }',
    'mappings { "a.*": "b.{{random(-3)}}.{{partition(-3)}}" }',
    'mappings { "a.*": "b.{{random(99999999999)}}" }',
    'mappings { "a.*": "b.*" }',
    'mappings { "a.*": "b" }',
    'mappings { "a.*.*": "b.$2.$1" }',
    'mappings { "a.>": "b" }',
    'mappings { a: "b c" }',
    'mappings { a: [{dest: b, weight: 50}, {dest: c, weight: 60%}] }',
    'mappings { a: {dest: b, weight: "50%"} }',
    'mappings { a: {dest: b} }',
    'mappings { a: [] }',
    'accounts { A { limits { max_connections: 5, max_subs: 6, max_payload: 1KB, max_leafs: -1 } }, B {  } }',
    'accounts { A { limits { max_pending: 5 } }, B {  } }',
    'accounts { A { limits { max_payload: "1KB" } }, B {  } }',
    'accounts { A { limits: 5 }, B {  } }',
    'accounts { A { default_permissions: {publish: a}, users: [{user: a}] }, B {  } }',
    'accounts { A { msg_trace: a }, B {  } }',
    'server_tags: x',
    'server_metadata { a: b }',
    'server_metadata { a: 5 }',
    'server_metadata: x',
    'feature_flags { a: true }',
    'syslog: true',
    'remote_syslog: "udp://x:514"',
    'log_size_limit: 10MB',
    'log_size_limit: "10MB"',
    'log_max_num: -1',
    'log_max_num: 5',
    'proxy_protocol: true',
    'proxies { trusted [ {key: X} ] }',
    'write_timeout: retry',
    'write_timeout: x',
    'no_system_account: true',
    'max_sub_tokens: 0',
    'max_sub_tokens: 255',
    'max_sub_tokens: 256',
    'http_base_path: /x',
    'client_advertise: "x:5"',
    'lame_duck_grace_period: "-1s"',
    'lame_duck_duration: 40',
    'lame_duck_duration: "29s"',
    'lame_duck_duration: "40s"\nlame_duck_grace_period: "5s"',
    'max_control_line: 5',
    'max_traced_msg_len: 5',
    'trace_headers: true',
    'logtime_utc: x',
    'https: 8443\ntls { cert_file: cert.pem, key_file: key.pem }',
    'https_port: 8443\ntls { cert_file: cert.pem, key_file: key.pem }',
    'connect_error_reports: 5',
    'no_header_support: true',
    'no_fast_producer_stall: true',
    'max_closed_clients: 5',
    'disable_sublist_cache: true',
    'prof_port: 5',
    'authorization { user: a, password: b }\naccounts { A { users: [{user: x}] } }',
    'server_tags: [1, 2]',
    "authorization { users: [{user: a, permissions: {sub: 'a q'}}] }",
]

# Text, and why we say no where nats-server says yes.
STRICTER = {
    "port: 4222 }": "a brace that nothing opened",
    "port: 4222\n}\n": "a brace that nothing opened",
    "port: 70000": "not a port",
    "server_name:": "no value",
    "server_name: ;": "no value",
    "log_file: it'": "a quote within a bare word: nats-server drops it",
    r'server_name: "a\tb"': "white space in a name; nats-server thinks of blanks alone",
    "max_payload: 1kbb": "not a unit: nats-server loses the value",
    "no_auth_user: nobody": "nats-server finds out when it starts",
    "system_account: NOPE": "nats-server finds out when it starts",
    "max_payload: 2MB\nmax_pending: 1MB": "nats-server finds out when it starts",
    "leafnodes { remotes [ {url: nats-leaf://h, account: B} ] }": "nats-server finds out when it starts",
    "leafnodes { remotes [ {url: h} ] }": "nats-server finds out when it connects",
    "leafnodes { remotes [ {} ] }": "a remote without a place to go",
    "listen: 127.0.0.1:4222\nport: 4223": "nats-server takes either, by chance",
    "host: a\nnet: b": "nats-server takes either, by chance",
    "authorization { password: b }": "a password of nobody",
    "leafnodes { port: 7422, authorization { user: u, account: NONE } }": "nats-server finds out when it starts",
    "leafnodes { remotes [ {url: nats://h, compression: fastest} ] }": "nats-server finds out when it starts",
    'leafnodes { remotes [ {url: nats://h, compression { mode: auto, rtts: ["9ms", "2ms"] } } ] }': "so it does here",
    'leafnodes { remotes [ {urls: ["ws://a", "nats://b"]} ] }': "and here",
    'leafnodes { remotes [ {url: "ws://h:80", proxy {} } ] }': "a proxy without a place to go",
    "cluster { name: c, port: 6222 }": "the hub's",
    "gateway { name: c }": "the hub's",
    "jetstream { key: secret }": "would not be encrypted",
    'mappings { a: [{weight: 10}] }': 'nothing to go to',
    'mappings { a: "b.{{partition(3,1)}}" }': 'a wildcard that is not there',
    'accounts { A { exports: [{}] } }': 'neither a stream nor a service',
    'accounts { A { exports: [{stream: "a..b"}] } }': 'not a subject',
    'http: 8222\nhttp_port: 8223': 'nats-server takes either, by chance',
    'http: 8222\nhttps: 8443\ntls { cert_file: cert.pem, key_file: key.pem }': 'nats-server finds out when it starts',
    'https: 8443': 'nats-server finds out when it starts',
    'tls {}': 'nats-server serves with a certificate that nobody has',
    'tls { verify: true }': 'the same',
    'websocket { port: 8080 }': 'nats-server finds out when it starts',
    'websocket { port: 8080, no_tls: true, allowed_origins: [x] }': 'nats-server finds out when it starts',
    'websocket { port: 8080, no_tls: true, headers { Host: x } }': 'nats-server finds out when it starts',
    'lame_duck_duration: "40s"\nlame_duck_grace_period: "50s"': 'nats-server finds out when it starts',
    'authorization { proxy_required: true }': 'there is no such proxy',
    'proxies { trusted: [] }': 'there is no such proxy',
    'tls { cert_file: cert.pem, key_file: key.pem, ocsp_peer: true }': 'would not be asked',
}

# Text, and why we say yes where nats-server says no.
LENIENT = {
    "server_name: $2b$x": "bcrypt's other prefixes are not variables either",
    "\ufeffport: 4222": "a byte order mark",
    "server_tags: [/a, b]": "a slash; nats-server expects a comment there",
    "jetstream { commit_window: \"10ms\" }": "ours",
    "jetstream { store_dir: x }\nuplink { A: { subjects: [a] } }": "ours",
}


@pytest.mark.parametrize("text", SNIPPETS)
def test_same_answer_as_nats_server(
    text: str, nats_check: Callable[[bytes], str], load: Callable[..., object]
) -> None:
    ours = _problem(text, load)
    for _ in range(10):  # where accounts import from each other it finds that or not, by the order of a Go map
        theirs = nats_check(text.encode())
        if bool(ours) == bool(theirs):
            break
    assert bool(ours) == bool(theirs), f"nats-server: {theirs or 'valid'}; here: {ours or 'valid'}"


@pytest.mark.parametrize("text", STRICTER)
def test_stricter_on_purpose(
    text: str, nats_check: Callable[[bytes], str], load: Callable[..., object]
) -> None:
    assert not nats_check(text.encode())
    assert _problem(text, load)


@pytest.mark.parametrize("text", LENIENT)
def test_more_lenient_on_purpose(
    text: str, nats_check: Callable[[bytes], str], load: Callable[..., object]
) -> None:
    assert nats_check(text.encode())
    assert not _problem(text, load)


def _problem(text: str, load: Callable[..., object]) -> str:
    try:
        load(text)
    except ConfigError as exc:
        return str(exc)
    return ""


# ---- what a text means: nats-server -t prints a digest of what it read

# An unknown key is accepted once it has served as a variable, and the last of two equal keys counts.
FRAME = "x: {}\nport: $x\nport: 4222\n"

VALUES = [
    *("5", "-5", "0", "007", "64k", "64KB", "1Mi", "2gib", "3t", "1e", "-2kb", "1.5", "-1.25", "10.0", "1.2.3.4:5"),
    *("true", "YES", "off", "word", "a#b", "a//b", "#a", "90s", "1_000", "2026-01-02T03:04:05Z", "nats://h:1/x?y=z"),
    *("'raw \\n'", '"a\\tb\\x41\\"\\\\"', '"two\nlines"', "'two\nlines'", "a\\tb", "(\n text ) more\n)", "$WORD", "$MANY"),
    *("[]", "[a, b]", "[a\nb\n]", "[ [1 ], [2 ] ]", "{}", "{a: b}", "{a b}", "{ a = 1; b = 2\nc: 3, d: {e: f} }"),
    *("{ 'k' : v }", '{"a": [1, {"b": null }]}', "{a: 1, a: 2}", "{A: 1, a: 2}", "$2a$11$abc", "{ v: 7, w: $v }"),
    *('"\\xc3\\xa9"', "é", "'日本'", "{include part.conf}", "{ a: 1\n include part.conf\n b: 2 }", "k1", "1k5", "1e5", "1k1x", "1kb5", "{a:b}"),
]


@pytest.mark.parametrize("value", VALUES)
def test_same_value_as_nats_server(
    value: str, nats_digest: Callable[[bytes], str], fingerprint: Callable[[str], str]
) -> None:
    text = FRAME.format(value)
    assert fingerprint(text) == f"sha256:{nats_digest(text.encode())}"


# Texts built from values, in any of the ways to write them.
SEPARATOR = st.sampled_from([": ", " ", " = ", "=", ":", " :\t"])
BETWEEN = st.sampled_from(["\n", ", ", ";", " ,\n", " # c\n", "\n// c\n\n", "\r\n"])
BETWEEN_ITEMS = st.sampled_from(["\n", ", ", " ,\n", " # c\n", "\n// c\n\n"])
NAME = st.from_regex(r"[a-z][a-z0-9_.$*>-]{0,6}", fullmatch=True).filter(lambda key: key != "include")
KEY = st.one_of(NAME, NAME.map("'{}'".format), NAME.map('"{}"'.format))
RAW = st.text(st.characters(codec="utf-8", exclude_characters="'\0\u2028\u2029", exclude_categories=["Cc", "Cs"]))
SCALAR = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.tuples(st.integers(-999, 999), st.sampled_from(["k", "KB", "mi", "MiB", "g", "Gb", "t"])).map("{0[0]}{0[1]}".format),
    st.tuples(st.integers(-99, 99), st.integers(0, 99)).map("{0[0]}.{0[1]}".format),
    st.sampled_from(["true", "False", "on", "no", "$WORD", "90s", "1.2.3.4"]),
    st.from_regex(r"[a-zA-Z][a-zA-Z0-9/:?&=_.-]{0,9}", fullmatch=True),
    RAW.map("'{}'".format),
    RAW.map(lambda raw: '"' + raw.replace("\\", "\\\\").replace('"', '\\"') + '"'),
)


@st.composite
def written(draw: st.DrawFn, depth: int = 3) -> str:
    kind = draw(st.sampled_from(["scalar", "list", "block"])) if depth else "scalar"
    if kind == "scalar":
        return draw(SCALAR)
    if kind == "list":
        items = draw(st.lists(written(depth - 1), max_size=4))
        return "[ " + "".join(item + " " + draw(BETWEEN_ITEMS) for item in items) + " ]"
    keys = draw(st.lists(KEY, max_size=4))
    entries = [key + draw(SEPARATOR) + draw(written(depth - 1)) + " " + draw(BETWEEN) for key in keys]
    return "{ " + "".join(entries) + " }"


@settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=written())
def test_any_text_means_the_same_to_nats_server(
    value: str, nats_digest: Callable[[bytes], str], fingerprint: Callable[[str], str]
) -> None:
    text = FRAME.format(value)
    assert fingerprint(text) == f"sha256:{nats_digest(text.encode())}"


# ---- nearly right texts: fragments in any order

FRAGMENTS = st.sampled_from(
    [
        *("port", "a", "b", "jetstream", "include", "'q'", '"d"', ": ", " = ", " ", "\n", "\r\n", ", ", "; ", "\t"),
        *("{", "}", "{ ", " }", "[", "]", "[ ", " ]", "# c\n", "// c\n", "4222", "64k", "1.5", "1.2.3.4:5", "-1", "-"),
        *("true", "off", "$a", "$nope", "$WORD", "word", "\\n", "\\x41", "(\nblock\n)\n", "2026-01-02T03:04:05Z"),
        *("90s", "nats://h:1", "part.conf", "a: 1\n", "m { k: v }\n", "l: [x, y]\n"),
    ]
)


@settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(FRAGMENTS, max_size=12).map("".join))
def test_what_nats_server_cannot_parse_we_refuse(
    text: str, nats_grammar: Callable[[bytes], str], load: Callable[..., object]
) -> None:
    theirs = nats_grammar(text.encode())
    if theirs:
        assert _problem(text, load), theirs
