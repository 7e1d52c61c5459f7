"""The load generator, compiled once, and a server that lies to it."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from bench.load import Load, build

INFO = b'INFO {"server_id":"L","headers":true,"max_payload":1048576}\r\n'
Answer = Callable[[int, bytes, bytes, bytes], bytes]


class Liar:
    """Reads PUBs and gives its one subscriber whatever ``answer(number, subject, reply, payload)`` makes of them."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.published = 0
        self.subscriber: socket.socket | None = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.serve, args=(client,)))
            self.threads[-1].start()

    def serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as lines:
            try:
                client.sendall(INFO)
                for line in lines:
                    self.operation(client, line.split(), lines.read)
            except OSError:
                return  # the generator has seen enough

    def operation(self, client: socket.socket, words: list[bytes], read: Callable[[int], bytes]) -> None:
        match words:
            case [b"PING"]:
                client.sendall(b"PONG\r\n")
            case [b"SUB", *_]:
                self.subscriber = client
            case [b"PUB", subject, *reply, size]:
                payload = read(int(size) + 2)[:-2]
                number, self.published = self.published, self.published + 1
                if self.subscriber:
                    self.subscriber.sendall(self.answer(number, subject, b"".join(reply), payload))

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def liar() -> Iterator[Callable[[Answer], int]]:
    """``liar(answer)``: the port of a Liar."""
    liars: list[Liar] = []

    def start(answer: Answer) -> int:
        liars.append(Liar(answer))
        return int(liars[-1].port)

    yield start
    for one in liars:
        one.stop()


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Loads of a twentieth of a second."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    return Load(build(tmp_path_factory.mktemp("load")), 0.05)
