"""A TCP relay between an edge and its hub, in a thread of its own, which knows what TCP has carried."""

import socket
import struct
import threading
from dataclasses import dataclass, field
from types import TracebackType

from bench.load import BenchError

# struct tcp_info of linux/tcp.h: tcpi_bytes_acked, tcpi_bytes_received, tcpi_segs_out, tcpi_segs_in
TCP_INFO_AT = 120
TCP_INFO_FIELDS = struct.Struct("=QQII")


@dataclass(frozen=True, slots=True)
class Traffic:
    """``up`` is from the edge to the hub."""

    up: int = 0
    down: int = 0
    segments_up: int = 0
    segments_down: int = 0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(
            self.up + other.up, self.down + other.down,
            self.segments_up + other.segments_up, self.segments_down + other.segments_down,
        )  # fmt: skip

    def __sub__(self, other: "Traffic") -> "Traffic":
        return Traffic(
            self.up - other.up, self.down - other.down,
            self.segments_up - other.segments_up, self.segments_down - other.segments_down,
        )  # fmt: skip


def traffic_of(info: bytes) -> Traffic:
    """Of a connection to the hub, from its TCP_INFO."""
    if len(info) < TCP_INFO_AT + TCP_INFO_FIELDS.size:
        raise BenchError("this system does not count the bytes of a TCP connection (TCP_INFO is too short)")
    acked, received, out, into = TCP_INFO_FIELDS.unpack_from(info, TCP_INFO_AT)
    return Traffic(acked, received, out, into)


@dataclass
class Relay:
    """``port`` is where the edge connects; ``target`` where the hub listens, once that is known."""

    target: int = 0
    ended: Traffic = field(default_factory=Traffic)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.is_open = True
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        """No way to the hub."""
        self.is_open = False
        with self.lock:
            pairs = self.pairs[:]
        for pair in pairs:
            self._end(pair)

    def open(self) -> None:
        self.is_open = True

    def traffic(self) -> Traffic:
        """Of all connections so far."""
        with self.lock:
            counted = self.ended
            for _, hub in self.pairs:
                counted += traffic_of(hub.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256))
        return counted

    def __enter__(self) -> "Relay":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shut()
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                edge, _ = self.listener.accept()
            except OSError:
                return
            try:
                if not self.is_open:
                    raise OSError
                hub = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                edge.close()
                continue
            pair = (edge, hub)
            for one in pair:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append(pair)
            for source, sink in (pair, (hub, edge)):
                threading.Thread(target=self._carry, args=(source, sink, pair), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        try:
            while data := source.recv(1 << 18):
                sink.sendall(data)
        except OSError:
            pass
        self._end(pair)

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self.lock:
            if pair not in self.pairs:
                return
            self.pairs.remove(pair)
            self.ended += traffic_of(pair[1].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256))
        for one in pair:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
