"""The receiving end."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Literal

from . import _engine, logs
from ._stream import STEP, Stream
from .devices import end_name
from .errors import AudioStreamError, check_range
from .events import Events
from .frames import open_frames
from .keys import find_key
from .recording import Recording, make_folder
from .source import Source
from .stats import ServerStats, server_stats, with_history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from .devices import Device
    from .frames import Frame, Frames
    from .lab.network import Network
    from .notebook import Watch

__all__ = ["AdvancedAudioServer"]

# What `record=` says to record each sender by itself.
EACH = "each"


class AdvancedAudioServer(Stream):
    """Receives streams, plays them mixed, counts what was lost, and records.

    Construction binds the port and opens the output; it never waits for a client. Use it as a context manager, or
    call `run()` as the original did:

        with AdvancedAudioServer(output="null", record=True) as server:
            server.wait(60)
            print(server.stats.packets_lost)

    A subclass may override `receive_data`; `run()` then calls it for every packet.

    Attributes:
        protocol: As given, or as the sdp has it.
        port: As given, or as URL or sdp have it; where it was 0, the port that the system chose.
        size: As given, ms.
        recording_folder: Where recordings go.
        FORMAT: 8, PortAudio's number for 16-bit samples.
        CHANNELS: Channels of the output.
        RATE: Frames a second.
        CHUNK: Frames in 10 ms.
        NUMCHUNKS: Chunks in one block, `max(1, size // 10)`.
        keep_listening: As given.
        duration: As given, seconds.
        stop_event: Set it, and `run()` ends.
    """

    _log = logging.getLogger("audiostream.server")
    _name = "Server"

    def __init__(
        self,
        protocol: str = "udp",
        port: int = 12345,
        size: float = 10,
        *,
        rate: int | None = None,
        channels: int | None = None,
        bind: str | None = None,
        interface: str | int | None = None,
        sdp: str | os.PathLike[str] | None = None,
        wire: Literal["auto", "rtp", "classic"] | str = "auto",  # noqa: PYI051 - the values, for editors
        output: str | int | Device | None = None,
        host_api: str | None = None,
        latency: Literal["low", "high"] | str = "low",  # noqa: PYI051
        delay: float | None = None,
        min_delay: float = 0.0,
        max_delay: float = 500.0,
        record: bool | str | None = None,
        recordings: str | os.PathLike[str] = "Recording",
        max_sources: int = 32,
        forward: str | Iterable[str] | None = None,
        allow: str | Iterable[str] | None = None,
        key: str | None = None,
        key_file: str | os.PathLike[str] | None = None,
        keep_listening: bool = False,
        duration: float | None = None,
        network: str | Network | None = None,
        name: str | None = None,
        quality: bool = False,
        pcap: str | os.PathLike[str] | None = None,
        talk: bool | str | int | Device = False,
        conference: bool = False,
        packet_log: str | os.PathLike[str] | None = None,
    ) -> None:
        """Binds the port and opens the output.

        Args:
            protocol: `'udp'`, `'tcp'`, or `'both'` at one port number: each sender as it likes. The default gives way
                to the sdp's.
            port: The port to listen on; 0 lets the system choose (see `port`, `local_address`). The default gives way
                to the URL's and the sdp's.
            size: The block that the output works in, ms: 10, 20, … 150, or 5, or 2.5. A sender may use another.
            rate: Frames a second of the output; None is that of the sdp's first sound, or 44100.
            channels: 1 or 2; None is as many as the sdp's first sound has, or 1.
            bind: The address to listen on; None is every interface, IPv4 and IPv6. A multicast group is joined. Or an
                `rtp://@:PORT`, `rtp://ADDRESS:PORT` URL.
            interface: The network interface that a multicast group is joined on, and that groups are forwarded by: its
                name, index or address, 'lo' for this machine alone; None joins on all, also on those that come later.
            sdp: A session description (RFC 8866), as text, or the file that holds it: says what the payload types mean
                and, where that is not given here, port, multicast group, protocol, rate, channels and key. The first
                audio in it that can be played is taken; its sender is not checked.
            wire: The packet format: `'rtp'`, `'classic'`, or `'auto'`, which finds it out for each sender.
            output: Where the sound goes: None for the default speaker; a device, its name, a part of it or its index
                (`list_devices`); `'null'` for nowhere, at the pace of a clock; `'-'` for PCM on standard output;
                `'file:PATH'` for a WAV.
            host_api: The sound system (`host_apis`); None takes the first that answers.
            latency: `'low'` asks the device for one block of buffer, `'high'` for its own default.
            delay: How long a packet is kept before it is played, ms, at most 2000; None follows the network: as short
                as all but one packet in a hundred allow.
            min_delay: What it is kept at least where it follows the network, ms, besides the device's block.
            max_delay: What it is kept at most where it follows the network, ms, up to 2000.
            record: Records what arrives, losses as silence of exact length: True for a name with the time in it, or
                the file's name in the folder. `'each'` records each sender to a file of its own, as it sends it, named
                by what it is called; at most 128 at once (`recordings_refused`).
            recordings: The folder for recordings; made when one is begun.
            max_sources: How many senders are heard at once, 1 to 2048, of one address 8 at most (of this machine all).
                What others send is refused and counted until one has left or has been silent for 10 s; with 1 nobody
                else is heard while the first plays.
            forward: Other receivers, `'host:port'`, one or several, that all RTP senders' packets and reports are sent
                on to by UDP, byte by byte as they came, sealed ones still sealed. What `allow=`, `key=` and the caps
                turn away is not. For receivers that you know: who is named is sent to, asked or not.
            allow: The networks that are listened to, as `'192.168.0.0/16'`, `'10.0.0.7'`, `'fd00::/8'`: one, several
                with commas between, or a list. What comes from elsewhere is dropped unseen and counted. None, or an
                empty list, listens to everybody. An address can be forged: it is no proof of who sends.
            key: What the sound and the reports are sealed with (SRTP), as text, as `AudioClient` has it. What is not
                sealed with it is neither heard nor recorded, and counted. Where neither this nor `key_file` is given,
                the sdp's is taken, or else the environment's `AUDIOSTREAM_KEY`; without those, what is in clear is
                heard.
            key_file: A file that holds the key, in place of `key`. Others than its owner must not be able to open it.
            keep_listening: With `'tcp'`, go on when the last client has left; otherwise that ends `run()`, as in the
                original. Other protocols always go on.
            duration: `run()` and `wait()` end by themselves so many seconds after the start.
            network: A bad network to receive through, as `AudioClient` has it; what comes by TCP goes past it.
            name: What you are called, for the other end to see (SDES NAME of RFC 3550 §6.5.2).
            quality: Judge each sender as ITU-T G.107 (E-model, default parameters) would a call: `r_factor` and `mos`
                in the statistics, and in the reports to it. The delay is a packet's length, half the round trip and
                playout's. G.711 is rated after G.113 Appendix I: Ie 0, Bpl 25.1, or 4.3 where holes stay silent (a
                file as output). Assumed, for G.113 has no values: PCM is as G.711; Opus has Ie 0 and Bpl 25.1. The
                scale is the telephone's: 93.2 is the best, whatever the bandwidth.
            pcap: A file for what passes on the network, as Wireshark reads it (pcapng), without being root: packets
                and reports both ways, their headers made up; what `network=` loses as headers with a comment. An
                announcement (SAP) comes first, so that Wireshark shows RTP unasked. Beyond 64 MiB it is begun anew, and
                three older files are kept.
            talk: Sends sound of our own to every client that listens (`AudioClient(output=...)`): True the default
                microphone's, or an input as `AudioClient` has it, `'voice'` for instance.
            conference: Sends each client the mix of all others, with `talk` our own sound too. Needs an output that
                keeps time, a device or `'null'`. What the clients hear is not limited or turned down by what we hear
                (`gain`, `mute`), but by each source's own.
            packet_log: A CSV file that gets a line for each packet, written natively:
                `time_us,direction,source,sequence,timestamp,bytes,verdict`.

        Raises:
            ConfigError: An argument is wrong.
            TransportError: The port is in use, or the address is not this machine's.
            DeviceError: The output cannot be opened.
            RecordingError: The folder or a file cannot be made.
        """
        check_range(0xFFFF, port=port, channels=channels or 0, max_sources=max_sources)
        check_range(0xFFFF_FFFF, rate=rate or 0)
        told_key, spare_key = find_key(key, key_file)
        engine = _engine.Server(
            protocol=protocol,
            port=port,
            size=float(size),
            rate=rate,
            channels=channels,
            bind=bind,
            interface=None if interface is None else str(interface),
            sdp=None if sdp is None else os.fspath(sdp),
            wire=wire,
            output=end_name(output),
            host_api=host_api,
            latency=latency,
            delay=delay,
            min_delay=min_delay,
            max_delay=max_delay,
            network=None if network is None else str(network),
            name=name,
            quality=quality,
            talk=None if talk is False else end_name(None if talk is True else talk),
            conference=conference,
            max_sources=max_sources,
            forward=_texts(forward),
            allow=_texts(allow),
            key=told_key,
            spare_key=spare_key,
            keep_listening=keep_listening,
            record=bool(record),
            record_each=record == EACH,
            record_name=record if isinstance(record, str) else None,
            recordings=recordings,
            pcap=None if pcap is None else str(pcap),
            packet_log=None if packet_log is None else str(packet_log),
        )
        told, port, rate, channels = engine.settings()
        super().__init__(engine, size=size, rate=rate, channels=channels, recordings=recordings, duration=duration)
        self._engine = engine
        self._delay_bounds = (min_delay, max_delay)
        self._delay_limit = max(max_delay, delay or 0.0)
        self._fixed_delay = delay
        self._max_sources = max_sources
        self.protocol = protocol if sdp is None else told
        self.port = port
        self.keep_listening = keep_listening
        # Packets that the engine has received, and those of them that `receive_data` has told of.
        self._arrived = 0
        self._seen = 0
        if record:
            make_folder(recordings)
        try:
            self.setup_socket()
            self.setup_audio()
        except BaseException:
            engine.close(drain=False)
            raise
        self._log.info("Server ready, playing to %s", self.output_name)

    def setup_socket(self) -> None:
        """Binds the port; called by the constructor. TCP listens, and accepts its clients once started.

        Raises:
            TransportError: The port is in use, or the address is not this machine's.
        """
        try:
            self._engine.open_socket()
        except AudioStreamError as error:
            self._log.exception("Failed to set up the socket: %s", error)
            raise
        address = self.local_address
        if self.port == 0 and address is not None:
            self.port = int(address.rpartition(":")[2])
        waiting = "waiting for a connection" if self.protocol.lower() == "tcp" else "waiting for packets"
        protocol = "UDP and TCP" if self.protocol.lower() == "both" else self.protocol.upper()
        self._log.info("Listening on %s by %s, %s", address, protocol, waiting)

    def setup_audio(self) -> None:
        """Opens the output, after `setup_socket`; called by the constructor.

        Raises:
            DeviceError: The device is missing, busy or cannot do it.
            RecordingError: The output file cannot be made.
        """
        try:
            self._engine.open_audio()
        except AudioStreamError as error:
            self._log.exception("Failed to set up audio: %s", error)
            raise

    def receive_data(self) -> bool:
        """Waits for the next packet, which the engine tracks, plays and records. Starts the engine if need be.

        Returns:
            True for each packet received, in turn; False when the peer has gone (TCP), after `stop` or `close`, after
            the `duration`, or on an error, which is logged.
        """
        try:
            if not self._is_over():
                self.start()
            while not self._is_over():
                if self._seen < self._arrived:
                    self._seen += 1
                    return True
                self._arrived = self._engine.wait_packet(self._seen, STEP)
                if self._seen >= self._arrived and self._engine.has_ended() and not self.keep_listening:
                    return False
                self._tell_recording()
                logs.sync_level()
        except AudioStreamError as error:
            self._log.exception("Failed to receive: %s", error)
        return False

    def start_recording(self, name: str | None = None) -> Path:
        """Keeps what arrives from now on, in sequence order, losses as silence of exact length: of all senders, mixed.
        `Source.record` keeps one.

        Args:
            name: The file's name in the folder; None makes one of the time. Never a file that was there.

        Returns:
            The file's path. A sidecar beside it (JSON) lists the losses.

        Raises:
            ConfigError: The name leads out of the folder.
            RecordingError: The file cannot be made.
            StateError: A recording is running, or the server is closed.
        """
        make_folder(self.recording_folder)
        self._tell_recording()
        path = self._engine.start_recording(self.recording_folder, name)
        self._log.info("Recording to %s", path)
        return path

    def stop_recording(self) -> Recording | None:
        """Finishes the recording and logs its path, duration and size.

        Returns:
            The recording. One that ended with the stream is returned by the first call after; then, with nothing
            being recorded, None, and the log says so.
        """
        return self._hand_out(None if self._finished else self._engine.stop_recording())

    @property
    def stats(self) -> ServerStats:
        """The figures of this moment; after the end, the final ones."""
        return with_history(server_stats(self._engine.stats()), self._historian.table())

    @property
    def sources(self) -> list[Source]:
        """The senders that are known, oldest first: those that play, and those that have stopped (see `Source`)."""
        return [Source(self._engine, number) for number in self._engine.sources()]

    def events(self, timeout: float | None = None) -> Events:
        """What happens to the senders: who joins, falls silent, goes on, leaves, is lost.

            for event in server.events():
                print(event.kind, event.source.name, event.detail)

        `async for` goes as well. Every call begins with what has happened so far, as far as it is kept: the last 1024
        events; who is slower than that misses the oldest, and `stats.events_dropped` counts them. Each event is a line
        of the log too.

        Args:
            timeout: End when nothing has happened for so many seconds; None goes on until the server is stopped.

        Returns:
            An iterator, for `for` and `async for`, over `Event`.
        """
        return Events(self._engine, timeout)

    def frames(
        self,
        *,
        each: bool = False,
        raw: bool = False,
        block: float = 10.0,
        block_frames: int | None = None,
        queue: int | None = None,
        callback: Callable[[Frame], object] | None = None,
    ) -> Frames:
        """Hands out what is played, block by block, from now on.

            for frame in server.frames():
                print(abs(frame.samples).max())

        The mix goes on while nobody speaks, as silence, and is taken before the output's gain and mute; each source by
        itself (`each=True`) only gives frames while it plays, before its gain and mute. Where nothing was lost and no
        delay had to change, a source's frames are what it sent, to the bit.

        Args:
            each: Every source's frames by themselves, in place of the mix.
            raw: What comes, packet by packet, as it comes: no order, nothing concealed, nothing played needed. Packets
                that redundancy brought back are among them. With `each=True` only.
            block: The length of a block, ms; a source's last before a break may be shorter.
            block_frames: The same in frames, in place of `block`.
            queue: How many blocks may wait to be taken; more are left out and counted. None: those of a second, with
                `each=True` of 32 sources at most.
            callback: Called with every frame, on a thread of its own; its first error, which is logged, ends that.
                Close what is returned, or the server, to end it.

        Returns:
            An iterator, for `for` and for `async for`.

        Raises:
            ConfigError: A length is out of range; `raw=True` without `each=True`.
            StateError: The server is closed; 256 read frames already.
        """
        return open_frames(
            self._engine,
            sources=self._max_sources,
            each=each,
            raw=raw,
            block=block,
            block_frames=block_frames,
            queue=queue,
            callback=callback,
        )

    @property
    def total_packets(self) -> int:
        """Packets received so far, from all senders, doubles included."""
        return self._engine.stats()["packets_received"]

    @property
    def lost_packets(self) -> int:
        """Packets expected and never received so far, from all senders."""
        return self._engine.stats()["packets_lost"]

    @property
    def last_received_sequence(self) -> int:
        """The sequence number of the last packet, 0 to 65535; -1 before any."""
        return self._engine.stats()["last_sequence"]

    def set_delay(
        self, fixed: float | None = None, *, min_delay: float | None = None, max_delay: float | None = None
    ) -> None:
        """Changes how long packets are kept before they are played, while it plays.

        The delay slides to its new value by stretching or shortening the sound, without a jump.

        Args:
            fixed: Always this many ms; None follows the network.
            min_delay: At least, where it follows, ms besides the device's block; None leaves it as it is.
            max_delay: At most, where it follows, ms; None leaves it as it is.

        Raises:
            ConfigError: More than the server was made for (`max_delay`, `delay`), or the least is above the most.
        """
        least = self._delay_bounds[0] if min_delay is None else min_delay
        most = self._delay_bounds[1] if max_delay is None else max_delay
        self._engine.set_delay(least, most, fixed)
        self._delay_bounds, self._fixed_delay = (least, most), fixed

    @property
    def fixed_delay(self) -> float | None:
        """What `delay=` or `set_delay` has fixed the delay to, ms; None where it follows the network."""
        return self._fixed_delay

    @property
    def delay_limit(self) -> float:
        """The longest delay that `set_delay` takes, ms: the larger of what `max_delay=` and `delay=` were."""
        return self._delay_limit

    def watch(self) -> Watch:
        """Level, loss, jitter and delay as live charts in Jupyter, with a slider for the delay (`set_delay`).

        As the last line of a cell it is shown; it ends with the server and does not keep it alive. Where anywidget is
        missing there is a line of text a second; outside of Jupyter the figures of this moment, as text. Charts need
        `pip install "audiostream[notebook]"`.
        """
        from .notebook import Watch

        return Watch(self)

    def delay_histogram(self, source: int = 0) -> list[tuple[float, float]]:
        """How late a source's packets have been lately, against the fastest: what the delay follows.

        Args:
            source: Its place in `stats.sources`.

        Returns:
            Pairs `(below_ms, share)`, shortest first: the share (of 1.0) of packets whose delay was below so many
            ms and not below the pair before. Empty buckets are left out; a file output has none at all.
        """
        return self._engine.delay_histogram(source)

    @property
    def level_db(self) -> float:
        """The loudest sample played lately, dBFS: 0 is full scale, negative infinity digital silence."""
        return self._engine.stats()["level_db"]

    @property
    def output_name(self) -> str:
        """What the sound goes to: the device's full name, or the built-in sink."""
        return self._engine.output_name()

    def __repr__(self) -> str:
        return f"<AdvancedAudioServer {self.protocol}://{self.local_address} to {self.output_name}>"

    def _wait_engine(self, step: float) -> bool:
        if not self.keep_listening:
            return self._engine.wait(step)
        # Raises what the engine died of; that all clients have gone is no end here.
        self._engine.has_ended()
        time.sleep(step)
        return False

    def _run(self) -> None:
        # Only one's own method needs Python for every packet.
        if getattr(self.receive_data, "__func__", None) is AdvancedAudioServer.receive_data:
            self.start()
            self.wait()
            return
        while not self._is_over() and self.receive_data():
            pass


def _texts(given: str | Iterable[str] | None) -> list[str]:
    """Each by itself: of one text with commas, or of several."""
    texts = [given] if isinstance(given, str) else list(given or ())
    return [part for text in texts for part in str(text).split(",")]
