"""A bad network between a client and a server: a UDP relay that drops, doubles, swaps and holds packets back.

What happens to the n-th packet is drawn from the seed alone, so a run can be repeated. Holding back is by packets,
not by time. The hop keeps what it delivered, in order; what a receiver must have counted follows from that.
"""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from dataclasses import dataclass
from types import TracebackType

from .packets import sequence_of


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

    def __init__(self, target: int, impairment: Impairment, *, seed: int, wire: str = "rtp") -> None:
        self.delivered: list[bytes] = []
        self.arrived = 0
        self._target = ("127.0.0.1", target)
        self._impairment = impairment
        self._random = random.Random(seed)
        self._wire = wire
        self._held: list[tuple[int, bytes]] = []
        self._inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._inside.bind(("127.0.0.1", 0))
        self._inside.settimeout(0.05)
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
        while True:
            try:
                packet = self._inside.recv(65_536)
            except TimeoutError:
                if self._closing.is_set():
                    break
                continue
            self._take(packet)
        for _, packet in sorted(self._held, key=lambda held: held[0]):
            self._deliver(packet)
        self._held.clear()

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
