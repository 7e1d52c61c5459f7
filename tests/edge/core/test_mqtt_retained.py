import pytest

from edge.core import mqtt_retained
from edge.core.mqtt_retained import Retained, RetainedMessages
from edge.errors import StoreError
from edge.store.memory import MemoryStore


def make_store() -> MemoryStore:
    return MemoryStore(lambda call: call())


def put(retained: RetainedMessages, subject: str, payload: bytes, qos: int = 0) -> bool:
    return retained.put("$G", Retained(subject, payload, qos), lambda error: None)


def kept(retained: RetainedMessages, pattern: str) -> list[tuple[str, bytes]]:
    return sorted((message.subject, message.payload) for message in retained.matching("$G", pattern))


def test_the_last_of_each_subject() -> None:
    retained = RetainedMessages(make_store(), {})
    for subject, payload in (("a.b", b"1"), ("a.b", b"2"), ("a.c", b"3"), ("a", b"4"), ("a.c", b"")):
        assert put(retained, subject, payload)
    assert kept(retained, ">") == [("a", b"4"), ("a.b", b"2")]
    assert kept(retained, "a.*") == kept(retained, "a.b") == [("a.b", b"2")]
    assert kept(retained, "a.c") == []
    assert list(retained.matching("OTHER", ">")) == []


def test_a_restart_finds_them() -> None:
    store = make_store()
    put(RetainedMessages(store, {}), "a.b/.c", b"\0\xff", 1)
    after = RetainedMessages(store, store.load().values)
    assert list(after.matching("$G", ">")) == [Retained("a.b/.c", b"\0\xff", 1)]
    assert (after.messages, after.bytes) == (1, 2)


def test_what_is_not_committed_is_taken_back() -> None:
    class Failing(MemoryStore):
        error: StoreError | None = None

        def commit(self, done, urgent=True):  # type: ignore[no-untyped-def]
            self.waiting = [*getattr(self, "waiting", []), done]

        def settle(self, error: StoreError | None = None) -> None:
            waiting, self.waiting = self.waiting, []
            for done in waiting:
                done(error)

    store = Failing(lambda call: call())
    retained = RetainedMessages(store, {})
    put(retained, "a", b"committed")
    store.settle()
    put(retained, "a", b"lost")
    put(retained, "a", b"lost too")
    put(retained, "b", b"lost as well")
    assert kept(retained, ">") == [("a", b"lost too"), ("b", b"lost as well")]
    store.settle(StoreError("disk"))
    assert kept(retained, ">") == [("a", b"committed")]
    assert (retained.messages, retained.bytes) == (1, len(b"committed"))


def test_they_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_retained, "MAX_MESSAGES", 2)
    monkeypatch.setattr(mqtt_retained, "MAX_BYTES", 10)
    retained = RetainedMessages(make_store(), {})
    assert put(retained, "a", b"12345") and put(retained, "b", b"12345")
    assert not put(retained, "c", b"1")
    assert not put(retained, "a", b"123456"), "too many bytes"
    assert put(retained, "a", b"54321"), "in the place of the one before"
    assert put(retained, "a", b"") and put(retained, "c", b"12345")
    assert kept(retained, ">") == [("b", b"12345"), ("c", b"12345")]
