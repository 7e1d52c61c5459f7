"""What comes whole: files, tokens, the bodies of requests, headers, names."""

import json
from typing import Any
from zlib import crc32

from edge.config.load import config_from, settle
from edge.config.parser import parse_text
from edge.core.account_claims import open_private, read_account, read_permissions
from edge.core.exchange import Exchange
from edge.core.jwt import Claims, ClaimsError, decode, payload, read_claims
from edge.core.leaf_login import read_creds, read_seed
from edge.core.nkeys import KeyPair, decode_base64, kind_of, verify
from edge.core.peer import Subscription
from edge.core.router import Router
from edge.core.times import SECOND, Clock
from edge.core.transforms import Transform
from edge.core.user_claims import read_user
from edge.errors import ConfigError
from edge.flags import parse_flags
from edge.jetstream.account import Limits
from edge.jetstream.archive import (
    CHUNK,
    CONTENTS,
    MAGIC,
    OURS,
    S2_HEAD,
    VERSION,
    ArchiveError,
    ArchiveReader,
    ArchiveWriter,
)
from edge.message import header_add, header_get, header_items, header_set
from edge.monitor.bodies import KINDS, BadBody, concerns, parse_body
from edge.monitor.endpoints import ENDPOINTS
from edge.monitor.query import BadQuery, options_of, parse_query
from edge.monitor.stamp import Identity
from edge.store.memory import MemoryStore
from edge.subjects import WHITE, intersection, is_literal, is_valid, matches, overlap, subset
from edge.sublist import Sublist
from tests.edge.jetstream.conftest import Bench

ACCOUNT, SIGNER, USER = KeyPair("A", bytes(32)), KeyPair("A", b"s" * 32), KeyPair("U", bytes(32))
NOW = 1_800_000_000
OWN = Identity("e", "h", "N1", "2.12.0")


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def config(data: bytes) -> None:
    """The whole way from the text to the values; nothing is opened but what it includes."""
    written = data.decode("utf-8", "replace")
    if "include" in written.lower():  # of files that are not ours
        return
    try:
        settle(config_from(parse_text(written, {"HOME": "/nowhere"}, "/nowhere/x.conf"), "/nowhere/x.conf"), {})
    except ConfigError as exc:
        assert exc.problem


def flags(data: bytes) -> None:
    try:
        parse_flags(text(data).split("\n"))
    except ConfigError as exc:
        assert exc.problem


def subjects(data: bytes) -> None:
    """Two of them."""
    a, _, b = text(data).partition("\n")
    if not (is_valid(a) and is_valid(b)):
        _transform(a, b)
        return
    assert overlap(a, b) == overlap(b, a) == (intersection(a, b) is not None)
    if subset(a, b):
        assert overlap(a, b)
    if is_literal(b):
        sublist: Sublist[Subscription] = Sublist()
        sub = Subscription(None, a)  # type: ignore[arg-type]
        sublist.insert(sub)
        assert bool(sublist.match(b).plain) == bool(sublist.match_once(b).plain) == matches(a, b)
        sublist.remove(sub)
        assert sublist.root.is_empty()
    _transform(a, b)


def _transform(source: str, destination: str) -> None:
    for strict in (False, True):
        try:
            transform = Transform(source, destination, strict)
        except ValueError:
            continue
        literal = transform.source.replace("*", "x").replace(">", "y.z")
        if is_literal(literal):
            renamed = transform.match(literal)
            if strict and renamed is not None and is_literal(renamed):
                transform.reversed().match(renamed)


def headers(data: bytes) -> None:
    """A block of headers, as a client may send it: with anything in it."""
    for name, value in header_items(data):
        header_get(data, name)
        assert "\r\n" not in value
    for changed in (header_add(data, [("A", "b")]), header_set(data, "A", "b")):
        header_items(changed)
    if data.startswith(b"NATS/1.0\r\n") and data.endswith(b"\r\n\r\n"):
        assert ("A", "b") in header_items(header_set(data, "A", "b"))


def jwt(data: bytes) -> None:
    """A token; and the same bytes as the claims of one that is signed."""
    token = text(data)
    for read in (decode, payload):
        try:
            read(token)
        except ClaimsError:
            continue
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(fields, dict):
        _claims(fields)


def _claims(fields: dict[str, Any]) -> None:
    """As what is said of an account, of a user, and of the users that a signing key may make."""
    try:
        read_claims(fields)
    except ClaimsError:
        pass
    _share(fields)
    _log_in(fields)


def _share(fields: dict[str, Any]) -> None:
    try:
        account = read_account(Claims("account", 2, "O", ACCOUNT.public, fields))
        others = read_account(Claims("account", 2, "O", SIGNER.public, {"exports": fields.get("exports")}))
        specs = open_private({ACCOUNT.public: account, SIGNER.public: others}, NOW)
    except ClaimsError:
        return
    exchange = Exchange(Router(), "e", Clock(lambda: NOW * SECOND, lambda: SECOND, lambda: None))
    exchange.apply(specs)
    exchange.apply(())


def _log_in(fields: dict[str, Any]) -> None:
    for signer, template in ((ACCOUNT, None), (SIGNER, fields)):
        keys = [] if template is None else [{"key": SIGNER.public, "template": template}]
        try:
            account = read_account(Claims("account", 2, "O", ACCOUNT.public, {"signing_keys": keys}))
            nats = fields if template is None else {}
            user = read_user(Claims("user", 2, signer.public, USER.public, nats, name="n"), account)
            user.may_come_from("10.0.0.1")
            user.stays_until(NOW)
            read_permissions(fields)
        except ClaimsError:
            continue


def nkeys(data: bytes) -> None:
    written = text(data)
    for read in (KeyPair.from_seed, kind_of, decode_base64, read_creds, read_seed):
        try:
            read(written)
        except ValueError:
            continue
    assert not verify(written, b"message", data)


def jetstream(data: bytes) -> None:
    """Messages to the account of a stream with a consumer, ``subject|headers|body`` and a NUL between them: requests,
    acks, publishes; each is answered at most once, with JSON where it is a request."""
    bench = Bench(MemoryStore, Limits(), "")
    bench.stream(max_msgs=100, allow_direct=True)
    bench.consumer()
    bench.stored("s.a", b"one")
    bench.pull(batch=1)
    for message in data.split(b"\0")[:20]:
        subject, _, rest = message.partition(b"|")
        block, _, body = rest.partition(b"|")
        name = text(subject)
        if not name or not WHITE.isdisjoint(name):  # no client could say it
            continue
        bench.take()
        bench.account.publish(name, body, reply="_I.fuzz", headers=block if block.startswith(b"NATS/1.0") else b"")
        bench.settle()
        answers = [answer for to, _, _, answer in bench.take() if to == "_I.fuzz"]
        if name.startswith("$JS.API.") and ".MSG.NEXT." not in name and "DIRECT" not in name and answers:
            assert isinstance(json.loads(answers[0]), dict)
    bench.pass_time(60 * 10**9)
    assert "error" not in bench.api("INFO")


def system(data: bytes) -> None:
    """The body of a request to the system account, and the same as a query over HTTP."""
    for kind in KINDS.values():
        try:
            concerns(OWN, parse_body(data, kind))
        except BadBody as exc:
            assert str(exc)
    query = parse_query(text(data))
    for endpoint in ENDPOINTS.values():
        try:
            options_of(query, endpoint.parameters)
        except BadQuery as exc:
            assert str(exc)


def archive(data: bytes) -> None:
    """As it is, and as contents under checksums that hold."""
    contents = MAGIC % VERSION + data
    sealed, crc = S2_HEAD, 0
    for at in range(0, len(contents), CONTENTS):
        part = contents[at : at + CONTENTS]
        crc = crc32(part, crc)
        sealed += CHUNK.pack(OURS, (len(part) + 5).to_bytes(3, "little"), 0, crc) + part
    for raw in (data, sealed):
        reader = ArchiveReader()
        found = []
        try:
            for at in range(0, len(raw), 50):
                reader.feed(raw[at : at + 50])
                found += reader.parts()
            reader.finish()
        except ArchiveError as exc:
            assert str(exc)
        else:
            writer = ArchiveWriter()
            again = ArchiveReader()
            again.feed(b"".join(map(writer.put, found)))
            assert list(again.parts()) == found
