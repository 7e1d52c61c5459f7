"""Makes up conversations with JetStream: requests with whatever fields, right and wrong, publishes with whatever headers.
The same seed and length are the same conversation.  Nothing in one expires while it lasts, and nothing is random to it but
what its seed says."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from tests.e2e.jetstream_words import CONSUMER_FIELDS, HOUR, PULL_FIELDS, SECOND, STREAM_FIELDS, Word
from tests.e2e.talk import Step

QUIET = "(rest)"  # everything that is under way has come
MADE_UP_NAME = "<made up>"  # of the consumer that was created without one
PIN = "<pin>"  # the id that the last pinned client was told

STREAMS = {"S": ["s.>"], "T": ["t.*", "u"], "V": ["v.>"]}
SUBJECTS = {"S": ["s.a", "s.b", "s.c", "s.d.e", "s.a", "s.a"], "T": ["t.x", "t.y", "u"], "V": ["v.a", "v.b"]}
PATTERNS = ["s.a", "s.*", "s.>", "t.*", "u", "v.>", ">", "x.>", "s.d.*"]
CONSUMERS = ["C", "D", "E"]
FILTERS = ("filter_subject", "filter_subjects")
WRONG = ("x", True, [], {}, {"x": 1}, 1.5, ["x"], [""])
NUMBERS = (None, "", 1, -1, 0, [1], [None], 1 << 63, -(1 << 62), 1 << 64)
# Of these a number may leave a request for what is there at once waiting for ever, or be a time that is over while the conversation lasts, or one that is taken for the longest.
TIMES = (
    "ack_wait", "inactive_threshold", "backoff", "expires", "idle_heartbeat", "max_expires", "max_age", "duplicate_window",
    "subject_delete_marker_ttl", "consumer_limits", "max_ack_pending",
)  # fmt: skip
NO_WAIT = {"batch": 50, "no_wait": True}
PAST, FUTURE = "2020-01-01T00:00:00Z", "2220-01-01T00:00:00Z"


def api(call: str, body: Any = None, **headers: str) -> Step:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return Step(f"$JS.API.{call}", data, _named(headers))


def pub(subject: str, payload: bytes = b"x", **headers: str) -> Step:
    return Step(subject, payload, _named(headers))


def _named(headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", "-"), value) for name, value in headers.items())


class Author:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.filters: dict[tuple[str, str], dict[str, Any]] = {}  # of stream and consumer
        self.naked = False  # may somebody be due another delivery?
        self.sent = dict.fromkeys(STREAMS, 0)  # about the last sequence of each

    def conversation(self, length: int) -> list[Step]:
        from tests.e2e.jetstream_scenes import SCENES

        steps = [self._plain("S"), self._plain("T")]
        kinds: list[tuple[int, Callable[[], Step | list[Step]]]] = [
            (30, self.publish), (10, self.pull), (10, self.ack), (6, self.consumer), (5, self.stream), (6, self.get),
            (3, self.remove), (4, self.info), (2, self.purge), (2, self.delete), (4, self.nonsense), (2, self.consumer_call),
            (2, self.anew), (2, self.update),
        ]  # fmt: skip
        weights, makers = zip(*kinds, strict=True)
        while len(steps) < length:
            if self.dice.random() < 0.02:
                steps += self.dice.choice(SCENES)(self)
            else:
                made = self.dice.choices(makers, weights)[0]()
                steps += made if isinstance(made, list) else [made]
        return [*steps[: length - 1], Step(QUIET)]

    # ---- dice

    def some(self, *choices: Any) -> Any:
        return self.dice.choice(choices)

    def number(self, end: int) -> int:
        return self.dice.randrange(end)

    def maybe(self, share: float, **fields: Callable[[], Any]) -> dict[str, Any]:
        return {name: make() for name, make in fields.items() if self.dice.random() < share}

    def fields(self, words: dict[str, Word], share: float, wrong: float = 0.05) -> dict[str, Any]:
        """Some of them, and seldom one that is wrong."""
        found = {}
        for name, word in words.items():
            if self.dice.random() < share:
                found[name] = self.dice.choice(word.wrong if word.wrong and self.dice.random() < wrong else word.right)
        return found

    def near(self, last: int) -> int:
        return max(last + self.dice.choice((-9, -2, -1, -1, 0, 0, 0, 0, 1, 7)), 0)

    # ---- streams

    def _create(self, name: str, more: dict[str, Any], call: str = "CREATE") -> Step:
        return api(f"STREAM.{call}.{name}", {"name": name, "subjects": STREAMS[name], **more})

    def _plain(self, name: str) -> Step:
        self.sent[name] = 0
        return self._create(
            name, self.some({}, {}, {"allow_direct": True}, {"allow_direct": True, "storage": "memory"})
        )

    def stream(self) -> Step:
        name = self.some(*STREAMS)
        return self._create(name, self.fields(STREAM_FIELDS, 0.06, 0.1), self.some("CREATE", "UPDATE"))

    def update(self) -> Step:
        """One field only: that is seldom refused."""
        name, field = self.some(*STREAMS), self.some(*STREAM_FIELDS)
        return self._create(name, {field: self.dice.choice(STREAM_FIELDS[field].right)}, "UPDATE")

    def anew(self) -> Step:
        name = self.some(*STREAMS)
        return self.some(api(f"STREAM.DELETE.{name}"), self._plain(name), self._plain(name))

    def info(self) -> Step:
        name, some = self.some(*STREAMS, "NONE"), self.some
        return some(
            api(f"STREAM.INFO.{name}"), api(f"STREAM.INFO.{name}", {"subjects_filter": some(*PATTERNS)}),
            api(f"STREAM.INFO.{name}", {"deleted_details": True, "offset": some(0, 1, 99)}), api("STREAM.NAMES"),
            api("STREAM.NAMES", {"subject": some(*PATTERNS)}), api("STREAM.LIST"), api("INFO"),
            api("STREAM.LIST", {"subject": some(*PATTERNS), "offset": some(0, 1, 9)}),
            api(f"STREAM.INFO.{name}", {"subjects_filter": some(*PATTERNS), "offset": some(0, 1, 9), "deleted_details": True}),
            api(f"CONSUMER.INFO.{name}.{some(*CONSUMERS)}"), api(f"CONSUMER.NAMES.{name}"), api(f"CONSUMER.LIST.{name}"),
            api(f"CONSUMER.LIST.{name}", {"offset": some(0, 1, 9)}), api(f"CONSUMER.INFO.{name}.{some(*CONSUMERS)}"),
        )  # fmt: skip

    def purge(self) -> list[Step]:
        """What somebody wants again comes first: nats-server's purge forgets that until its ack is due."""
        drained = []
        if self.naked:
            self.naked = False
            drained = [
                api(f"CONSUMER.MSG.NEXT.{stream}.{name}", NO_WAIT) for stream in ("S", "T") for name in CONSUMERS
            ]
        return [*drained, self.purged()]

    def purged(self) -> Step:
        name, some = self.some(*STREAMS), self.some
        seq = self.near(self.sent[name])
        body = some(
            None, {"filter": some(*PATTERNS)}, {"seq": seq}, {"keep": self.number(9)}, {"filter": some(*PATTERNS), "keep": self.number(4)},
            {"seq": 3, "keep": 1}, {"filter": SUBJECTS[name][0], "seq": seq}, {"filter": "s..x"}, {},
        )  # fmt: skip
        return api(f"STREAM.PURGE.{name}", body)

    def delete(self) -> Step:
        name = self.some(*STREAMS)
        return self.some(api(f"STREAM.DELETE.{name}"), *[api(f"CONSUMER.DELETE.{name}.{self.some(*CONSUMERS)}")] * 2)

    # ---- messages

    def publish(self) -> Step:
        name = self.some("S", "S", "S", "T", "T", "V")
        return self.publish_to(name, self.some(*SUBJECTS[name]) if self.number(60) else "nowhere")

    def publish_to(self, name: str, subject: str, share: float = 0.04) -> Step:
        some, last = self.some, self.sent.setdefault(name, 0)
        self.sent[name] += 1
        headers = self.maybe(
            share,
            Nats_Msg_Id=lambda: str(self.number(6)), Nats_Expected_Stream=lambda: some(name, name, "T", ""),
            Nats_Expected_Last_Sequence=lambda: some(str(self.near(last)), str(self.near(last)), "x", "-1", ""),
            Nats_Expected_Last_Subject_Sequence=lambda: some(str(self.near(last)), "0", str(self.near(last - 2)), "x"),
            Nats_Expected_Last_Subject_Sequence_Subject=lambda: some(*PATTERNS, subject),
            Nats_Expected_Last_Msg_Id=lambda: str(self.number(6)), Nats_Rollup=lambda: some("sub", "all", "x", "SUB"),
            Nats_TTL=lambda: some("1h", "never", "x", "3600", "0", "1ms", "-1"), Nats_Incr=lambda: some("+1", "-2", "x"),
            Nats_Schedule=lambda: some(f"@at {FUTURE}", "@every 1h", "x"), Nats_Schedule_Target=lambda: some(*SUBJECTS[name]),
            Nats_Required_Api_Level=lambda: some("1", "99"), Nats_Batch_Commit=lambda: "1", Other=lambda: "value",
            KV_Operation=lambda: some("DEL", "PURGE"), Nats_Stream_Source=lambda: "S 1",
        ) if self.number(2) else {}  # fmt: skip
        empty = "Nats_Incr" in headers and self.number(5)
        return pub(subject, b"" if empty else self.payload(), **headers)

    def payload(self) -> bytes:
        return self.dice.randbytes(self.number(12)).hex().encode()

    def get(self) -> Step:
        name, some = self.some(*STREAMS), self.some
        seq = some(self.near(self.sent[name]), self.number(self.sent[name] + 2))
        single = some(
            {"seq": seq}, {"last_by_subj": some(*PATTERNS, *SUBJECTS[name])}, {"seq": seq, "next_by_subj": some(*PATTERNS)},
            {"next_by_subj": some(*PATTERNS)}, {"seq": 0}, {}, {"seq": seq, "last_by_subj": "s.a"}, {"seq": seq, "no_hdr": True},
            {"start_time": some(PAST, FUTURE)}, {"start_time": PAST, "next_by_subj": some(*PATTERNS)}, {"last_by_subj": "s..x"},
        )  # fmt: skip
        if self.number(2):
            return api(f"STREAM.MSG.GET.{name}", single)
        if self.number(4) == 0:
            return api(f"DIRECT.GET.{name}.{some(*SUBJECTS[name])}", some(None, {}, {"no_hdr": True}))
        patterns = [some(*PATTERNS) for _ in range(some(1, 1, 2))]
        many = some(
            single, {"batch": some(1, 3, 50), **single}, {"batch": 9, "seq": seq, "max_bytes": some(1, 30, 100)},
            {"multi_last": patterns}, {"multi_last": patterns, "batch": some(1, 2)}, {"multi_last": patterns, "max_bytes": some(1, 60)},
            {"multi_last": patterns, "seq": seq}, {"batch": 5, "start_time": some(PAST, FUTURE)}, {"multi_last": []},
            {"batch": 4, "next_by_subj": some(*PATTERNS)}, {"multi_last": patterns, "no_hdr": True},
            {"multi_last": patterns, "up_to_seq": seq}, {"multi_last": patterns, "up_to_time": some(PAST, FUTURE)},
        )  # fmt: skip
        return api(f"DIRECT.GET.{name}", many)

    def remove(self) -> Step:
        name = self.some(*STREAMS)
        seq = self.some(self.near(self.sent[name]), self.number(self.sent[name] + 2))
        return api(f"STREAM.MSG.DELETE.{name}", {"seq": seq, **self.maybe(0.3, no_erase=lambda: True)})

    # ---- consumers

    def consumer(self) -> Step:
        return self.consumer_of(self.some("S", "S", "T"), self.some(*CONSUMERS))

    def consumer_of(self, stream: str, name: str, **fixed: Any) -> Step:
        more = self._filtered(stream, name, self.fields(CONSUMER_FIELDS, 0.06)) | fixed
        base = {"name": name} if name == "E" else {"durable_name": name}
        config = {**base, "ack_policy": "explicit", "ack_wait": HOUR, **more}
        if "durable_name" not in config:  # none goes while a conversation lasts
            config.setdefault("inactive_threshold", HOUR)
        if config.get("backoff"):
            config.pop("ack_wait")
        action = self.maybe(0.2, action=lambda: self.some("create", "update", "create", "update", "x"))
        body = {"stream_name": stream, "config": config, **action, **self.maybe(0.03, pedantic=lambda: True)}
        forms = [f"{stream}.{name}"] * 8
        if self.number(10) == 0:
            forms = [f"{stream}.{name}.{config.get('filter_subject', 's.a')}", f"{stream}.OTHER", stream]
        if self.number(20) == 0:
            return api(f"CONSUMER.DURABLE.CREATE.{stream}.{name}", body)
        return api(f"CONSUMER.CREATE.{self.some(*forms)}", body)

    def _filtered(self, stream: str, name: str, more: dict[str, Any]) -> dict[str, Any]:
        """Each has its own filter for good: of what a consumer has looked at under another one nats-server delivers
        nothing any more, and whether it has looked is chance."""
        wrong = [field for field in FILTERS if more.get(field) in CONSUMER_FIELDS[field].wrong]
        more = {field: value for field, value in more.items() if field not in FILTERS or field in wrong}
        if wrong or name == "E":
            return more
        known = self.filters.get((stream, name))
        if known is None:
            field = FILTERS[name == "D"]
            known = self.filters[stream, name] = {field: self.some(*filter(None, CONSUMER_FIELDS[field].right))}
        return more | known

    def consumer_call(self) -> Step:
        place, some = f"{self.some('S', 'S', 'T')}.{self.some(*CONSUMERS)}", self.some
        return some(
            api(f"CONSUMER.PAUSE.{place}", {"pause_until": some(PAST, FUTURE, "x")}), api(f"CONSUMER.PAUSE.{place}"),
            api(f"CONSUMER.PAUSE.{place}"), api(f"CONSUMER.INFO.{place}"), api(f"CONSUMER.UNPIN.{place}", {"group": some("g", "x", "")}),
            api(f"CONSUMER.RESET.{place}"), api(f"CONSUMER.RESET.{place}", {"seq": self.number(2)}),
        )  # fmt: skip

    def pull(self) -> Step:
        return self.pull_of(f"{self.some('S', 'S', 'T')}.{self.some(*CONSUMERS)}")

    def pull_of(self, place: str) -> Step:
        """Each has an end: nothing waits longer than the step lasts."""
        ends = self.some({"no_wait": True}, {"no_wait": True}, {"no_wait": True}, {"expires": SECOND // 20})
        return api(
            f"CONSUMER.MSG.NEXT.{place}",
            {"batch": self.some(1, 1, 2, 3, 5, 9), **ends, **self.fields(PULL_FIELDS, 0.03)},
        )

    def ack(self) -> Step:
        kinds = (
            b"",
            b"+ACK",
            b"-NAK",
            b"+WPI",
            b"+TERM",
            b"+ACK",
            b"",
            b"+OK",
            b'-NAK {"delay": 3600000000000}',
            b"-NAK 1h",
            b"+TERM why",
            b"x",
        )
        return self.answer(*kinds)

    def answer(self, *kinds: bytes) -> Step:
        """To any delivery that there was."""
        kind = self.some(*kinds)
        self.naked = self.naked or kind == b"-NAK"
        return Step("", kind, (), 1, self.number(10_000))

    # ---- what is wrong

    def nonsense(self) -> Step:
        if self.number(3):
            return self.spoiled(
                self.some(self.stream, self.consumer, self.get, self.purged, self.pull, self.remove, self.info)()
            )
        return self.some(
            api("STREAM.CREATE.X", {"name": "Y", "subjects": ["x"]}), api("STREAM.CREATE.S", b"{"),
            api("CONSUMER.CREATE.NONE.C", {"stream_name": "NONE", "config": {"durable_name": "C"}}),
            api("STREAM.INFO.S", b"[]"), api("CONSUMER.INFO.S.NONE"), api("STREAM.MSG.GET.S", b"x"),
            api("STREAM.CREATE.Z", {"name": "Z", "subjects": ["s.a"]}), api("STREAM.DELETE.NONE"), api("STREAM.PURGE.NONE"),
            api("STREAM.INFO.S", Nats_Required_Api_Level="99"), api("CONSUMER.MSG.NEXT.NONE.C"), api("DIRECT.GET.NONE", {"seq": 1}),
            api("STREAM.UPDATE.Z", {"name": "Z"}), api("CONSUMER.CREATE.S.C", {"stream_name": "T", "config": {"durable_name": "C"}}),
            Step("$JS.ACK.S.C.1.1.1.1.1", b"+ACK"), Step("$JS.ACK.NONE.C.1.1.1.1.1", b"+ACK"),
        )  # fmt: skip

    def spoiled(self, step: Step) -> Step:
        """One thing in its JSON is wrong."""
        try:
            body = json.loads(step.body)
        except ValueError:
            return step
        if not isinstance(body, dict) or not body:
            return step._replace(body=self.some(b"{", b"[]", b"x", b"null", b'"s"', b"{}x", b'{"x":1}'))
        place = body["config"] if isinstance(body.get("config"), dict) and self.number(4) else body
        name = self.some(*[field for field in place if field not in (*FILTERS, "priority_timeout")], "x")
        how = self.number(6)
        if how == 0:
            place["bogus"] = 1
        elif how == 1:
            place.pop(name, None)
        elif how == 2:
            place[name.upper()] = place.pop(name, 1)
        elif how == 3:
            text = json.dumps(body).encode()
            return step._replace(
                body=self.some(
                    text[: self.number(len(text))], text + b"}", b" " + text + b"\n", text.replace(b":", b"", 1)
                )
            )
        else:
            place[name] = self.some(*WRONG, *(() if name in TIMES else NUMBERS))
        return step._replace(body=json.dumps(body).encode())


def shares(author: Author, count: int, kinds: Sequence[tuple[int, Callable[[], Step]]]) -> list[Step]:
    """``count`` steps of these kinds."""
    weights, makers = zip(*kinds, strict=True)
    return [make() for make in author.dice.choices(makers, weights, k=count)]
