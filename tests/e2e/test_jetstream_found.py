"""What conversations made up at random have found (``made_up_jetstream.py``), each as short as it goes: the same requests
to our server and to the real one (``tests/e2e/talk.py``)."""

from collections.abc import Iterator

import pytest

from tests.e2e.talk import SECOND, Servers, Step, ack, api, consumer, info, pub, pull, stream

HOUR = 3600 * SECOND
FIVE = [stream("S"), *(pub(f"s.{name}") for name in "ababc")]
STATE = api("CONSUMER.INFO.S.C")
WAIT, NO_WAIT = {"batch": 9, "expires": SECOND // 20}, {"batch": 9, "no_wait": True}


def of(*filters: str, **fields: object) -> Step:
    one = {"filter_subject": filters[0]} if len(filters) == 1 else {"filter_subjects": filters} if filters else {}
    return consumer("C", ack_wait=HOUR, **one, **fields)


def purge(**fields: object) -> Step:
    return api("STREAM.PURGE.S", fields)


CONVERSATIONS: dict[str, list[Step]] = {
    "a purge of what nobody has seen": [*FIVE, of("s.b"), purge(seq=4), STATE, of("s.b", description="again")],
    "a purge of all that a consumer wants": [*FIVE, of("s.a"), pull("S.C", {"batch": 1}), purge(filter="s.*"), STATE],
    "a purge of one filter of two": [*FIVE, of("s.a", "s.b"), pull("S.C", {"batch": 3}, 3), purge(filter="s.a"), STATE],
    "a purge of both filters": [*FIVE, of("s.a", "s.b"), pull("S.C", {"batch": 3}, 3), purge(filter="s.*"), STATE],
    "a purge of less than the filter": [*FIVE, of("s.*"), pull("S.C", {"batch": 3}, 3), purge(filter="s.b"), STATE],
    "a purge that leaves some": [*FIVE, of(), pull("S.C", {"batch": 3}, 3), purge(keep=1), STATE],
    "a purge up to a sequence": [*FIVE, of(), pull("S.C", {"batch": 3}, 3), purge(seq=3), STATE, ack(2), STATE],
    "a purge of the pending ones but the last": [
        *FIVE, pub("s.a"), pub("s.d"), of("s.a", "s.d"), pull("S.C", {"batch": 4}, 4), purge(filter="s.a"), STATE,
    ],
    "a purge behind a look": [*FIVE, of("t.*"), pull("S.C", WAIT), STATE, purge(seq=2), STATE],
    "a purge behind no look": [*FIVE, of("t.*"), pull("S.C", NO_WAIT), STATE, purge(seq=2), STATE],
    "a purge of nothing in an empty stream": [stream("S"), purge(filter="s.x"), info(), purge(keep=1), info(), purge(), info()],
    "deletes in memory": [
        stream("S", storage="memory"), pub("s.a"), *(api("STREAM.MSG.DELETE.S", {"seq": seq}) for seq in (0, 9, 1, 1)),
    ],
    "acks out of order behind a gap": [*FIVE, of("s.b"), pull("S.C", {"batch": 2}, 2), ack(1), STATE, ack(0), STATE],
    "acks of what is acknowledged": [*FIVE, of("s.b"), pull("S.C", {"batch": 2}, 2), ack(0), ack(0), STATE, ack(1), STATE],
    "all acknowledged up to one": [*FIVE, of("s.a", ack_policy="all"), pull("S.C", {"batch": 2}, 2), ack(0), STATE, ack(0), STATE],
    "back to where it had looked": [
        *FIVE, of("s.a"), pull("S.C", WAIT, 3), ack(0), ack(1), STATE, api("CONSUMER.RESET.S.C"),
    ],
    "in progress, and due again": [*FIVE, of(), pull("S.C"), ack(0, b"-NAK"), ack(0, b"+WPI"), pull("S.C")],
    "due again, but later": [*FIVE, of(), pull("S.C"), ack(0, b"-NAK"), ack(0, b"-NAK 1h"), pull("S.C")],
    "headers only, so many bytes": [
        *FIVE, of(headers_only=True), pull("S.C", {"batch": 2, "max_bytes": 500, "no_wait": True}, 3),
    ],
    "no wait where the line is full": [
        stream("S"), of(max_waiting=1), pull("S.C", {"batch": 1}, 0), pull("S.C", NO_WAIT), pull("S.C", {"batch": 1}),
    ],
    "of each one, and three in all": [
        stream("S", max_msgs=3, max_msgs_per_subject=1), *(pub(f"s.{name}") for name in "acbccacbaa"), info(),
    ],
    "fields in other letters": [stream("S"), of(), api("CONSUMER.MSG.NEXT.S.C", {"BATCH": 1, "No_Wait": True})],
    "no end, and a bound for ends": [stream("S"), of(max_expires=SECOND), pull("S.C", NO_WAIT)],
    "two reasons against a request": [stream("S"), of(max_batch=2), pull("S.C", {"batch": 3, "min_pending": 1})],
    "a consumer becomes durable": [
        stream("S"), api("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {"name": "C", "ack_policy": "explicit"}}),
        consumer("C", description="d"), consumer("C", inactive_threshold=HOUR), consumer("C"),
    ],
    "interest goes to other subjects": [
        stream("S", retention="interest"), of("s.a"), pub("s.a"), pub("s.b"), of("s.b"), info(), pub("s.b"), info(),
    ],
    "interest that begins later": [
        *FIVE, of("s.a"), pull("S.C", {"batch": 2}, 2), ack(0), api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "retention": "interest"}),
        info(), ack(1), info(),
    ],
    "a counter with markers": [
        stream("S", allow_msg_counter=True, subject_delete_marker_ttl=HOUR),
        api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "allow_msg_counter": True, "subject_delete_marker_ttl": HOUR}),
    ],
    "the first sequence later": [stream("S"), api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "first_seq": 5}), info()],
    "roll-ups in other letters": [stream("S", allow_rollup_hdrs=True), pub("s.a"), pub("s.a", Nats_Rollup="Sub"), info()],
    "null in lists and maps": [
        stream("S", metadata={"a": None}), stream("T", subjects=[None]), of(metadata={"a": None}),
    ],
    "filters of origins that are none": [
        stream("O"),
        *(api("STREAM.CREATE.M", {"name": "M", "mirror": {"name": name, "filter_subject": "o..x"}}) for name in ("O", "NONE")),
        api("STREAM.CREATE.M", {"name": "M", "sources": [{"name": "O", "filter_subject": "o..x"}]}),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    both = Servers(tmp_path_factory.mktemp("servers"), len(CONVERSATIONS))
    yield both
    both.close()


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answers_are_those_of_nats_server(name: str, servers: Servers) -> None:
    servers.compare(CONVERSATIONS[name])
