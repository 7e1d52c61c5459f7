import base64
import json

from edge.uplink.answers import StreamState
from edge.uplink.identity import Identity
from edge.uplink.resume import MAX_QUESTIONS, Resume

NOT_FOUND = {"error": {"code": 404, "err_code": 10037, "description": "no message found"}}


class Asked:
    def __init__(self) -> None:
        self.questions: list[tuple[str, dict[str, object]]] = []
        self.pulled: list[tuple[str, dict[str, object]]] = []
        self.resume = Resume("T", Identity("e1", ((1, "E"),)).key_of, "C", self.ask, lambda *pull: self.pulled.append(pull))

    def ask(self, request: str, body: dict[str, object]) -> int:
        self.questions.append((request, body))
        return len(self.questions)

    def answer(self, number: int, fields: dict[str, object]) -> None:
        self.resume.on_answer(number, b"", json.dumps(fields).encode())


def stored(seq: int, msg_id: str) -> dict[str, object]:
    block = base64.b64encode(f"NATS/1.0\r\nNats-Msg-Id: {msg_id}\r\n\r\n".encode()).decode()
    return {"message": {"subject": "a", "seq": seq, "hdrs": block, "data": "eA=="}}


def begin() -> Asked:
    asked = Asked()
    asked.resume.start()
    state = {"first_seq": 1, "last_seq": 90}
    asked.answer(1, {"created": "x", "config": {"subjects": ["a.>"]}, "state": state})
    assert asked.resume.state == StreamState("x", 1, 90, ("a.>",), False)
    assert not asked.resume.done
    return asked


def test_it_asks_subject_by_subject_until_nothing_is_missing() -> None:
    asked = begin()
    asked.resume.search([(4, "a.x"), (5, "a.y"), (6, "a.x"), (7, "a.x")], after=50)
    assert asked.questions[1:] == [
        ("STREAM.MSG.GET.T", {"seq": 51, "next_by_subj": "a.x"}),
        ("STREAM.MSG.GET.T", {"seq": 51, "next_by_subj": "a.y"}),
    ]
    asked.answer(2, stored(60, "e1:E:4"))
    asked.answer(3, stored(61, "e1:E:5"))  # all of a.y is found: nothing more is asked
    asked.answer(4, stored(62, "e2:E:6"))  # somebody else's
    assert asked.questions[-1] == ("STREAM.MSG.GET.T", {"seq": 63, "next_by_subj": "a.x"})
    asked.answer(5, stored(70, "e1:E:7"))
    asked.answer(6, NOT_FOUND)
    assert asked.resume.done and asked.resume.found == {4: 60, 5: 61, 7: 70}


def test_nothing_in_doubt_needs_no_question() -> None:
    asked = begin()
    asked.resume.search([], after=50)
    assert asked.resume.done and len(asked.questions) == 1


def test_many_subjects_are_asked_a_few_at_a_time() -> None:
    asked = begin()
    asked.resume.search([(seq, f"a.{seq}") for seq in range(1000)], after=0)
    assert len(asked.questions) == 1 + MAX_QUESTIONS
    for number in range(2, 1002):
        assert not asked.resume.done
        asked.answer(number, NOT_FOUND)
    assert asked.resume.done and asked.resume.found == {}


def test_ids_that_are_not_ours() -> None:
    asked = begin()
    asked.resume.search([(4, "a.x")], after=0)
    for number, msg_id in enumerate(("", "e1:E:", "e1:E:x", "e1:F:4", "4", "e1:E:" + "4" * 50, "e1:E:99"), 2):
        asked.answer(number, stored(number, msg_id))
    assert asked.resume.found == {} and not asked.resume.done


def test_an_error_ends_it_with_its_reason() -> None:
    asked = Asked()
    asked.resume.start()
    asked.answer(1, {"error": {"code": 404, "err_code": 10059, "description": "stream not found"}})
    assert asked.resume.failure == "stream T: stream not found"
    asked = begin()
    asked.resume.search([(4, "a.x")], after=0)
    asked.answer(
        2, {"error": {"code": 503, "err_code": 10008, "description": "JetStream system temporarily unavailable"}}
    )
    assert asked.resume.failure == "stream T: JetStream system temporarily unavailable"


def test_a_stream_that_stores_under_other_subjects_is_looked_through_whole() -> None:
    asked = Asked()
    asked.resume.start()
    config = {"subjects": ["a.>"], "subject_transform": {"src": "a.>", "dest": "b.>"}}
    asked.answer(1, {"created": "x", "config": config, "state": {"first_seq": 1, "last_seq": 9}})
    asked.resume.search([(1, "a.x"), (2, "a.y")], after=3)
    assert asked.questions[1:] == [("STREAM.MSG.GET.T", {"seq": 4, "next_by_subj": ">"})]


def scan() -> Asked:
    asked = begin()
    asked.resume.search([(seq, "a.x") for seq in range(1, 21)] + [(21, "a.y")], after=50)
    request, body = asked.questions[-1]
    assert request == "CONSUMER.CREATE.T.C" and body["stream_name"] == "T"
    config = body["config"]
    assert isinstance(config, dict)
    assert config["opt_start_seq"] == 51 and config["filter_subjects"] == ["a.x", "a.y"] and config["headers_only"]
    return asked


def show(asked: Asked, seq: int, number: int, msg_id: str) -> None:
    asked.resume.on_scanned(
        f"$JS.ACK.T.C.1.{seq}.{number}.1795.0", f"NATS/1.0\r\nNats-Msg-Id: {msg_id}\r\n\r\n".encode()
    )


def test_many_in_doubt_are_read_from_a_consumer_and_the_leader_has_the_last_word() -> None:
    asked = scan()
    asked.answer(2, {"num_pending": 3})
    assert asked.pulled == [("CONSUMER.MSG.NEXT.T.C", {"batch": 3, "no_wait": True})]
    show(asked, 51, 1, "e1:E:1")
    show(asked, 53, 2, "e2:E:2")
    assert len(asked.questions) == 2
    show(asked, 54, 3, "e1:E:21")
    assert asked.resume.found == {1: 51, 21: 54}
    assert asked.questions[2:] == [("STREAM.MSG.GET.T", {"seq": 52, "next_by_subj": "a.x"})]
    asked.answer(3, NOT_FOUND)
    assert asked.resume.done


def test_without_a_consumer_the_leader_alone_is_asked() -> None:
    for end in (
        lambda asked: asked.answer(2, {"error": {"code": 503, "err_code": 10008, "description": "later"}}),
        lambda asked: asked.answer(2, {"num_pending": 0}),
        lambda asked: asked.resume.end_scan(),
    ):
        asked = scan()
        end(asked)
        assert [question[0] for question in asked.questions[2:]] == ["STREAM.MSG.GET.T"] * 2
        assert not asked.resume.done and not asked.pulled


def test_a_status_ends_the_scan() -> None:
    asked = scan()
    asked.answer(2, {"num_pending": 9})
    asked.resume.on_scanned("", b"NATS/1.0 404 No Messages\r\n\r\n")
    assert len(asked.questions) == 4


def test_a_gap_in_what_the_consumer_shows_proves_nothing() -> None:
    asked = scan()
    asked.answer(2, {"num_pending": 3})
    show(asked, 51, 1, "e1:E:1")
    show(asked, 54, 3, "e1:E:3")
    assert asked.resume.found == {1: 51}
    assert asked.questions[2] == ("STREAM.MSG.GET.T", {"seq": 52, "next_by_subj": "a.x"})
    show(asked, 53, 2, "e1:E:2")  # too late
    assert asked.resume.found == {1: 51}
