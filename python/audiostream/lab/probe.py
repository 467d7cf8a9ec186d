"""Measures a network path to a running server, by its reports (RTCP) of a stream that nobody hears."""

from __future__ import annotations

import logging
import math
import socket
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from ..client import AudioClient
from ..errors import ConfigError, TransportError
from .figures import wilson
from .path import Back, Clocks, PathFigures, Report, Sent, figures_of, is_whole, position

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator

    from .network import Network

__all__ = ["probe"]


def probe(
    host: str = "localhost",
    port: int = 12345,
    *,
    duration: float = 10.0,
    protocol: Literal["udp", "tcp"] | str = "udp",  # noqa: PYI051 - the values, for editors
    size: float = 10,
    codec: Literal["l16", "opus", "pcmu", "pcma"] | str = "l16",  # noqa: PYI051
    bitrate: int = 64_000,
    rate: int = 44100,
    channels: int = 1,
    input: str | None = None,  # noqa: A002 - the client's option
    network: str | Network | None = None,
    synchronised: bool = False,
    key: str | None = None,
    key_file: str | os.PathLike[str] | None = None,
    name: str | None = None,
    patience: float = 5.0,
    progress: Callable[[float, float], None] | None = None,
) -> PathFigures:
    """Measures the path to a server: delay, jitter, loss, order, and how the two machines' clocks run apart.

        figures = lab.probe("studio.local", duration=30)
        print(figures.round_trip_ms, figures.lost_percent)

    A stream is sent as a client sends it, silence unless `input` says otherwise, and the server's reports of it (RTCP)
    are read. Servers of ours report everything; of others that answer with RTCP, loss counts from the first packet that
    they heard, and order and clocks are not known. Where the server talks back (`talk=`, `conference=`), that is
    measured too.

    Args:
        host: The server's name or address, or an `rtp://HOST:PORT` URL.
        port: Its port.
        duration: How long to measure, seconds, at least 1. Reports of L16 come about twice a second, those of streams
            with fewer bits every 4 s. Clocks want it long: the interval shrinks with its power of 1.5.
        protocol: `'udp'` or `'tcp'`.
        size: The block, ms; as the client's.
        codec: As the client's.
        bitrate: As the client's.
        rate: As the client's.
        channels: As the client's.
        input: As the client's, a built-in sound or `'file:PATH'` that lasts. None takes `'silence'`, whose packets are
            as long as any others, and `'voice'` for Opus, which makes short ones of silence.
        network: A bad network in front of the path, to try it out; as the client's.
        synchronised: Both machines' clocks are synchronised (by PTP, or by NTP as well as one-way delays are to be
            known): they are read from the clocks then. On one machine they always are.
        key: As the client's.
        key_file: As the client's.
        name: As the client's.
        patience: How long to wait for a first answer, seconds.
        progress: Called several times a second with the seconds done and all of them.

    Raises:
        ConfigError: An argument is wrong.
        TransportError: Nobody answers, or the host is unknown.
    """
    for what, value, least in (("duration", duration, 1.0), ("patience", patience, 0.1)):
        if not (math.isfinite(value) and value >= least):
            raise ConfigError(f"{what} must be {least:g} seconds or more, not {value}")
    with tempfile.TemporaryDirectory() as folder, _hushed():
        client = AudioClient(
            protocol=protocol,
            host=host,
            port=port,
            size=size,
            codec=codec,
            bitrate=bitrate,
            rate=rate,
            channels=channels,
            input=input or ("voice" if codec == "opus" else "silence"),
            output="null",
            network=network,
            key=key,
            key_file=key_file,
            name=name,
            recordings=folder,
        )
        with client:
            return _Run(client, duration, patience, progress or (lambda _done, _all: None)).figures(
                synchronised=synchronised
            )


class _Run:
    """One measurement, while its client runs."""

    def __init__(
        self, client: AudioClient, duration: float, patience: float, progress: Callable[[float, float], None]
    ) -> None:
        self._client = client
        self._duration = duration
        self._patience = patience
        self._progress = progress
        self._began = time.monotonic()
        self._reports: list[Report] = []

    def figures(self, *, synchronised: bool) -> PathFigures:
        """Measures."""
        self._await_answer()
        self._listen(self._duration - self._passed())
        seconds = self._passed()
        sent = self._end()
        client, stats = self._client, self._client.stats
        clocks: Clocks = "same" if self._is_one_machine() else "synchronised" if synchronised else "unknown"
        heard = stats.received
        back = None
        if heard is not None and heard.packets_expected > 0:
            back = Back(
                packets_expected=heard.packets_expected,
                packets_lost=heard.packets_lost,
                lost_percent=wilson(heard.packets_lost, heard.packets_expected),
                packets_duplicated=heard.packets_duplicated,
                packets_reordered=heard.packets_reordered,
                jitter_ms=heard.jitter_ms,
            )
        return PathFigures(
            host=client.host,
            port=client.port,
            protocol=client.protocol,
            seconds=seconds,
            buffer_ms=stats.remote.delay_ms if stats.remote is not None else None,
            back=back,
            **figures_of(self._reports, sent, clocks),
        )

    def _await_answer(self) -> None:
        while not self._reports:
            if self._passed() > self._patience:
                raise TransportError(self._no_answer())
            self._listen(STEP)

    def _no_answer(self) -> str:
        client = self._client
        where = f"{client.protocol.upper()} port {client.port}"
        start = f"audiostream server --{client.protocol} --port {client.port}"
        return (
            f"no answer from {client.host}:{client.port} in {self._patience:g} s: does a server run there ('{start}'), "
            f"does a firewall let {where} through, has it the same key, or none? What sends no RTCP cannot be measured"
        )

    def _listen(self, seconds: float) -> bool:
        """Keeps what reports come for so long; whether any have."""
        before, until = len(self._reports), time.monotonic() + seconds
        while True:
            self._client.wait(max(0.0, min(STEP, until - time.monotonic())))
            self._reports += [Report.of(row) for row in self._client.take_reports()]
            self._progress(min(self._passed(), self._duration), self._duration)
            if time.monotonic() >= until:
                return len(self._reports) > before

    def _end(self) -> Sent:
        """Ends the sound so that one more report is certain to come soon, and hears it."""
        trips = [report.round_trip for report in self._reports if report.round_trip is not None]
        settling = max(trips, default=0.0) + MARGIN
        # A receiver's interval follows what came since its last report: packets of a moment keep it short.
        give_up = time.monotonic() + LAST_REPORT
        while not self._listen(STEP) and time.monotonic() < give_up:
            pass
        while self._listen(AFTER_REPORT) and time.monotonic() < give_up:
            pass
        self._client.end_sound()
        settled = time.time() + settling
        give_up = time.monotonic() + LAST_REPORT
        while True:
            packets = self._client.stats.packets_sent
            sent = Sent(packets, (self._client.sequenceNumber - packets) & 0xFFFF, settled)
            if is_whole(self._reports, sent) or time.monotonic() > give_up:
                break
            self._listen(STEP)
        if position(self._reports, sent) > packets:
            raise TransportError("the reports from there are of another stream: is another client's address the same?")
        return sent

    def _is_one_machine(self) -> bool:
        """The system sends to its own addresses from the same ones."""
        local = (self._client.local_address or "").rpartition(":")[0].strip("[]")
        return any(address[4][0] == local for address in socket.getaddrinfo(self._client.host, self._client.port))

    def _passed(self) -> float:
        return time.monotonic() - self._began


@contextmanager
def _hushed() -> Generator[None]:
    """What the client would say of missing answers, this says by itself."""
    log = logging.getLogger("audiostream.client")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


STEP = 0.05
# What packets may need beyond the longest round trip, seconds.
MARGIN = 0.05
# How long after a report the sound ends, and how long the last one is waited for.
AFTER_REPORT = 0.1
LAST_REPORT = 6.0
