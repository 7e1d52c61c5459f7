"""The generator against real servers, and against one that loses, repeats, alters and refuses."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.load import SOURCE, BenchError, Load, build
from bench.streams import consumer_state, make_consumer, make_stream, messages_of_stream
from bench.workloads import SECURED

LiarPort = Callable[[Callable[[int, bytes, bytes, bytes], bytes]], int]


def msg(subject: bytes, payload: bytes) -> bytes:
    return b"MSG %s 1 %d\r\n%s\r\n" % (subject, len(payload), payload)


def truth(number: int, subject: bytes, reply: bytes, payload: bytes) -> bytes:
    return msg(subject, payload)


def ack(number: int, subject: bytes, reply: bytes, payload: bytes) -> bytes:
    return msg(reply, b'{"stream":"BENCH","seq":%d}' % (number + 1))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"fan": 10},
        {"headers": 1},
        {"lanes": 4, "subjects": 2500, "others": 1000},
        {"size": 1},
        {"size": 100_000},
    ],
    ids=str,
)
def test_all_that_is_sent_is_delivered(either: Callable[..., Any], load: Load, settings: dict[str, int]) -> None:
    counted = load.run(either().port, "deliver", **settings)
    assert counted.received == counted.sent * settings.get("fan", 1) > 0


@pytest.mark.parametrize("rate", [0, 1_000_000])
def test_a_slow_receiver_is_nobody_elses_affair(either: Callable[..., Any], load: Load, rate: int) -> None:
    server = either("listen: 127.0.0.1:-1\nmax_pending: 2MB")
    for seconds in (load.seconds,) if rate else (load.seconds, 0.5, 5.0):  # how much that is says the machine
        counted = replace(load, seconds=seconds).run(server.port, "deliver", fan=2, slow=1, rate=rate, size=10_000)
        assert counted.received == counted.sent * 2 > 0
        assert counted.alone > 0 < counted.beside
        if "Slow Consumer Detected" in server.log.read_text():
            break
    if not rate:
        server.wait_for_log("Slow Consumer Detected")


def test_with_a_login(either: Callable[..., Any], load: Load) -> None:
    server = either(f"listen: 127.0.0.1:-1\n{SECURED}")
    for kind, settings in (("deliver", {"lanes": 2, "subjects": 10, "others": 10}), ("request", {})):
        counted = load.run(server.port, kind, auth=1, **settings)
        assert counted.received == counted.sent > 0
        with pytest.raises(BenchError, match=r"Authorization Violation|recv|send"):  # where the server was quicker
            load.run(server.port, kind, **settings)


def test_requests_are_answered(either: Callable[..., Any], load: Load) -> None:
    counted = load.run(either().port, "request")
    assert counted.received == counted.sent > 0
    assert 0 < counted.p50_us <= counted.p99_us


@pytest.mark.parametrize("window", [1, 7, 4000])
def test_acks_are_of_messages_in_the_stream(
    either: Callable[..., Any], load: Load, tmp_path: Path, window: int
) -> None:
    port = either(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path / "store"}" }}').port
    make_stream(port)
    counted = load.run(port, "publish", window=window)
    assert counted.received == counted.sent == messages_of_stream(port) > 0


def test_what_is_stored_is_read(either: Callable[..., Any], load: Load, tmp_path: Path) -> None:
    """From the middle, on several subjects; each message is held against what was published."""
    port = either(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path / "store"}" }}').port
    make_stream(port)
    assert load.run(port, "publish", count=1000, subjects=7, size=20).received == 1000
    assert load.run(port, "publish", count=1000, subjects=7, size=20, after=1000).received == 1000
    make_consumer(port, 500)
    assert load.run(port, "pull", count=1200, subjects=7, size=20, after=500).received == 1200
    while (state := consumer_state(port)).num_ack_pending:
        pass  # acks are not answered
    assert state.ack_floor is not None and state.ack_floor.stream_seq == 1700
    assert load.run(port, "ordered", count=1500, subjects=7, size=20, after=500).received == 1500
    with pytest.raises(BenchError, match=r"has the subject js\.\d+\.t and should have js\."):
        load.run(port, "ordered", count=1500, subjects=6, size=20, after=500)
    with pytest.raises(BenchError, match=r"message \d+(, the consumer's| is| has)"):
        load.run(port, "pull", count=100, subjects=7, size=20)


def test_a_trickle_arrives(either: Callable[..., Any], load: Load, tmp_path: Path) -> None:
    port = either(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path / "store"}" }}').port
    make_stream(port)
    sent = load.run(port, "telemetry", rate=1000, size=100).sent
    assert 10 < sent <= 51
    while messages_of_stream(port) != sent:
        pass  # they gather for the commit window


def test_without_a_stream_no_publish_counts(either: Callable[..., Any], load: Load) -> None:
    with pytest.raises(BenchError, match="503"):
        load.run(either().port, "publish")


def test_the_truth_passes(liar: LiarPort, load: Load) -> None:
    assert load.run(liar(truth), "deliver").received > 0
    assert load.run(liar(ack), "publish").received > 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda *a: b"", "delivery 100 is"),
        (lambda *a: truth(*a) * 2, "delivery 101 is"),
        (lambda n, s, r, p: msg(s, p[:-1] + b"?"), "delivery 100 is"),
        (lambda n, s, r, p: msg(b"other", p), "delivery 100 is"),
        (lambda *a: b"-ERR 'Slow Consumer'\r\n", "-ERR 'Slow Consumer'"),
    ],
    ids=["lost", "twice", "altered", "elsewhere", "an error"],
)
def test_a_wrong_delivery_is_noticed(liar: LiarPort, load: Load, wrong: Any, said: str) -> None:
    with pytest.raises(BenchError) as caught:
        load.run(liar(lambda n, *rest: wrong(n, *rest) if n == 100 else truth(n, *rest)), "deliver")
    assert said in str(caught.value)


def test_messages_that_never_come_are_counted(liar: LiarPort, load: Load) -> None:
    with pytest.raises(BenchError, match="100 came of"):
        load.run(liar(lambda n, *rest: truth(n, *rest) if n < 100 else b""), "deliver", patience=1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda n, s, r, p: msg(r, b'{"error":{"code":503,"description":"disk full"}}'), "disk full"),
        (lambda n, s, r, p: msg(r, b"{}"), "1 of"),
        (lambda *a: ack(*a) * 2, "message 100 is acked a second time"),
        (lambda n, s, r, p: ack(n + 5, s, r, p), "message 100 is acked with"),
        (lambda n, s, r, p: msg(b"elsewhere", b"{}"), "an ack is MSG elsewhere"),
    ],
    ids=["an error", "nothing", "twice", "another sequence", "elsewhere"],
)
def test_a_wrong_ack_is_noticed(liar: LiarPort, load: Load, wrong: Any, said: str) -> None:
    with pytest.raises(BenchError) as caught:
        load.run(liar(lambda n, *rest: wrong(n, *rest) if n == 100 else ack(n, *rest)), "publish")
    assert said in str(caught.value)


def test_an_ack_that_never_comes_is_counted(liar: LiarPort, load: Load) -> None:
    with pytest.raises(BenchError, match="came of"):
        load.run(liar(lambda n, *rest: b"" if n == 100 else ack(n, *rest)), "publish", patience=1)


def test_a_setting_nobody_knows(load: Load) -> None:
    with pytest.raises(BenchError, match="widnow=1: no such setting"):
        load.run(1, "publish", widnow=1)


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(BenchError, match=r"no C compiler .no-such-compiler -O2.*apt install gcc"):
        build(tmp_path)


def test_it_compiles_without_a_warning(load: Load, tmp_path: Path) -> None:
    flags = ["-std=gnu99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    subprocess.run(["cc", *flags, "-o", str(tmp_path / "load"), str(SOURCE)], check=True)
