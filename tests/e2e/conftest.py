"""What lies between an edge and its hub: a TCP proxy that can be cut, or fall silent."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest


class Proxy:
    """Forwards 127.0.0.1:``port`` to ``target``.  ``cut`` ends all connections and refuses new ones; ``restore``
    lets them in again.  ``silence`` keeps connections open and passes nothing on, like a radio in a tunnel."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.lock = threading.Lock()
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.is_cut = False
        self.passing = threading.Event()
        self.passing.set()
        self.closed = False
        self.passed = 0  # bytes, both ways
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def cut(self) -> None:
        with self.lock:
            self.is_cut = True
            self._end_all()

    def restore(self) -> None:
        self.passing.set()
        with self.lock:
            self.is_cut = False

    def silence(self) -> None:
        self.passing.clear()

    def close(self) -> None:
        self.closed = True
        self.cut()
        self.passing.set()
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes accept
        for thread in self.threads:
            thread.join()
        self.listener.close()

    def _accept(self) -> None:
        while not self.closed:
            here, _ = self.listener.accept()
            with self.lock:
                if self.is_cut:
                    here.close()
                    continue
            try:
                there = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                here.close()
                continue
            with self.lock:
                self.pairs.append((here, there))
                if self.is_cut:
                    self._end_all()
            for source, sink in ((here, there), (there, here)):
                thread = threading.Thread(target=self._pass_on, args=(source, sink), daemon=True)
                self.threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while chunk := source.recv(65536):
                self.passing.wait()
                sink.sendall(chunk)
                self.passed += len(chunk)
        except OSError:
            pass
        for end in (source, sink):
            _end(end)

    def _end_all(self) -> None:
        for pair in self.pairs:
            for end in pair:
                _end(end)
        self.pairs.clear()


def _end(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()


@pytest.fixture
def make_proxy() -> Iterator[Callable[[int], Proxy]]:
    """``make_proxy(port)``: a proxy in front of 127.0.0.1:port."""
    proxies: list[Proxy] = []

    def make(target: int) -> Proxy:
        proxies.append(Proxy(target))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()
