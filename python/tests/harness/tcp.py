"""TCP peers that misbehave, and a TCP path that can be stopped and cut."""

from __future__ import annotations

import select
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType


def connect(port: int, *, receive_buffer: int | None = None) -> socket.socket:
    """A connection to this machine's `port`."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(10)
    connection.connect(("127.0.0.1", port))
    return connection


def reset(connection: socket.socket) -> None:
    """Ends a connection with a reset, as a peer that dies does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class StallingListener:
    """A server that accepts one connection and never reads from it."""

    def __init__(self) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Small, so that the sender is soon stopped.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()

    @property
    def port(self) -> int:
        """Where it listens; connections are accepted by the kernel alone."""
        return self._listener.getsockname()[1]

    def __enter__(self) -> StallingListener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()


class TcpRelay:
    """Passes bytes from connections to its `port` on to `target`, until told to hold, to go on, or to cut."""

    def __init__(self, target: int, *, piece: int = 65_536) -> None:
        self._target = ("127.0.0.1", target)
        self._piece = piece
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._closing = threading.Event()
        self.connections = 0
        self._thread = threading.Thread(target=self._accept, name="tcp-relay", daemon=True)

    @property
    def port(self) -> int:
        """Where the sender connects."""
        return self._listener.getsockname()[1]

    def __enter__(self) -> TcpRelay:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._flowing.set()
        self.cut()
        self._thread.join(10)
        self._listener.close()

    def hold(self) -> None:
        """Passes nothing on from now."""
        self._flowing.clear()

    def go_on(self) -> None:
        """Passes on again."""
        self._flowing.set()

    def cut(self) -> None:
        """Resets every connection; new ones are taken."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            ready, _, _ = select.select([self._listener], [], [], 0.05)
            if not ready:
                continue
            inside, _ = self._listener.accept()
            try:
                outside = socket.create_connection(self._target, timeout=10)
            except OSError:
                inside.close()
                continue
            self.connections += 1
            with self._lock:
                self._pairs.append((inside, outside))
            threading.Thread(target=self._pass_on, args=(inside, outside), name="tcp-relay", daemon=True).start()

    def _pass_on(self, inside: socket.socket, outside: socket.socket) -> None:
        try:
            while True:
                self._flowing.wait()
                data = inside.recv(self._piece)
                self._flowing.wait()
                if not data:
                    outside.shutdown(socket.SHUT_WR)
                    return
                outside.sendall(data)
        except OSError:
            return
