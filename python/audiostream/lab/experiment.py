"""One experiment: a sound, a way of sending it, a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import _engine
from .method import Method
from .network import Network
from .outcome import Outcome
from .sound import Sound

if TYPE_CHECKING:
    import os

__all__ = ["run"]


def run(
    method: str | Method = "udp",
    network: Network | str | None = None,
    *,
    sound: Sound | str | os.PathLike[str] | None = None,
    seconds: float | None = None,
    ptime: float | None = None,
    bitrate: int = 64_000,
    delay: float | None = None,
    min_delay: float = 0.0,
    max_delay: float = 500.0,
    pcap: str | os.PathLike[str] | None = None,
) -> Outcome:
    """Sends a sound over a network in virtual time, and says what became of it.

    Args:
        method: How it is sent: `'udp'`, `'tcp-cubic'`, `'opus+fec'`, … (see `Method`).
        network: The network; its text does as well. None is a perfect one.
        sound: A `Sound`, a 16-bit WAV file, or None for the built-in voice.
        seconds: How much of it; None is all of a file, 30 s of the voice.
        ptime: Length of a packet, ms. None is 20 for Opus and 10 otherwise. PCM packets are shorter where
            1,400 bytes do not hold so much.
        bitrate: What Opus may spend, bits a second. Its packets are all of one length here.
        delay: How long playout keeps a packet, ms; None follows the network.
        min_delay: What it is kept at least where it follows, ms.
        max_delay: What it is kept at most where it follows, ms, up to 2000.
        pcap: A file that gets a capture of what passes, for Wireshark (pcapng): datagrams as they leave the network,
            lost ones as headers with a comment; TCP as its sender sees it. Replaced if it is there.

    Raises:
        ConfigError: An argument is out of range; the message names it.
        RecordingError: The sound file cannot be read.
        OSError: The capture cannot be written.
    """
    method = Method.parse(method)
    network = Network.parse(network) if isinstance(network, str) else network or Network()
    sound = Sound.of(sound, seconds)
    packet = ptime if ptime is not None else 20.0 if method.codec == "opus" else 10.0
    # The device's block: the original's packets are blocks, others are cut apart from it.
    size = packet if method.wire == "classic" or packet in (2.5, 5) else 10.0
    figures = _engine.lab_run(
        sound=sound.pcm,
        rate=sound.rate,
        channels=sound.channels,
        network=str(network),
        protocol=method.transport,
        congestion=method.congestion,
        wire=method.wire,
        codec=method.codec,
        bitrate=bitrate,
        fec=method.fec,
        size=size,
        ptime=None if packet == size else packet,
        redundancy=str(method.redundancy),
        spacing=method.spacing,
        delay=delay,
        min_delay=min_delay,
        max_delay=max_delay,
        capture=pcap is not None,
    )
    captured = figures["capture"]
    if pcap is not None and captured is not None:
        Path(pcap).write_bytes(captured)
    return Outcome.of(figures, method=method, network=network, sound=sound)
