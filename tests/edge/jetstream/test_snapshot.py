"""Snapshots and restores over both stores: the flow of chunks and acks, what is brought back, and what is not."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from edge.core.times import SECOND
from edge.errors import StoreError
from edge.jetstream.archive import OURS, S2_HEAD, ArchiveReader, ArchiveWriter, EndPart, Part, StreamPart
from edge.jetstream.limits import Limits
from edge.jetstream.restore import SLICE
from edge.store.contract import Row


def snapshot(bench: Any, name: str = "S", **fields: object) -> bytes:
    """Asked for, and every chunk acknowledged."""
    answer = bench.api(f"STREAM.SNAPSHOT.{name}", {"deliver_subject": "_I.chunks", **fields})
    assert "error" not in answer, answer
    data, end = follow(bench)
    assert end in (b"", b"NATS/1.0 204\r\n\r\n")
    return data


def follow(bench: Any) -> tuple[bytes, bytes]:
    """What comes as chunks, and the headers of the last."""
    data = b""
    waiting, bench.chunks[:] = list(bench.chunks), []
    while True:
        for _, reply, headers, payload in waiting:
            if not payload:
                return data, headers
            data += payload
            if reply:
                bench.account.publish(reply)
        bench.settle()
        waiting, bench.chunks[:] = list(bench.chunks), []
        assert waiting, "nothing more comes"


def restore(bench: Any, config: object, data: bytes, name: str = "S", piece: int = 4096) -> Any:
    """The answer that ends it: to the last chunk, or to the one that was refused."""
    answer = bench.api(f"STREAM.RESTORE.{name}", {"config": config, "state": {}})
    if "error" in answer:
        return answer
    for at in range(0, len(data), piece):
        if said := send(bench, answer["deliver_subject"], data[at : at + piece]):
            return said
    return send(bench, answer["deliver_subject"], b"")


def send(bench: Any, subject: str, data: bytes) -> Any:
    bench.take()
    bench.account.publish(subject, data, reply="_I.chunk")
    bench.settle()
    (said,) = [payload for subject, _, _, payload in bench.take() if subject == "_I.chunk"]
    return json.loads(said) if said else None


@pytest.fixture
def bench(bench: Any) -> Any:
    bench.chunks = []
    bench.account.subscribe("_I.chunks", lambda *message: bench.chunks.append(message))
    return bench


def listen(bench: Any) -> list[Any]:
    heard: list[Any] = []
    bench.account.subscribe("$JS.EVENT.ADVISORY.STREAM.>", lambda subject, *rest: heard.append((subject, json.loads(rest[2]))))
    return heard


def fill(bench: Any, messages: int = 30, size: int = 500, **fields: object) -> dict[str, Any]:
    stream = bench.stream(**fields)
    for i in range(messages):
        bench.stored(f"s.{i % 3}", bytes([i % 256]) * size, Nats_Msg_Id=f"id-{i}")
        bench.wall += 1000
    return stream.config.fields()


def noise(bench: Any, messages: int, size: int) -> None:
    """What does not get shorter."""
    for i in range(messages):
        bench.stored("s.9", random.Random(i).randbytes(size))


def everything(bench: Any) -> Any:
    """All that anybody can see of the stream, but for when it was made."""
    info, consumers = bench.api("STREAM.INFO.S", {"subjects_filter": ">", "deleted_details": True}), bench.api("CONSUMER.LIST.S")
    for told in [info, *consumers["consumers"]]:
        del told["created"], told["ts"]
    for consumer in consumers["consumers"]:
        for place in ("delivered", "ack_floor"):
            consumer[place].pop("last_active", None)
    stream = bench.js.streams["S"]
    rows = list(stream.walk(0))
    ids = {row.seq for row in rows}
    return info, consumers, rows, {seq for seq in stream.dedupe.seqs.values() if seq in ids}


def test_everything_comes_back(bench: Any, delivered: Callable[..., Any]) -> None:
    config = fill(bench, max_age=3600 * SECOND)
    bench.consumer("C")
    bench.consumer("D", ack_policy="none", filter_subject="s.1")
    ephemeral = {"name": "E", "inactive_threshold": 1000 * SECOND}
    bench.api("CONSUMER.CREATE.S.E", {"stream_name": "S", "config": ephemeral})
    replies = [message[1] for message in bench.pull(batch=8)]
    bench.pull("D", batch=3)
    for reply in (replies[0], replies[1], replies[4]):
        bench.account.publish(reply)
    bench.account.publish(replies[2], b"-NAK")
    bench.pull(batch=1)
    for seq in (3, 17):
        bench.api("STREAM.MSG.DELETE.S", {"seq": seq})
    bench.api("STREAM.PURGE.S", {"seq": 2})
    before = everything(bench)
    data = snapshot(bench)
    bench.api("STREAM.DELETE.S")
    answer = restore(bench, config, data)
    assert answer["state"]["messages"] == 27 and answer["config"]["name"] == "S"
    assert everything(bench) == before
    bench.reopen()
    assert everything(bench) == before
    bench.publish("s.0", Nats_Msg_Id="id-29")
    bench.settle()
    assert json.loads(bench.take()[0][3]) == {"stream": "S", "seq": 30, "duplicate": True}
    assert bench.stored("s.0") == [31]
    assert delivered(bench.pull(batch=1)) == [(9, 1)]
    bench.pass_time(31 * SECOND)
    assert {seq for seq, count in delivered(bench.pull(batch=10)) if count > 1} >= {4, 6, 7, 8}


def test_a_stream_without_messages_keeps_its_place(bench: Any) -> None:
    config = fill(bench, 5)
    bench.api("STREAM.PURGE.S")
    data = snapshot(bench, no_consumers=True)
    bench.api("STREAM.DELETE.S")
    assert restore(bench, config, data)["state"]["first_seq"] == 6
    assert bench.stored("s.0") == [6]


def test_without_consumers(bench: Any) -> None:
    config = fill(bench, 5)
    bench.consumer("C")
    data = snapshot(bench, no_consumers=True)
    bench.api("STREAM.DELETE.S")
    assert restore(bench, config, data)["state"]["consumer_count"] == 0


def test_another_configuration_holds_at_once(bench: Any) -> None:
    config = fill(bench)
    data = snapshot(bench)
    bench.api("STREAM.DELETE.S")
    answer = restore(bench, config | {"max_msgs": 5, "subjects": ["q.>"]}, data)
    assert answer["state"]["messages"] == 5 and answer["state"]["first_seq"] == 26
    assert bench.stored("q.x") == [31]
    other = restore(bench, config | {"name": "T", "storage": "memory"}, data, name="T")
    assert other["state"]["messages"] == 30
    assert other["state"]["bytes"] == sum(len(row.subject) + len(row.headers) + 500 + 16 for row in bench.js.streams["T"].walk(0))


@pytest.mark.parametrize("retention", ["workqueue", "interest"])
def test_what_was_acknowledged_stays_so(bench: Any, retention: str, delivered: Callable[..., Any]) -> None:
    bench.stream(retention=retention)
    bench.consumer("C")
    for _ in range(10):
        bench.stored("s.0")
    for message in bench.pull(batch=4)[:3]:
        bench.account.publish(message[1])
    bench.settle()
    config = bench.js.streams["S"].config.fields()
    data = snapshot(bench)
    bench.api("STREAM.DELETE.S")
    state = restore(bench, config, data)["state"]
    assert (state["messages"], state["first_seq"], state["last_seq"]) == (7, 4, 10)
    assert delivered(bench.pull(batch=10)) == [(seq, 1) for seq in range(5, 11)]
    bench.pass_time(31 * SECOND)
    assert (4, 2) in delivered(bench.pull(batch=10))


def test_a_stream_in_memory(bench: Any) -> None:
    config = fill(bench, 20, storage="memory")
    bench.consumer("C")
    before = everything(bench)
    data = snapshot(bench)
    bench.api("STREAM.DELETE.S")
    assert restore(bench, config, data[:-10] + b"x" * 10)["error"]["err_code"] == 10062
    assert restore(bench, config, data)["state"]["messages"] == 20
    assert everything(bench) == before
    memory = bench.jetstream.stores.memory
    assert not memory.values and len(memory.rows) == 1


# ---- the flow of chunks


def test_no_more_chunks_than_the_window_holds(bench: Any) -> None:
    fill(bench, 40, 900)
    noise(bench, 20, 1000)
    answer = bench.api("STREAM.SNAPSHOT.S", {"deliver_subject": "_I.chunks", "chunk_size": 1, "window_size": 4096})
    assert answer["state"]["messages"] == 60 and list(answer) == ["type", "config", "state"]
    replies = [reply for _, reply, _, _ in bench.chunks]
    prefix = replies[0].rsplit(".", 2)[0]
    assert replies == [f"{prefix}.1024.{i}" for i in (1, 2, 3, 4)]
    bench.settle()
    assert len(bench.chunks) == 4
    bench.account.publish(replies[0])
    bench.settle()
    assert len(bench.chunks) == 5
    data, end = follow(bench)
    assert end == b"NATS/1.0 204\r\n\r\n"
    reader = ArchiveReader()
    reader.feed(data)
    assert sum(isinstance(part, Row) for part in reader.parts()) == 60


def test_who_does_not_acknowledge_is_left(bench: Any) -> None:
    heard = listen(bench)
    fill(bench, 40, 900)
    noise(bench, 20, 1000)
    bench.api("STREAM.SNAPSHOT.S", {"deliver_subject": "_I.chunks", "chunk_size": 1024, "window_size": 1024})
    bench.pass_time(6 * SECOND)
    assert bench.chunks[-1][2:] == (b"NATS/1.0 408 No Flow Response\r\n\r\n", b"")
    assert heard[-1][0] == "$JS.EVENT.ADVISORY.STREAM.SNAPSHOT_COMPLETE.S" and heard[-1][1]["error"] == "no flow response"
    assert not bench.js.transfers


def test_nobody_listens(bench: Any) -> None:
    heard = listen(bench)
    fill(bench, 3)
    bench.api("STREAM.SNAPSHOT.S", {"deliver_subject": "late"})
    assert heard[-1][0].endswith("SNAPSHOT_CREATE.S")
    got: list[Any] = []
    late = bench.account.subscribe("late", lambda *message: got.append(message))
    bench.settle()
    assert len(got) == 2 and heard[-1][0].endswith("SNAPSHOT_COMPLETE.S")
    bench.account.unsubscribe(late)
    noise(bench, 20, 1000)
    late = bench.account.subscribe("late", lambda *message: got.append(message))
    bench.api("STREAM.SNAPSHOT.S", {"deliver_subject": "late", "chunk_size": 1024, "window_size": 1024})
    bench.account.unsubscribe(late)
    bench.settle()
    assert heard[-1][1]["error"] == "no interest"
    bench.api("STREAM.SNAPSHOT.S", {"deliver_subject": "nowhere"})
    bench.pass_time(3 * SECOND)
    assert heard[-1][0].endswith("SNAPSHOT_CREATE.S") or heard[-1][1].get("error") != "no interest"


def test_a_stream_that_goes_while_it_is_sent(bench: Any) -> None:
    fill(bench, 200)
    noise(bench, 100, 2000)
    bench.api("STREAM.SNAPSHOT.S", {"deliver_subject": "_I.chunks", "chunk_size": 1024, "window_size": 1024})
    bench.api("STREAM.DELETE.S")
    _, end = follow(bench)
    assert end == b"NATS/1.0 500 stream deleted\r\n\r\n"


def test_what_comes_and_goes_meanwhile(bench: Any) -> None:
    config = fill(bench, 100, 10)
    noise(bench, 200, 2000)
    bench.api("STREAM.SNAPSHOT.S", {"deliver_subject": "_I.chunks", "chunk_size": 1024, "window_size": 1024})
    bench.stored("s.0")
    bench.api("STREAM.MSG.DELETE.S", {"seq": 299})
    data, _ = follow(bench)
    bench.api("STREAM.DELETE.S")
    answer = restore(bench, config, data)
    assert (answer["state"]["last_seq"], answer["state"]["messages"]) == (300, 299)


# ---- nothing half made


def archive(*parts: Part) -> bytes:
    writer = ArchiveWriter()
    return b"".join(map(writer.put, parts))


def leftovers(bench: Any) -> Any:
    """Rows and notes of streams that are none; the store may take a while to take them away."""
    found = bench.gate.load()
    known = {record.id for record in found.streams}
    rows = [row for id in range(bench.jetstream.last_id + 1) if id not in known for row in bench.gate.scan(id, 0, 1 << 39, 9)]
    return rows, [key for key in found.values if key.startswith("half-made.")], found.damage


NOTHING: Any = ([], [], ())
EMPTY = StreamPart({}, {"last": 0}, 0)


@pytest.mark.parametrize("fault", ["cut", "damaged", "foreign", "garbage", "empty", "stalled", "no reply"])
def test_a_restore_that_fails_leaves_nothing(bench: Any, fault: str) -> None:
    heard = listen(bench)
    config = fill(bench, 50)
    noise(bench, 100, 4000)
    data = snapshot(bench)
    bench.api("STREAM.DELETE.S")
    if fault in ("stalled", "no reply"):
        deliver = bench.api("STREAM.RESTORE.S", {"config": config, "state": {}})["deliver_subject"]
        assert send(bench, deliver, data[: len(data) // 2]) is None
        assert leftovers(bench)[1], "it should have begun"
        if fault == "stalled":
            bench.pass_time(6 * SECOND)
        else:
            bench.account.publish(deliver, b"x")
        bench.settle()
        assert not bench.account.has_interest(deliver)
    else:
        damaged = bytearray(data)
        damaged[len(data) * 2 // 3] ^= 4
        bad = {
            "cut": data[: len(data) // 2], "damaged": bytes(damaged), "foreign": S2_HEAD + b"\x00" + bytes(90),
            "garbage": b"garbage" * 100, "empty": b"",
        }[fault]  # fmt: skip
        answer = restore(bench, config, bad)
        assert answer["error"]["err_code"] == 10062 and answer["type"].endswith("stream_create_response")
        words = {"cut": "too early", "damaged": "damaged", "foreign": "nats-server", "garbage": "no archive", "empty": "empty"}
        assert words[fault] in answer["error"]["description"]
        bench.pass_time(6 * SECOND)
    assert leftovers(bench) == NOTHING
    assert "S" not in bench.js.streams and not bench.js.transfers and bench.router.brake.underway == 0
    assert (heard[-1][0].endswith("RESTORE_COMPLETE.S") and "bytes" in heard[-1][1]) or fault != "no reply"
    assert restore(bench, config, data)["state"]["messages"] == 150


def test_a_start_takes_away_what_a_cut_left(bench: Any) -> None:
    config = fill(bench, 5)
    noise(bench, 100, 4000)
    data = snapshot(bench)
    bench.api("STREAM.DELETE.S")
    deliver = bench.api("STREAM.RESTORE.S", {"config": config, "state": {}})["deliver_subject"]
    assert send(bench, deliver, data[:-100]) is None
    rows, notes, damage = leftovers(bench)
    assert rows and notes and not damage
    bench.reopen()
    assert leftovers(bench) == NOTHING and not bench.js.streams
    assert restore(bench, config, data)["state"]["messages"] == 105


@pytest.mark.parametrize("full", [False, True])
def test_a_disk_that_fails(bench: Any, full: bool) -> None:
    config = fill(bench, 50)
    data = snapshot(bench)
    bench.api("STREAM.DELETE.S")
    deliver = bench.api("STREAM.RESTORE.S", {"config": config, "state": {}})["deliver_subject"]
    bench.gate.failing = StoreError("no disk", full=full)
    answer = send(bench, deliver, data)
    assert answer["error"]["err_code"] == (10047 if full else 10062)
    bench.gate.failing = None
    assert send(bench, deliver, b"") == answer
    deliver = bench.api("STREAM.RESTORE.S", {"config": config, "state": {}})["deliver_subject"]
    assert send(bench, deliver, data) is None
    bench.gate.failing = StoreError("no disk")
    assert send(bench, deliver, b"")["error"]["description"] == "restore failed: no disk"
    bench.gate.failing = None
    assert "S" not in bench.js.streams and not bench.js.arriving
    bench.reopen()
    assert leftovers(bench) == NOTHING
    assert restore(bench, config, data)["state"]["messages"] == 50


def test_what_cannot_be_here(bench: Any) -> None:
    config = fill(bench, 5)
    data = snapshot(bench)
    bench.api("STREAM.CREATE.T", {"name": "T", "subjects": ["t"]})

    def refused(**fields: Any) -> tuple[int, str]:
        error = restore(bench, config | {"name": "N", "subjects": ["n"]} | fields, data, name="N")["error"]
        return error["err_code"], error["description"]

    adding = "restore failed: error adding stream: "
    assert refused(subjects=["s.1"]) == (10062, f"{adding}subjects overlap with an existing stream (10065)")
    assert refused(num_replicas=3) == (10062, f"{adding}replicas > 1 not supported in non-clustered mode (10074)")
    assert refused(max_msg_size=10) == (10062, "restore failed: message sequence 1 exceeds maximum message size")
    assert refused(name="X")[0] == 10056
    assert restore(bench, config, data)["error"]["err_code"] == 10130
    for subject, headers in (("a b", b""), ("a.*", b""), ("a\r\nPING", b""), ("a", b"x"), ("a", b"NATS/1.0\r\nMSG")):
        bad = archive(EMPTY, Row(1, subject, 1, headers, b""), EndPart(1))
        answer = restore(bench, config | {"name": "N", "subjects": ["n"]}, bad, name="N")
        assert "none that a client could have sent" in answer["error"]["description"]
    assert set(bench.js.streams) == {"S", "T"} and leftovers(bench) == NOTHING


def test_a_name_that_is_taken_while_it_comes(bench: Any) -> None:
    config = fill(bench, 5)
    data = snapshot(bench)
    bench.api("STREAM.DELETE.S")
    deliver = bench.api("STREAM.RESTORE.S", {"config": config, "state": {}})["deliver_subject"]
    assert send(bench, deliver, data) is None
    bench.stream()
    assert send(bench, deliver, b"")["error"]["err_code"] == 10130
    bench.api("STREAM.DELETE.S")
    deliver = bench.api("STREAM.RESTORE.S", {"config": config, "state": {}})["deliver_subject"]
    assert send(bench, deliver, data) is None
    bench.account.publish(deliver, b"", reply="_I.chunk")  # its commit is under way
    bench.account.publish("$JS.API.STREAM.CREATE.S", json.dumps({"name": "S"}).encode(), reply="_I.create")
    bench.settle()
    answers = {subject: json.loads(payload) for subject, _, _, payload in bench.take()}
    assert answers["_I.create"]["error"]["err_code"] == 10058
    assert answers["_I.chunk"]["state"]["messages"] == 5


def test_consumers_that_make_no_sense(bench: Any) -> None:
    config = fill(bench, 2)
    bench.consumer("C")
    reader = ArchiveReader()
    reader.feed(snapshot(bench))
    parts = list(reader.parts())
    bench.api("STREAM.DELETE.S")
    consumer: Any = parts[1]
    for bad in (
        consumer._replace(state="{}"),
        consumer._replace(state="[" * 5000),
        consumer._replace(state="[[1,1,0,0],[[1,1,1000000000000,1]]]"),
        consumer._replace(state="[[1,1,0,Infinity],[]]"),
        consumer._replace(state='[[1,1,0,"x"],[]]'),
        consumer._replace(config={}),
        consumer._replace(name="a.b"),
        consumer._replace(config=consumer.config | {"config": {"ack_policy": "bogus"}}),
        consumer._replace(config=consumer.config | {"config": {"deliver_subject": "a.*"}}),
    ):
        answer = restore(bench, config, archive(parts[0], bad, *parts[2:]))
        assert answer["error"]["description"].startswith(f'restore failed: failed to add consumer "{bad.name}": ')
        bench.pass_time(6 * SECOND)  # until then it would tell the sender once more
    twice: Any = parts[0]
    answer = restore(bench, config, archive(twice._replace(consumers=2), consumer, consumer, *parts[2:]))
    assert "another of this name" in answer["error"]["description"]
    assert leftovers(bench) == NOTHING


@pytest.mark.parametrize("last", [None, "x", -1, 1 << 60, 1.5, True])
def test_a_last_sequence_that_is_none(bench: Any, last: object) -> None:
    data = archive(StreamPart({}, {"last": last, "origins": 5}, 0), Row(1, "s.0", 1, b"", b""), EndPart(1))
    assert restore(bench, {"subjects": ["s.>"]}, data)["error"]["err_code"] == 10062
    assert leftovers(bench) == NOTHING


def test_origins_that_make_no_sense(bench: Any) -> None:
    config = {"subjects": ["s.>"], "sources": [{"name": "O"}]}
    data = archive(StreamPart({}, {"last": 5, "origins": [1]}, 0), Row(1, "s.0", 1, b"", b""), EndPart(1))
    assert restore(bench, config, data)["state"]["last_seq"] == 5


def test_a_small_archive_of_much_comes_in_slices(bench: Any) -> None:
    rows = [Row(i + 1, "s.0", 1, b"", bytes(60_000)) for i in range(40)]
    data = archive(EMPTY, *rows, EndPart(40))
    assert len(data) < SLICE
    deliver = bench.api("STREAM.RESTORE.S", {"config": {"subjects": ["s.>"]}, "state": {}})["deliver_subject"]
    bench.gate.commits.clear()
    assert send(bench, deliver, data) is None
    assert len(bench.gate.commits) >= 40 * 60_000 // SLICE - 1
    assert send(bench, deliver, b"")["state"]["messages"] == 40


def test_limits_of_the_account(make_bench: Any) -> None:
    bench = make_bench(Limits(max_file_bytes=10_000))
    rows = [Row(i + 1, "s.0", 1, b"", bytes(1000)) for i in range(20)]
    answer = restore(bench, {"subjects": ["s.>"]}, archive(EMPTY, *rows, EndPart(20)))
    assert answer["error"]["err_code"] == 10047
    assert leftovers(bench) == NOTHING
    assert restore(bench, {"subjects": ["s.>"]}, archive(EMPTY, *rows[:5], EndPart(5)))["state"]["messages"] == 5


def test_so_many_at_once(bench: Any) -> None:
    fill(bench, 1)
    for i in range(8):
        assert "error" not in bench.api(f"STREAM.RESTORE.R{i}", {"config": {}, "state": {"messages": 1}})
    assert bench.api("STREAM.RESTORE.R8", {"config": {}, "state": {"messages": 1}})["error"]["err_code"] == 10062
    assert bench.api("STREAM.SNAPSHOT.S", {"deliver_subject": "x"})["error"]["err_code"] == 10064
    bench.pass_time(6 * SECOND)
    assert "error" not in bench.api("STREAM.SNAPSHOT.S", {"deliver_subject": "x"})


def test_a_message_that_is_damaged(make_bench: Any) -> None:
    bench = make_bench()
    bench.chunks = []
    bench.account.subscribe("_I.chunks", lambda *message: bench.chunks.append(message))
    fill(bench, 20)
    connection = bench.gate.store.connection
    connection.execute("UPDATE message SET payload = x'00' WHERE id & 0xFFFFFFFFFF = 7")
    assert snapshot(bench)[len(S2_HEAD)] == OURS  # what is around it
    bench.api("STREAM.SNAPSHOT.S", {"deliver_subject": "_I.chunks", "jsck": True})
    _, end = follow(bench)
    assert end == b"NATS/1.0 500 messages between 1 and 20 are damaged\r\n\r\n"
