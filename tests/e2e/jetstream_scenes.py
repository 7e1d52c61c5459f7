"""Scenes of a made-up conversation: a stream of its own, what one does with such a one, and its end.  What waits and what
pushes stands only here, each with rests between: when everything that is under way has come is known by nothing else."""

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.e2e.jetstream_author import FUTURE, MADE_UP_NAME, PAST, PIN, QUIET, Author, api, pub, shares
from tests.e2e.jetstream_words import HOUR, PULL_FIELDS, SECOND
from tests.e2e.talk import Step

REST = Step(QUIET)
NO_WAIT = {"no_wait": True}


def make(name: str, *subjects: str, **fields: Any) -> Step:
    return api(f"STREAM.CREATE.{name}", {"name": name, "subjects": subjects, **fields})


def end(name: str) -> list[Step]:
    return [
        api(f"STREAM.INFO.{name}", {"subjects_filter": ">", "deleted_details": True}),
        api(f"STREAM.DELETE.{name}"),
        REST,
    ]


def consume(stream: str, name: str, **fields: Any) -> Step:
    """With a name, or without one."""
    known = {"durable_name": name} if name else {"inactive_threshold": HOUR}
    config = {**known, "ack_policy": "explicit", "ack_wait": HOUR, **fields}
    return api(f"CONSUMER.CREATE.{stream}.{name}".rstrip("."), {"stream_name": stream, "config": config})


def take(place: str, batch: int = 1, **fields: Any) -> Step:
    return api(f"CONSUMER.MSG.NEXT.{place}", {"batch": batch, **(fields or NO_WAIT)})


def ask(place: str, batch: int = 1, **fields: Any) -> Step:
    """Waits for as long as it takes."""
    return api(f"CONSUMER.MSG.NEXT.{place}", {"batch": batch, **fields})._replace(answers=0)


def bucket(author: Author) -> list[Step]:
    """A key-value bucket, as clients make and use it."""
    some, last = author.some, 0
    history = some(1, 1, 5, 64)
    fields = author.maybe(
        0.3, allow_direct=lambda: True, allow_msg_ttl=lambda: True, max_age=lambda: HOUR, max_bytes=lambda: 100_000,
        max_msg_size=lambda: 40, subject_delete_marker_ttl=lambda: HOUR, storage=lambda: "memory", description=lambda: "d",
    )  # fmt: skip
    steps = [make("KV_b", "$KV.b.>", max_msgs_per_subject=history, discard="new", allow_rollup_hdrs=True, deny_delete=True,
                  duplicate_window=120 * SECOND, **fields)]  # fmt: skip
    for _ in range(some(12, 25)):
        key = f"$KV.b.{some('a', 'b', 'c.d')}"
        match author.number(12):
            case 0 | 1 | 2:
                steps.append(pub(key, author.payload()))
            case 3 | 4:
                steps.append(
                    pub(
                        key,
                        author.payload(),
                        Nats_Expected_Last_Subject_Sequence=some("0", str(last), str(last - 1 or 1)),
                    )
                )
            case 5:
                steps.append(pub(key, b"", KV_Operation="DEL", **author.maybe(0.3, Nats_TTL=lambda: "1h")))
            case 6:
                more = author.maybe(
                    0.3, Nats_TTL=lambda: "1h", Nats_Expected_Last_Subject_Sequence=lambda at=last: str(at)
                )
                steps.append(pub(key, b"", KV_Operation="PURGE", Nats_Rollup="sub", **more))
            case 7:
                steps.append(api("STREAM.MSG.GET.KV_b", some({"last_by_subj": key}, {"seq": author.near(last)})))
            case 8:
                steps.append(some(api(f"DIRECT.GET.KV_b.{key}"), api("DIRECT.GET.KV_b", {"multi_last": ["$KV.b.>"]}),
                                  api("DIRECT.GET.KV_b", {"last_by_subj": key})))  # fmt: skip
            case 9:
                steps.append(api("STREAM.INFO.KV_b", {"subjects_filter": "$KV.b.>"}))
            case 10:
                policy = some("all", "last_per_subject", "new")
                steps.append(consume("KV_b", "", ack_policy="none", deliver_policy=policy, filter_subject=some("$KV.b.>", key),
                                     headers_only=some(True, False), mem_storage=True, max_deliver=1))  # fmt: skip
                steps.append(take(f"KV_b.{MADE_UP_NAME}", 9))
            case _:
                steps.append(api("STREAM.PURGE.KV_b", {"filter": key, **author.maybe(0.5, keep=lambda: 1)}))
        last += steps[-1].subject == key
    return [*steps, api("STREAM.NAMES", {"subject": "$KV.*.>"}), *end("KV_b")]


def objects(author: Author) -> list[Step]:
    """An object store: chunks, and what says of them."""
    some = author.some
    steps = [make("OBJ_o", "$O.o.C.>", "$O.o.M.>", discard="new", allow_rollup_hdrs=True, allow_direct=True)]
    for number in range(some(2, 4)):
        name = base64.urlsafe_b64encode(some(b"file", b"other")).decode()
        chunks = some(0, 1, 3)
        steps += [pub(f"$O.o.C.n{number}", b"c" * some(1, 300)) for _ in range(chunks)]
        told = {"name": "file", "bucket": "o", "nuid": f"n{number}", "chunks": chunks, "deleted": some(True, False)}
        steps.append(pub(f"$O.o.M.{name}", json.dumps(told).encode(), Nats_Rollup="sub"))
        steps.append(
            some(
                api(f"DIRECT.GET.OBJ_o.$O.o.M.{name}"), api("STREAM.MSG.GET.OBJ_o", {"last_by_subj": f"$O.o.M.{name}"})
            )
        )
        steps.append(
            consume("OBJ_o", "", ack_policy="none", filter_subject=f"$O.o.C.n{number}", max_deliver=1, mem_storage=True)
        )
        steps.append(take(f"OBJ_o.{MADE_UP_NAME}", 5))
        steps.append(api("STREAM.PURGE.OBJ_o", {"filter": f"$O.o.C.n{author.number(3)}"}))
    if author.number(2):
        steps.append(
            make("OBJ_o", "$O.o.C.>", "$O.o.M.>", discard="new", allow_rollup_hdrs=True, allow_direct=True, sealed=True)
        )
        steps[-1] = steps[-1]._replace(subject="$JS.API.STREAM.UPDATE.OBJ_o")
        steps.append(pub("$O.o.M.x"))
    return [*steps, *end("OBJ_o")]


def pushing(author: Author) -> list[Step]:
    """Consumers that push, one listener each."""
    some = author.some
    to = f"to{author.number(1_000_000)}"  # nobody else has listened to it
    steps = [make("P", "p.>"), *(pub(f"p.{some('a', 'b')}", author.payload()) for _ in range(some(0, 3, 6)))]
    for name in ("X", "Y")[: some(1, 2)]:
        group = {"deliver_group": "q"} if author.number(3) == 0 else {}
        if author.number(4):
            steps.append(Step(f"SUB {to}.{name} {'q' if group else ''}".strip(), answers=0))
        fields = author.maybe(
            0.25, deliver_policy=lambda: some("new", "last", "last_per_subject"), ack_policy=lambda: some("none", "all"),
            max_ack_pending=lambda: some(1, 3), headers_only=lambda: True, filter_subject=lambda: some("p.a", "p.*"),
            max_deliver=lambda: some(1, 2), sample_freq=lambda: "100",
        )  # fmt: skip
        if fields.get("ack_policy") == "none":
            fields.pop("max_ack_pending", None)
        if fields.get("deliver_policy") == "last_per_subject":
            fields["filter_subject"] = "p.>"
        steps += [consume("P", name, deliver_subject=f"{to}.{name}", **group, **fields), REST]
    kinds: list[tuple[int, Callable[[], Step]]] = [
        (5, lambda: pub(f"p.{some('a', 'b', 'c')}", author.payload(), **author.maybe(0.2, Other=lambda: "h"))),
        (5, lambda: author.answer(b"", b"+ACK", b"-NAK", b"+TERM", b"+WPI")),
        (2, lambda: api(f"CONSUMER.INFO.P.{some('X', 'Y')}")), (1, lambda: take("P.X")),
        (1, lambda: api("STREAM.MSG.DELETE.P", {"seq": author.number(8)})),
        (1, lambda: api(f"CONSUMER.PAUSE.P.{some('X', 'Y')}", some(None, {"pause_until": FUTURE}))),
        (1, lambda: api(f"CONSUMER.DELETE.P.{some('X', 'Y')}")),
    ]  # fmt: skip
    for step in shares(author, 8, kinds):
        resumes = ".PAUSE." in step.subject and not step.body  # nats-server delivers when it has another reason
        steps += [step, *([pub("p.a")] if resumes else []), REST]
    return [*steps, *end("P")]


def waiting(author: Author) -> list[Step]:
    """Requests that wait for messages."""
    some = author.some
    steps = [make("W", "w.>", retention=some("limits", "limits", "workqueue", "interest"))]
    limits = author.maybe(
        0.3, max_waiting=lambda: 2, max_ack_pending=lambda: some(1, 3), max_batch=lambda: 3, max_bytes=lambda: 60
    )
    # With too much unacknowledged nats-server lets those wait too who do not want to.
    at_once = {"expires": SECOND // 20} if "max_ack_pending" in limits else NO_WAIT
    steps += [consume("W", "X", **limits)]
    kinds: list[tuple[int, Callable[[], Step]]] = [
        (4, lambda: ask("W.X", some(1, 2, 3), **author.maybe(0.2, max_bytes=lambda: some(40, 90)))),
        (5, lambda: pub(f"w.{some('a', 'b')}", author.payload())),
        (4, lambda: author.answer(b"", b"-NAK", b"+TERM", b"+ACK")),
        (2, lambda: Step("", some(b"+NXT", b"+NXT 2", b'+NXT {"batch": 2}', b'+NXT {"no_wait": false}'), (), 0, author.number(9999))),
        (2, lambda: api("CONSUMER.INFO.W.X")), (1, lambda: take("W.X", 2, **at_once)), (1, lambda: ask("W.X", **at_once)),
        (1, lambda: api("CONSUMER.MSG.NEXT.W.X", some(b"", b"2", b"x", b"0", b"-1", b" 3 "))._replace(answers=0)),
        (1, lambda: api("STREAM.MSG.DELETE.W", {"seq": author.number(9)})),
    ]  # fmt: skip
    for step in shares(author, 10, kinds):
        steps += [step, REST]
    return [*steps, *([api("CONSUMER.DELETE.W.X"), REST] if author.number(2) else []), *end("W")]


def grouped(author: Author) -> list[Step]:
    """Priority groups."""
    some = author.some
    policy = some("overflow", "pinned_client", "prioritized")
    steps = [make("G", "g.>"), *(pub("g.a", author.payload()) for _ in range(4))]
    steps.append(
        consume(
            "G", "X", priority_policy=policy, priority_groups=["g"], **author.maybe(0.3, priority_timeout=lambda: HOUR)
        )
    )

    def asked() -> dict[str, Any]:
        fields = author.maybe(
            0.3, min_pending=lambda: some(1, 3, 50), min_ack_pending=lambda: some(1, 2), priority=lambda: some(0, 1, 5, 10),
            id=lambda: some(PIN, PIN, "x"),
        )  # fmt: skip
        return {"group": some("g", "g", "g", "g", "g", "h", ""), **fields}

    kinds: list[tuple[int, Callable[[], Step]]] = [
        (5, lambda: take("G.X", some(1, 2), **asked(), no_wait=True)), (3, lambda: ask("G.X", 1, **asked())),
        (2, lambda: api("CONSUMER.INFO.G.X")), (2, lambda: pub("g.a", author.payload())), (1, lambda: take("G.X")),
        (1, lambda: api("CONSUMER.UNPIN.G.X", {"group": some("g", "g", "x")})),
        (3, lambda: author.answer(b"", b"-NAK")),
    ]  # fmt: skip
    for step in shares(author, 10, kinds):
        steps += [step, REST]
    return [*steps, *end("G")]


def atomic(author: Author) -> list[Step]:
    """Batches of which all is stored, or nothing."""
    some = author.some
    fields = author.maybe(
        0.25, allow_rollup_hdrs=lambda: True, allow_msg_ttl=lambda: True, max_msgs=lambda: 4, discard=lambda: some("new", "old"),
        storage=lambda: "memory", allow_msg_counter=lambda: True, max_msgs_per_subject=lambda: 2, deny_delete=lambda: True,
    )  # fmt: skip
    steps = [make("A", "a.>", allow_atomic=True, **fields)]
    for number in range(some(3, 5)):
        name, length = f"b{number}" if author.number(8) else "b0", some(1, 2, 3, 4)
        for seq in range(1, length + 1):
            at = str(seq if author.number(20) else some(0, 2, 9, "x", ""))
            more = author.maybe(
                0.07, Nats_Msg_Id=lambda: str(author.number(4)), Nats_Expected_Last_Sequence=lambda: str(author.number(9)),
                Nats_Expected_Last_Subject_Sequence=lambda: str(author.number(6)), Nats_Rollup=lambda: some("sub", "all"),
                Nats_TTL=lambda: "1h", Nats_Incr=lambda: "1", Nats_Expected_Last_Msg_Id=lambda: "1",
                Nats_Expected_Stream=lambda: some("A", "Z"), Nats_Required_Api_Level=lambda: some("1", "99"),
            )  # fmt: skip
            if "allow_msg_counter" in fields:
                more["Nats_Incr"] = "1"
            if seq == length and author.number(8):
                more["Nats_Batch_Commit"] = some("1", "1", "1", "eob", "x")
            payload = b"" if "Nats_Incr" in more else author.payload()
            steps.append(pub(f"a.{some('a', 'b')}", payload, Nats_Batch_Id=name, Nats_Batch_Sequence=at, **more))
        steps.append(some(api("STREAM.INFO.A"), pub("a.a", author.payload())))
    return [*steps, *end("A")]


def fast(author: Author) -> list[Step]:
    """Fast batches: what controls them stands in the reply."""
    some = author.some
    steps = [make("F", "f.>", allow_batched=True, **author.maybe(0.2, max_msgs=lambda: 4, storage=lambda: "memory"))]
    for number in range(some(2, 3)):
        flow, gap, length, missing = some(1, 2, 10), some("ok", "fail"), some(1, 2, 4, 6), 0
        for seq in range(1, length + 1):
            operation = 0 if seq == 1 else some(2, 2, 2, 3, 1) if seq == length else some(1, 1, 1, 1, 1, 4)
            missing += 0 if author.number(20) else some(1, 4)  # back again: nats-server may never answer
            at = seq + missing
            more = author.maybe(
                0.05, Nats_Expected_Last_Sequence=lambda: "9", Nats_Msg_Id=lambda: "1", Nats_TTL=lambda: "1h"
            )
            step = pub(f"f.{some('a', 'b')}", author.payload(), **more)
            steps.append(step._replace(reply=f"u{number}.{flow}.{gap}.{at}.{operation}.$FI", answers=0))
        steps += [REST, api("STREAM.INFO.F")]
    return [*steps, *end("F")]


def counting(author: Author) -> list[Step]:
    some = author.some
    steps = [
        make("N", "n.>", allow_msg_counter=True, allow_direct=True, **author.maybe(0.3, max_msgs_per_subject=lambda: 1))
    ]
    kinds: list[tuple[int, Callable[[], Step]]] = [
        (9, lambda: pub(f"n.{some('a', 'b')}", b"", Nats_Incr=some("1", "+5", "-7", "0", "9" * 30, "x", "1.5", ""),
                        **author.maybe(0.08, Nats_Msg_Id=lambda: "1", Nats_Rollup=lambda: "sub", Nats_TTL=lambda: "1h"))),
        (1, lambda: pub("n.a", author.payload())), (1, lambda: pub("n.a", b"x", Nats_Incr="1")),
        (3, lambda: api(f"DIRECT.GET.N.n.{some('a', 'b')}")), (1, lambda: api("STREAM.PURGE.N", {"filter": "n.a"})),
        (1, lambda: api("STREAM.MSG.DELETE.N", {"seq": author.number(9)})),
        (1, lambda: api("DIRECT.GET.N", {"multi_last": ["n.>"]})),
    ]  # fmt: skip
    return [*steps, *shares(author, 14, kinds), *end("N")]


def scheduling(author: Author) -> list[Step]:
    """Schedules that are refused, replaced and taken away; what they publish takes time."""
    some = author.some
    steps = [
        make(
            "H",
            "h.>",
            **({"allow_msg_schedules": True} if author.number(5) else {}),
            **author.maybe(0.4, allow_msg_ttl=lambda: True),
        )
    ]
    patterns = (
        f"@at {FUTURE}",
        "@every 1h",
        "@hourly",
        "0 0 0 1 1 *",
        "x",
        "@every 1ms",
        "@at x",
        "0 0 0 1 1",
        "@every 24h",
    )
    for _ in range(10):
        more = author.maybe(
            0.15, Nats_Schedule_TTL=lambda: some("1h", "x"), Nats_Schedule_Rollup=lambda: some("sub", "all"),
            Nats_Schedule_Source=lambda: some("h.s", "h.*", "h.t", "z"), Nats_Schedule_Time_Zone=lambda: some("UTC", "x", "Europe/Berlin"),
            Nats_Rollup=lambda: some("sub", "all"), Nats_TTL=lambda: "1h", Nats_Msg_Id=lambda: str(author.number(3)),
        )  # fmt: skip
        steps.append(pub(f"h.{some('a', 'b')}", author.payload(), Nats_Schedule=some(*patterns),
                         Nats_Schedule_Target=some("h.t", "h.t", "h.t", "h.a", "h.*", "z"), **more))  # fmt: skip
        steps.append(some(api("STREAM.INFO.H"), pub("h.s", author.payload()), api("STREAM.MSG.GET.H", {"last_by_subj": "h.a"}),
                          api("STREAM.PURGE.H", {"filter": "h.b"}), pub("h.a")))  # fmt: skip
    return [*steps, *end("H")]


def unnamed(author: Author) -> list[Step]:
    """Consumers without a name, and what goes back to the beginning."""
    some = author.some
    steps = [make("E", "e.>"), *(pub(f"e.{some('a', 'b')}", author.payload()) for _ in range(5))]
    place = f"E.{MADE_UP_NAME}"
    kinds: list[tuple[int, Callable[[], Step]]] = [
        (2, lambda: consume("E", "", **author.maybe(0.3, deliver_policy=lambda: some("last", "new"), ack_policy=lambda: "none",
                                                    filter_subject=lambda: "e.a", mem_storage=lambda: True))),
        (5, lambda: api(f"CONSUMER.MSG.NEXT.{place}", {"batch": some(1, 3), **NO_WAIT, **author.fields(PULL_FIELDS, 0.05)})),
        (3, lambda: author.answer(b"", b"-NAK", b"+TERM")),
        (2, lambda: api(f"CONSUMER.INFO.{place}")), (1, lambda: api(f"CONSUMER.DELETE.{place}")),
        (2, lambda: api(f"CONSUMER.RESET.{place}", some(None, {"seq": author.number(5)}))),
        (1, lambda: api(f"CONSUMER.PAUSE.{place}", some(None, {"pause_until": some(PAST, FUTURE)}))), (1, lambda: api("CONSUMER.NAMES.E")),
    ]  # fmt: skip
    return [*steps, consume("E", ""), *shares(author, 14, kinds), *end("E")]


def again(author: Author) -> list[Step]:
    """What is delivered more than once, up to a limit and beyond; acks of all that came before."""
    some = author.some
    name = f"D{author.number(1_000_000)}"  # an ack from another life would acknowledge all up to somewhere
    place = f"{name}.X"
    steps = [make(name, "d.>", **author.maybe(0.3, storage=lambda: "memory", max_msgs=lambda: 6))]
    steps += [pub(f"d.{some('a', 'b')}", author.payload()) for _ in range(5)]
    fields = author.maybe(
        0.35, ack_policy=lambda: some("all", "none"), max_deliver=lambda: some(1, 2, 3), headers_only=lambda: True,
        deliver_policy=lambda: some("last_per_subject", "last", "by_start_sequence"), backoff=lambda: [HOUR],
        mem_storage=lambda: True, sample_freq=lambda: "100", replay_policy=lambda: "instant",
    )  # fmt: skip
    if fields.get("deliver_policy") == "by_start_sequence":
        fields["opt_start_seq"] = some(1, 3, 9)
    filters = {"filter_subject": some("d.>", "d.a")}
    kinds: list[tuple[int, Callable[[], Step]]] = [
        (6, lambda: take(place, some(1, 2, 4))), (6, lambda: author.answer(b"-NAK")),
        (5, lambda: author.answer(b"", b"+ACK", b"+TERM", b"+WPI", b"-NAK 1h")), (3, lambda: api(f"CONSUMER.INFO.{place}")),
        (2, lambda: pub(f"d.{some('a', 'b')}", author.payload())), (1, lambda: api(f"STREAM.MSG.DELETE.{name}", {"seq": author.number(7)})),
        (1, lambda: consume(name, "X", **filters, **fields | {"description": some("d", "e")})),
        (1, lambda: api(f"STREAM.INFO.{name}")),
    ]  # fmt: skip
    return [*steps, consume(name, "X", **filters, **fields), *shares(author, 25, kinds), *end(name)]


def handled(author: Author) -> list[Step]:
    """What is kept only for as long as somebody needs it."""
    some = author.some
    queue = some(True, False)
    filters = [{"filter_subject": "k.a"}, {"filter_subject": "k.b"}] if queue or author.number(2) else [{}, {}]
    steps = [
        make("K", "k.*", retention="workqueue" if queue else "interest", **author.maybe(0.2, storage=lambda: "memory"))
    ]
    kinds: list[tuple[int, Callable[[], Step]]] = [
        (2, lambda: consume("K", "X", **filters[0])), (2, lambda: consume("K", "Y", **filters[1])),
        (8, lambda: pub(f"k.{some('a', 'b', 'c')}", author.payload())), (8, lambda: take(f"K.{some('X', 'Y')}", some(1, 3))),
        (8, lambda: author.answer(b"", b"+ACK", b"-NAK", b"+TERM")),
        (4, lambda: api("STREAM.INFO.K")), (1, lambda: api(f"CONSUMER.DELETE.K.{some('X', 'Y')}")),
        (1, lambda: api("STREAM.MSG.DELETE.K", {"seq": author.number(9)})), (2, lambda: api(f"CONSUMER.INFO.K.{some('X', 'Y')}")),
    ]  # fmt: skip
    first = [consume("K", "X", **filters[0]), consume("K", "Y", **filters[1])]
    return [*steps, *first, *shares(author, 25, kinds), *end("K")]


def turned(author: Author) -> list[Step]:
    """Subjects that are transformed, and what is published once more."""
    some = author.some
    fields: dict[str, Any] = {}
    if author.number(3):
        fields["subject_transform"] = some(
            {"src": "r.*", "dest": "z.$1"}, {"src": "r.>", "dest": "r.x.>"}, {"src": "r.*.*", "dest": "r.$2.$1"}
        )
    if author.number(3):
        fields["republish"] = some(
            {"src": ">", "dest": "again.>"}, {"src": "r.*", "dest": "again.$1", "headers_only": True}
        )
    to = f"again{author.number(1_000_000)}"
    if "republish" in fields:
        fields["republish"]["dest"] = fields["republish"]["dest"].replace("again", to)
    steps = [make("R", "r.>", allow_direct=True, **fields), Step(f"SUB {to}.>", answers=0)]
    for _ in range(6):
        steps += [
            pub(
                f"r.{some('a', 'b', 'c.d')}",
                author.payload(),
                **author.maybe(0.2, Other=lambda: "h", Nats_Msg_Id=lambda: "1"),
            ),
            REST,
        ]
    return [*steps, api("DIRECT.GET.R", {"batch": 9, "seq": 1}), *end("R")]


def sized(author: Author) -> list[Step]:
    """Limits by the byte: no headers, which are counted otherwise."""
    some = author.some
    fields = author.maybe(
        0.5, max_bytes=lambda: some(120, 300, 1000), discard=lambda: some("old", "new"), max_msgs=lambda: some(3, 8),
        max_msgs_per_subject=lambda: some(1, 3), max_msg_size=lambda: 15, storage=lambda: some("file", "memory"),
    )  # fmt: skip
    kinds: list[tuple[int, Callable[[], Step]]] = [
        (12, lambda: pub(f"z.{some('a', 'b', 'c')}", author.payload())), (2, lambda: api("STREAM.INFO.Z")),
        (1, lambda: api("STREAM.MSG.DELETE.Z", {"seq": author.number(20)})), (1, lambda: api("STREAM.PURGE.Z", {"keep": 2})),
        (1, lambda: api("STREAM.UPDATE.Z", {"name": "Z", "subjects": ["z.>"], **fields, "max_bytes": some(100, 200, 400)})),
    ]  # fmt: skip
    return [make("Z", "z.>", **fields), *shares(author, 20, kinds), *end("Z")]


def copied(author: Author) -> list[Step]:
    """A mirror, and a stream that takes from two."""
    some = author.some
    steps = [make("O", "o.*", **author.maybe(0.3, storage=lambda: "memory", first_seq=lambda: 5)), make("Q", "q.*")]
    steps += [pub(f"o.{some('a', 'b')}", author.payload()) for _ in range(some(0, 4))]
    mirror = some(
        {"name": "O"}, {"name": "O", "opt_start_seq": 1}, {"name": "NONE"}, {"name": "M"},
        {"name": "O", "subject_transforms": [{"src": "o.*", "dest": "moved.$1"}]}, {"name": "O", "filter_subject": "o..x"},
    )  # fmt: skip
    sources = some(
        [{"name": "O"}, {"name": "Q"}], [{"name": "O", "filter_subject": "o.b"}], [{"name": "O"}, {"name": "O"}], [{"name": "NONE"}],
        [{"name": "O", "subject_transforms": [{"src": "o.a", "dest": "x.a"}]}, {"name": "Q", "opt_start_seq": 1}],
    )  # fmt: skip
    more = author.maybe(
        0.2, mirror_direct=lambda: True, subjects=lambda: ["m"], first_seq=lambda: 3, allow_direct=lambda: True
    )
    steps += [api("STREAM.CREATE.M", {"name": "M", "mirror": mirror, **more}), REST]
    own = some({}, {"subjects": ["own"]})
    steps += [
        api("STREAM.CREATE.C", {"name": "C", "sources": sources, **own, **author.maybe(0.3, max_msgs=lambda: 3)}),
        REST,
    ]
    kinds: list[tuple[int, Callable[[], Step]]] = [
        (4, lambda: pub(f"o.{some('a', 'b')}", author.payload(), **author.maybe(0.2, Other=lambda: "h", Nats_Msg_Id=lambda: "1"))),
        (2, lambda: pub(f"q.{some('a', 'b')}", author.payload())), (1, lambda: pub("own", author.payload())),
        (1, lambda: pub("m", author.payload())), (2, lambda: api(f"STREAM.INFO.{some('M', 'C')}", {"subjects_filter": ">"})),
        (2, lambda: api(f"STREAM.MSG.GET.{some('M', 'C')}", {"seq": author.number(6)})), (1, lambda: api("STREAM.LIST")),
        (1, lambda: api("STREAM.PURGE.M")), (1, lambda: api("DIRECT.GET.O", {"seq": 1})), (1, lambda: api("CONSUMER.NAMES.O")),
        (1, lambda: api("STREAM.MSG.DELETE.O", {"seq": author.number(6)})),
    ]  # fmt: skip
    for step in shares(author, 8, kinds):
        steps += [step, REST]
    return [*steps, *end("M"), *end("C"), *end("O"), *end("Q")]


SCENES: list[Callable[[Author], list[Step]]] = [
    bucket, bucket, objects, pushing, waiting, grouped, atomic, atomic, fast, counting, scheduling, unnamed, again, again, handled, turned, sized, copied,
]  # fmt: skip
