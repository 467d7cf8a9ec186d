"""A bad network of its own, between any two programs that speak UDP."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from .. import _engine, logs
from .._stream import STEP
from ..history import Historian
from ..stats import HopStats, hop_stats, with_history

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .network import Network

__all__ = ["Hop"]


class Hop:
    """Passes datagrams between programs, as badly as a network does. No root, no `tc`.

        with Hop(5004, "127.0.0.1:12345", network="loss=5,delay=40,seed=1") as hop:
            ...                                # one program sends to port 5004, the other listens on 12345
        print(hop.stats.up.packets_lost)

    Whoever sends to where the hop listens is a peer; each has a socket of its own towards the far end, so that answers
    find their way back. Both ways go through a network of the same settings, each with chances of its own. A program
    that uses two ports (RTP and RTCP apart) needs two hops. Up to 256 peers; one is forgotten after a minute of
    silence.

    The seed decides by a packet's number on its way; reports (RTCP) are numbered apart, so that the same packets of
    sound are lost as with `network=` of `AudioClient`, and as in `lab.run`. Delays count from when the kernel received
    a packet.

    Thread-safe. Sources: the link is the engine's, as of `Network`; UDP only.

    Attributes:
        port: The port that it listens on.
        local_address: `host:port` that it listens on.
        forward_address: `host:port` of the far end, as it was found.
    """

    _log = logging.getLogger("audiostream.hop")

    def __init__(
        self,
        listen: int | str,
        forward: str,
        *,
        network: str | Network | None = None,
        duration: float | None = None,
    ) -> None:
        """Opens the port; `start` or `with` passes packets.

        Args:
            listen: Port to listen on, on every interface, or `"address:port"`; port 0 lets the system choose one.
            forward: `"host:port"` of the far end; the name is looked up once.
            network: What happens on the way: a `Network`, its text, or a preset; None passes everything on at once.
            duration: End by itself after so many seconds; None runs until stopped.

        Raises:
            ConfigError: An argument is wrong, or packets would go round in circles or to many (broadcast, multicast).
            TransportError: The port is in use, or the far end is not known or not to be reached.
        """
        self.duration = duration
        self._core = _engine.Hop(
            listen=str(listen), forward=forward, network="loss=0" if network is None else str(network)
        )
        self.local_address, self.forward_address = self._core.addresses()
        self.port = int(self.local_address.rpartition(":")[2])
        self._deadline: float | None = None
        self._stopped = False
        self._historian = Historian(self._figures)

    def start(self) -> None:
        """Passes packets in the background from now on. A second call does nothing.

        Raises:
            StateError: It has been stopped.
        """
        logs.sync_level()
        self._core.start()
        if self._deadline is None and self.duration is not None:
            self._deadline = time.monotonic() + self.duration
        self._historian.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it has ended: by `stop`, or after its `duration`.

        Args:
            timeout: How long to wait at most, seconds; None waits for ever. Ctrl-C interrupts it.

        Returns:
            Whether it has ended.

        Raises:
            TransportError: It has died.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not self._is_over():
            now = time.monotonic()
            steps = [STEP, *(end - now for end in (until, self._deadline) if end is not None)]
            if self._core.wait(max(min(steps), 0.0)):
                return True
            if until is not None and time.monotonic() >= until:
                return self._is_over()
        return True

    def run(self) -> None:
        """Passes packets until it is stopped, or Ctrl-C, then ends in order.

        Raises:
            TransportError: It has died; all is freed before.
        """
        try:
            self.start()
            self.wait()
        except KeyboardInterrupt:
            self._log.info("Hop interrupted")
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends it once what is under way has come through, after 2 s at most. May be called twice."""
        self._finish(drain=True)

    def close(self) -> None:
        """Ends it at once; what is under way is not delivered. May be called twice, and after `stop`."""
        self._finish(drain=False)

    @property
    def stats(self) -> HopStats:
        """What was injected so far: a snapshot. Its `history` has columns `up_…` and `down_…`."""
        return with_history(hop_stats(self._core.stats()), self._historian.table())

    def __enter__(self) -> Self:
        """Starts it."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it."""
        self.stop()

    def __repr__(self) -> str:
        return f"<Hop {self.local_address} to {self.forward_address}>"

    def _figures(self) -> dict[str, float]:
        figures = self._core.stats()
        flat = {name: value for name, value in figures.items() if isinstance(value, int)}
        for way, counts in (("up", figures["up"]), ("down", figures["down"])):
            flat.update({f"{way}_{name}": value for name, value in counts.items() if isinstance(value, int)})
        return {"peers": len(figures["peers"]), **flat}

    def _is_over(self) -> bool:
        return self._stopped or (self._deadline is not None and time.monotonic() >= self._deadline)

    def _finish(self, *, drain: bool) -> None:
        first, self._stopped = not self._stopped, True
        self._core.close(drain)
        self._historian.stop()
        if first:
            self._log.info("Hop stopped: %s", summary(self.stats))


def summary(stats: HopStats) -> str:
    """What a hop did, in one line."""
    ways = (
        f"{name}: {way.packets_sent:,} of {way.packets_received:,} packets went on, {way.packets_lost:,} lost, "
        f"{way.packets_duplicated:,} doubled, {way.packets_reordered:,} held back, "
        f"{way.packets_overflowed + way.packets_dropped + way.packets_unsent:,} dropped"
        for name, way in (("up", stats.up), ("down", stats.down))
    )
    return "; ".join(ways)
