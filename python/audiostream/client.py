"""The sending end."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Literal

from . import _engine
from ._stream import Stream
from ._types import ReportDict
from .devices import end_name
from .errors import AudioStreamError, ConfigError, check_range
from .keys import find_key
from .pcm import pcm_of
from .recording import Recording, make_folder, rename
from .stats import ClientStats, client_stats, with_history
from .tables import Table

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import numpy.typing as npt
    from typing_extensions import Buffer

    from .devices import Device
    from .lab.network import Network
    from .notebook import Watch

__all__ = ["AudioClient"]

REPORT_COLUMNS = tuple(ReportDict.__annotations__)


class AudioClient(Stream):
    """Captures sound and streams it to a server: `AdvancedAudioServer`, or any program that hears RTP.

    Construction opens the source of sound and the socket; TCP connects. A microphone delivers from then on; a file
    begins with `start()` or `run()`. Use it as a context manager, or call `run()` in a thread as the original did:

        with AudioClient(host="studio.local", input="voice") as client:
            client.start_recording(10)
            client.wait(10)

    A subclass may override `send_audio`; `run()` then calls it for every packet.

    Attributes:
        protocol: As given.
        host: As given, or as its URL has it.
        port: As given, or as the host's URL has it.
        size: As given, ms.
        recording_folder: Where recordings go; made at construction.
        FORMAT: 8, PortAudio's number for 16-bit samples.
        CHANNELS: Channels of the stream.
        RATE: Frames a second.
        CHUNK: Frames in 10 ms.
        NUMCHUNKS: Chunks in one block, `max(1, size // 10)`.
        duration: As given, seconds.
        stop_event: Set it, and `run()` ends.
    """

    _log = logging.getLogger("audiostream.client")
    _name = "Client"

    def __init__(
        self,
        protocol: str = "udp",
        host: str = "localhost",
        port: int = 12345,
        size: float = 10,
        *,
        rate: int = 44100,
        channels: int = 1,
        input: str | int | Device | None = None,  # noqa: A002 - the option's name
        output: str | int | Device | None = None,
        wire: Literal["rtp", "classic"] | str = "rtp",  # noqa: PYI051 - the values, for editors
        codec: Literal["l16", "opus", "pcmu", "pcma"] | str = "l16",  # noqa: PYI051
        bitrate: int = 64_000,
        fec: bool = True,
        dred: float = 0,
        ptime: float | None = None,
        redundancy: int | Literal["auto", "opus"] | str = 0,  # noqa: PYI051
        spacing: int = 1,
        host_api: str | None = None,
        latency: Literal["low", "high"] | str = "low",  # noqa: PYI051
        local_port: int = 0,
        dscp: int = 46,
        ttl: int = 1,
        interface: str | int | None = None,
        reconnect: float = 5.0,
        key: str | None = None,
        key_file: str | os.PathLike[str] | None = None,
        record: bool | float | None = None,
        record_what: Literal["local", "remote", "both"] | str = "local",  # noqa: PYI051
        recordings: str | os.PathLike[str] = "Recording",
        duration: float | None = None,
        network: str | Network | None = None,
        name: str | None = None,
        pcap: str | os.PathLike[str] | None = None,
        packet_log: str | os.PathLike[str] | None = None,
    ) -> None:
        """Opens source and socket.

        Args:
            protocol: `'udp'` or `'tcp'`.
            host: The server's name or address, IPv4 or IPv6, or a multicast group; or all of that and more as an
                `rtp://HOST:PORT?ttl=4&localport=5006` URL, port and options as you like.
            port: The server's port, 1 to 65535. A URL that has one must not differ from it.
            size: The block that the device works in, ms: 10, 20, … 150, and 5 or 2.5 on the rtp wire. On the classic
                wire it is the packet too, and both ends must agree on it over TCP.
            rate: Frames a second.
            channels: 1 or 2.
            input: Where the sound comes from: None for the default microphone; a device, its name, a part of it or its
                index (`list_devices`); `'tone'` (440 Hz), `'voice'` (speech-like), `'silence'`; `'push'` for what
                a program makes (`write`); `'-'` for PCM on
                standard input; `'file:PATH'` for a WAV, streamed in real time, whose end ends the stream.
            output: Where goes what the server says (its `talk=`, `conference=`): `'default'` for the default speaker; a
                device, its name, a part of it or its index; `'null'` for nowhere, at the pace of a clock; `'-'`,
                `'file:PATH'`. None listens to nothing. Wear headphones: nothing here takes out of the microphone what
                comes from the speaker. On the rtp wire only.
            wire: The packet format: `'rtp'` (RFC 3550 with L16 of RFC 3551; framed by RFC 4571 on TCP), or `'classic'`,
                the original's 2-byte sequence number and PCM.
            codec: What the sound is sent as, on the rtp wire: `'l16'`, as it is; `'opus'`, a tenth of the bits and less
                (converted to 48 kHz); `'pcmu'` or `'pcma'`, the telephone's G.711 (converted to 8 kHz mono).
            bitrate: What Opus may spend, bits a second, 6000 to 510000.
            fec: Whether an Opus packet also holds a coarse copy of the one before, from which a loss is repaired.
            dred: How far back an Opus packet's deep redundancy goes, ms, 0 to 1040 (Opus 1.5 and newer know it): a
                rough copy of so much past, for bursts of losses. It shares the bitrate; with `fec=False` it has more.
            ptime: The RTP packet's length, ms, where it is not the block's. Packets never exceed 1,400 bytes: longer
                ones are sent as several. Opus has packets of 2.5, 5, 10, 20, 40 and 60 ms; a block of another length
                goes out in 20 ms.
            redundancy: How many copies of each packet go besides itself, 0 to 4, for the server to repair losses from:
                inside later packets (RFC 2198) where they fit, else as a second stream (RFC 7198). `'auto'` sends none
                while nothing is lost and one or two while the server reports losses; `'opus'` puts low-rate Opus
                (24 kbit/s) beside `codec='l16'`. UDP on the rtp wire only.
            spacing: How many packets later a copy goes, 1 to 50: more outlives longer bursts of loss, at more delay
                where something is lost. `'auto'` takes it as the least.
            host_api: The sound system (`host_apis`); None takes the first that answers.
            latency: `'low'` asks the device for one block of buffer, `'high'` for its own default.
            local_port: The port to send from; 0 lets the system choose.
            dscp: The packets' DiffServ code point (RFC 2474), 0 to 63; 46 (EF) asks for low delay.
            ttl: How many hops a multicast packet may take, 1 to 255.
            interface: The network interface that multicast packets leave by: its name, index or address, 'lo' for this
                machine alone; None takes the route's.
            reconnect: How long a lost TCP connection is tried anew before the stream ends, seconds.
            key: What sound and reports are sealed with (SRTP), as text: what `audiostream keygen` prints, which the
                server needs too; or another program's, the base64 of key and salt as SDP's `a=crypto` has it. On the
                rtp wire only. Where neither this nor `key_file` is given, the environment's `AUDIOSTREAM_KEY` is taken;
                without that, all is sent in clear.
            key_file: A file that holds the key, in place of `key`. Others than its owner must not be able to open it.
            record: Records from the start: True until the end, a number for so many seconds.
            record_what: What `record=` records, as `start_recording` has it.
            recordings: The folder for recordings.
            duration: `run()` and `wait()` end by themselves so many seconds after the start.
            network: A bad network to send through, UDP only: a `lab.Network`, or a text such as
                `'loss=5,burst=3,delay=40,jitter=15,seed=1'` (percent, packets, ms), or a preset, `'wifi'`,
                `'cellular'`, `'satellite'`, `'congested'`, `'lan'`, which settings may follow. The same seed loses the
                same packets. `rate=256k,queue=200` narrows the path (bit/s, ms), `trace=FILE` does so as a Mahimahi
                trace says.
            name: What you are called, for the other end to see (SDES NAME of RFC 3550 §6.5.2).
            pcap: A file for what passes on the network, as Wireshark reads it (pcapng), without being root: packets
                and reports both ways, their headers made up; what `network=` loses as headers with a comment. An
                announcement (SAP) comes first, so that Wireshark shows RTP unasked. Beyond 64 MiB it is begun anew, and
                three older files are kept.
            packet_log: A CSV file that gets a line for each packet, written natively:
                `time_us,direction,source,sequence,timestamp,bytes,verdict`.

        Raises:
            ConfigError: An argument is wrong.
            DeviceError: The input cannot be opened.
            TransportError: The host is unknown, the port taken, the connection refused.
            RecordingError: The folder cannot be made, the input file not read.
        """
        check_range(0xFFFF, port=port, local_port=local_port, channels=channels)
        check_range(0xFF, dscp=dscp, ttl=ttl, spacing=spacing)
        check_range(0xFFFF_FFFF, rate=rate, bitrate=bitrate)
        told, spare = find_key(key, key_file)
        engine = _engine.Client(
            protocol=protocol,
            host=host,
            port=port,
            size=float(size),
            rate=rate,
            channels=channels,
            input=end_name(input),
            output=None if output is None else end_name(output),
            wire=wire,
            codec=codec,
            bitrate=bitrate,
            fec=fec,
            dred=float(dred),
            ptime=ptime,
            redundancy=str(redundancy),
            spacing=spacing,
            host_api=host_api,
            latency=latency,
            local_port=local_port,
            dscp=dscp,
            ttl=ttl,
            interface=None if interface is None else str(interface),
            reconnect=reconnect,
            key=spare if told is None else told,
            network=None if network is None else str(network),
            name=name,
            pcap=None if pcap is None else str(pcap),
            packet_log=None if packet_log is None else str(packet_log),
        )
        super().__init__(engine, size=size, rate=rate, channels=channels, recordings=recordings, duration=duration)
        self._engine = engine
        self.protocol = protocol
        self.host, self.port = engine.destination()
        self._record = record
        self._record_what = record_what
        self._begin = threading.Lock()
        make_folder(recordings)
        try:
            self.setup_audio()
            self.setup_socket()
        except BaseException:
            engine.close(drain=False)
            raise

    def setup_audio(self) -> None:
        """Opens the source of sound; called by the constructor.

        Raises:
            DeviceError: The device is missing, busy or cannot do it.
            RecordingError: The input file cannot be read.
        """
        try:
            self._engine.open_audio()
        except AudioStreamError as error:
            self._log.exception("Failed to set up audio: %s", error)
            raise
        self._log.info("Capturing from %s", self.input_name)
        if self.output_name is not None:
            self._log.info("Playing what the server says to %s", self.output_name)

    def setup_socket(self) -> None:
        """Opens the socket, after `setup_audio`; called by the constructor. TCP connects.

        Raises:
            TransportError: The host is unknown, the port taken, the connection refused.
        """
        try:
            self._engine.open_socket()
        except AudioStreamError as error:
            self._log.exception("Failed to set up the socket: %s", error)
            raise
        self._log.info("Ready to stream to %s:%d by %s", self.host, self.port, self.protocol.upper())

    def send_audio(self) -> bool:
        """Sends one packet, waiting for its sound for at most 1 s. For loops of your own, in place of `start()`.

        On the rtp wire a block that does not fit in 1,400 bytes goes out as several, in one call.

        Returns:
            Whether it was sent; False too once a file has ended.

        Raises:
            AudioStreamError: Sound or network have failed.
        """
        self._before_start()
        return self._engine.send_one(1.0)

    def write(self, sound: Buffer | npt.NDArray[Any], timeout: float | None = None) -> int:
        """Sends sound that a program makes. For `input='push'`.

            with AudioClient(host="studio.local", input="push") as client:
                client.write(samples)

        It goes into a queue of 2 s and from there over the network at the pace of a clock. Nothing is sent before the
        first write; then, where nothing waits, silence is, so that the receivers' delay and figures go on. `stop` sends
        what waits before it ends the stream, `close` drops it.

        Args:
            sound: An array of `(frames, channels)`, with one channel also of `(frames,)`, of int16 or of floats from
                -1.0 to 1.0 (converted, clipped); or bytes, interleaved int16 of this machine's byte order.
            timeout: How long to wait for room at most, seconds; None waits until all is taken, 0 for nothing. Ctrl-C
                interrupts.

        Returns:
            How many frames were taken, from the first on.

        Raises:
            ConfigError: The array is of another shape or type.
            StateError: The client is closed, or its input is another.
        """
        data = pcm_of(sound, self.CHANNELS)
        return self._engine.push(data, 1e9 if timeout is None else timeout)

    async def drain(self, seconds: float = 1.0) -> None:
        """Waits until at most so much of what was written waits to be sent: back-pressure for asyncio.

            async for samples in speech:
                client.write(samples)
                await client.drain()

        Args:
            seconds: What may still wait. The default leaves room for a second that `write` takes without waiting; 0.0
                waits until all is sent.

        Raises:
            StateError: The client is closed, or its input is another.
        """
        import asyncio

        # It is sent at the pace of a clock: that is how long it takes.
        while (over := self._engine.pushed()[0] / self.RATE - seconds) > 0:  # noqa: ASYNC110
            await asyncio.sleep(max(over, 0.001 * self.size))

    def start_recording(
        self,
        duration: float | None = None,
        *,
        what: Literal["local", "remote", "both"] | str = "local",  # noqa: PYI051
    ) -> Path:
        """Keeps what is captured from now on, in a WAV file that grows on disk, beside the streaming.

        Args:
            duration: Seconds after which it ends by itself, to the frame: 10 gives 441,000 frames at 44.1 kHz. None
                records until `stop_recording` or the stream's end.
            what: `'local'`, what is captured; `'remote'`, what is heard of the server; `'both'`, two channels: left
                what is said, right what is heard while it is said. Both lie beside each other by this machine's
                clock: what the microphone delivered, and what the speaker was given, at the same moment, to within one
                packet; what the devices themselves hold back is not reckoned with. The length is the microphone's. For
                other than `'local'` an `output=` is needed, for `'both'` a device or `'null'`.

        Returns:
            The file's path: `recording_YYYYmmdd_HHMMSS.wav` in the folder, never one that was there.

        Raises:
            ConfigError: The duration is not above zero; nothing is heard that could be recorded.
            RecordingError: The file cannot be made.
            StateError: A recording is running, or the client is closed.
        """
        frames = None if duration is None else round(duration * self.RATE)
        if frames is not None and frames < 1:
            raise ConfigError(f"duration must be above 0 seconds, not {duration}")
        make_folder(self.recording_folder)
        self._tell_recording()
        path = self._engine.start_recording(self.recording_folder, frames, what)
        self._renamed = None
        until = "until stopped" if duration is None else f"for {duration} s"
        self._log.info("Recording to %s %s", path, until)
        return path

    def stop_recording(self, filename: str | None = None) -> Recording | None:
        """Finishes the recording and logs its path, duration and size.

        Args:
            filename: A name for it, within the folder; a file of that name stays, a counter is appended. None keeps
                the name that `start_recording` gave.

        Returns:
            The recording. One that has ended by itself is returned by the first call after; then, with nothing being
            recorded, None, and the log says so.

        Raises:
            ConfigError: The name leads out of the folder; the recording is kept under the name it had.
            RecordingError: The file cannot be finished or named.
        """
        # After the end nothing runs, and that is no error.
        stopped = None if self._finished else self._engine.stop_recording(filename)
        recording = self._hand_out(stopped)
        if recording is not None and stopped is None and filename is not None:
            self._renamed = recording = rename(recording, self.recording_folder, filename)
            self._log.info("Recording named %s", recording.path)
        return recording

    def sdp(self, *, key: bool = False) -> str:
        """Describes the stream for those who are to hear it: where it goes, in which coding, in which packets.

        ffmpeg, GStreamer and VLC play from it, and `AdvancedAudioServer(sdp=...)` listens as it says. It stays the same
        for the client's life.

        Args:
            key: Whether it tells the stream's key too (`a=crypto`, RFC 4568). It is a secret then: who reads it can
                hear the stream, and forge it.

        Returns:
            A session description (RFC 8866), its lines ended by CR LF: write it to a file with `newline=""`.

        Raises:
            ConfigError: The classic wire has none; the stream has no key to tell.
        """
        return self._engine.sdp(key)

    def take_reports(self) -> Table:
        """The other end's reports (RTCP) since this was called last, oldest first; the last 1024 are kept. RTP only.

        Returns:
            A row a report: its `number`; the times of RFC 5905 §8, seconds since 1970: by this machine's clock `sent`,
            when our report went that it answers, and `arrived`; by the other's clock `said`; None where they are not
            told; and how long ours was `held` there. `fraction_lost`, `packets_lost`, `highest` (sequence number) and
            `jitter_ms` are RFC 3550's (§6.4.1). What only some receivers tell, else None: the `first` sequence number
            counted (RFC 6776), packets `duplicated` and `reordered`, and `drift_ppm`, our clock against its output's.
        """
        reports = self._engine.take_reports()
        return Table(REPORT_COLUMNS, [tuple(report.values()) for report in reports])

    def end_sound(self) -> None:
        """Sends no sound from now on, and hears what the other end reports of it until `stop`. For measurements."""
        self._engine.end_sound()

    @property
    def stats(self) -> ClientStats:
        """The figures of this moment; after the end, the final ones."""
        return with_history(client_stats(self._engine.stats()), self._historian.table())

    def watch(self) -> Watch:
        """Level, and loss, jitter and delay as the server reports them, as live charts in Jupyter.

        As the last line of a cell it is shown; it ends with the client and does not keep it alive. Without anywidget,
        and outside of Jupyter, it is text. Charts need `pip install "audiostream[notebook]"`.
        """
        from .notebook import Watch

        return Watch(self)

    @property
    def sequenceNumber(self) -> int:  # noqa: N802 - the original's name
        """The sequence number of the next packet, 0 to 65535. Starts at 0 on the classic wire, anywhere on rtp."""
        return self._engine.stats()["next_sequence"]

    @property
    def ssrc(self) -> int:
        """The stream's synchronisation source (RFC 3550 §3): 32 random bits; 0 on the classic wire."""
        return self._engine.stats()["ssrc"]

    @property
    def level_db(self) -> float:
        """The loudest sample lately, dBFS: 0 is full scale, negative infinity digital silence."""
        return self._engine.stats()["level_db"]

    @property
    def input_name(self) -> str:
        """What the sound comes from: the device's full name, or the built-in source."""
        return self._engine.input_name()

    @property
    def output_name(self) -> str | None:
        """Where goes what the server says: the device's full name, or the built-in sink; None without `output=`."""
        return self._engine.output_name()

    def __repr__(self) -> str:
        return f"<AudioClient {self.input_name} to {self.protocol}://{self.host}:{self.port}>"

    def _before_start(self) -> None:
        with self._begin:
            record, self._record = self._record, None
        if record is not None and record is not False:
            self.start_recording(None if record is True else float(record), what=self._record_what)

    def _run(self) -> None:
        # Only one's own method needs Python for every packet.
        if getattr(self.send_audio, "__func__", None) is AudioClient.send_audio:
            self.start()
            self.wait()
            return
        while not self._is_over() and not self._engine.wait(0.0):
            self.send_audio()
            self._tell_recording()
