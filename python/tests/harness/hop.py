"""A bad network between a client and a server: a UDP relay that drops, doubles, swaps and holds packets back.

What happens to the n-th packet is drawn from the seed alone, so a run can be repeated. Holding back is by packets,
not by time. The hop keeps what it delivered, in order; what a receiver must have counted follows from that.
RTCP passes unharmed in both directions, late if asked, and is kept apart.
"""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from types import TracebackType

from .packets import is_rtcp, sequence_of


@dataclass(frozen=True)
class Impairment:
    """How often, of all packets, each thing happens."""

    drop: float = 0.0
    double: float = 0.0
    swap: float = 0.0
    """Two neighbours change places."""
    hold: float = 0.0
    """The packet is delivered 2 to `hold_most` packets later."""
    hold_most: int = 6
    grace: int = 3
    """The first packets pass untouched: they introduce the source."""


@dataclass(frozen=True)
class Expected:
    """What a receiver must have counted (RFC 3550's terms; received counts doubles)."""

    packets_expected: int
    packets_received: int
    packets_lost: int
    packets_duplicated: int
    packets_reordered: int
    bytes_received: int


class Hop:
    """Relays datagrams from its own `port` to `target`, badly."""

    def __init__(
        self, target: int, impairment: Impairment, *, seed: int, wire: str = "rtp", control_delay: float = 0.0
    ) -> None:
        self.delivered: list[bytes] = []
        self.control: list[bytes] = []
        """RTCP from the sender."""
        self.answers: list[bytes] = []
        """All that came back to the sender."""
        self.arrived = 0
        self._target = ("127.0.0.1", target)
        self._impairment = impairment
        self._random = random.Random(seed)
        self._wire = wire
        self._control_delay = control_delay
        # When, through which socket, to whom: RTCP that is on its way, seconds each way.
        self._under_way: deque[tuple[float, socket.socket, tuple[str, int], bytes]] = deque()
        self._sender: tuple[str, int] | None = None
        self._held: list[tuple[int, bytes]] = []
        self._inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._inside.bind(("127.0.0.1", 0))
        self._outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._relay, name="hop", daemon=True)

    @property
    def port(self) -> int:
        """Where the sender sends."""
        return self._inside.getsockname()[1]

    def __enter__(self) -> Hop:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def finish(self) -> None:
        """Delivers what has arrived, in its planned order, and ends."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(10)
            assert not self._thread.is_alive(), "the hop does not end"
        self._inside.close()
        self._outside.close()

    def sequences(self) -> list[int]:
        """The extended sequence numbers delivered, in order; the first is the wire's own."""
        extended: list[int] = []
        last = None
        for packet in self.delivered:
            wire = sequence_of(self._wire, packet)
            last = wire if last is None else last + ((wire - last + 0x8000) % 0x10000 - 0x8000)
            extended.append(last)
        return extended

    def expected(self) -> Expected:
        """What the receiver must say."""
        sequences = self.sequences()
        highest = sequences[0]
        reordered = 0
        seen: set[int] = set()
        for sequence in sequences:
            # A copy is a double, wherever it comes.
            reordered += sequence < highest and sequence not in seen
            highest = max(highest, sequence)
            seen.add(sequence)
        distinct = len(seen)
        span = max(sequences) - min(sequences) + 1
        return Expected(
            packets_expected=span,
            packets_received=len(sequences),
            packets_lost=span - distinct,
            packets_duplicated=len(sequences) - distinct,
            packets_reordered=reordered,
            bytes_received=sum(map(len, self.delivered)),
        )

    def copies(self) -> Counter[int]:
        """How often each extended sequence number was delivered."""
        return Counter(self.sequences())

    def _relay(self) -> None:
        # An answer can only be heard at a socket that has a port.
        self._outside.bind(("127.0.0.1", 0))
        while True:
            wait = min(0.05, max(0.0, self._under_way[0][0] - time.monotonic())) if self._under_way else 0.05
            ready, _, _ = select.select([self._inside, self._outside], [], [], wait)
            while self._under_way and self._under_way[0][0] <= time.monotonic():
                _, way, to, packet = self._under_way.popleft()
                way.sendto(packet, to)
            if self._outside in ready:
                packet = self._outside.recv(65_536)
                self.answers.append(packet)
                if self._sender is not None:
                    self._pass(self._inside, self._sender, packet)
            if self._inside in ready:
                packet, self._sender = self._inside.recvfrom(65_536)
                if self._wire == "rtp" and is_rtcp(packet):
                    self.control.append(packet)
                    self._pass(self._outside, self._target, packet)
                else:
                    self._take(packet)
            if not ready and not self._under_way and self._closing.is_set():
                break
        for _, packet in sorted(self._held, key=lambda held: held[0]):
            self._deliver(packet)
        self._held.clear()

    def _pass(self, way: socket.socket, to: tuple[str, int], packet: bytes) -> None:
        self._under_way.append((time.monotonic() + self._control_delay, way, to, packet))

    def _take(self, packet: bytes) -> None:
        now = self.arrived
        self.arrived += 1
        # One draw of each kind for every packet, used or not: changing one share does not move the others.
        draws = {name: self._random.random() for name in ("drop", "double", "swap", "hold")}
        later = self._random.randint(2, max(2, self._impairment.hold_most))
        plan = self._impairment
        if now < plan.grace:
            self._deliver(packet)
        elif draws["drop"] < plan.drop:
            pass
        elif draws["hold"] < plan.hold:
            self._held.append((now + later, packet))
        elif draws["swap"] < plan.swap:
            self._held.append((now + 1, packet))
        else:
            self._deliver(packet)
            if draws["double"] < plan.double:
                self._deliver(packet)
        due = [held for held in self._held if held[0] <= now]
        self._held = [held for held in self._held if held[0] > now]
        for _, held in due:
            self._deliver(held)

    def _deliver(self, packet: bytes) -> None:
        self.delivered.append(packet)
        self._outside.sendto(packet, self._target)
